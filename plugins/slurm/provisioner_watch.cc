// The watcher: one squeue for all pods, what must be cancelled, what is due.
#include <algorithm>
#include <utility>

#include "slurm/job_name.h"
#include "slurm/provisioner.h"

namespace interlink::slurm {
namespace {

constexpr auto kAskWithin = std::chrono::seconds(20);
constexpr auto kCancelWithin = std::chrono::seconds(60);
constexpr Duration kShortestRest = std::chrono::milliseconds(20);
constexpr Duration kLongestRest = std::chrono::seconds(1);

}  // namespace

void SlurmProvisioner::Watch(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    Look();
    const Duration pause = std::clamp(NextLook() - clock_.Steady(), kShortestRest, kLongestRest);
    const MutexLock lock(mutex_);
    const auto woken = [&]() NO_LOCK_ANALYSIS { return hurry_ || stop.stop_requested(); };
    wake_.WaitFor(mutex_, pause, woken);
    hurry_ = false;
  }
}

void SlurmProvisioner::Look() {
  if (clock_.Steady() >= observer_.NextPoll()) AskCluster();
  PostDue();
  TendRelays();
  TendDeliveries();
}

SteadyTime SlurmProvisioner::NextLook() {
  // What is due already was posted, or waits for what wakes the watcher.
  const SteadyTime now = clock_.Steady();
  SteadyTime next = observer_.NextPoll();
  const MutexLock lock(mutex_);
  for (const auto& [id, entry] : pods_) {
    if (!entry.busy && !entry.pod.ended && entry.pod.due > now)
      next = std::min(next, entry.pod.due);
  }
  return next;
}

void SlurmProvisioner::AskCluster() {
  const SteadyTime asked = clock_.Steady();
  const auto poll = observer_.Ask(Call::WithTimeout(kAskWithin));
  if (!poll.ok()) {
    {
      const MutexLock lock(mutex_);
      silence_ = "SLURM does not answer: " + poll.status().message();
    }
    // Once: it may last for hours, and says nothing of any pod.
    if (reached_.exchange(false)) {
      parts_.host.log().Warning("SLURM does not answer", {{"why", poll.status().ToString()}});
    }
    return;
  }
  if (!reached_.exchange(true)) parts_.host.log().Info("SLURM answers again");
  TakePoll(*poll, asked);
  TakeStrangers(poll->strangers);
  CancelUnwanted(Call::WithTimeout(kCancelWithin), *poll);
}

void SlurmProvisioner::TakePoll(const Poll& poll, SteadyTime asked) {
  const MutexLock lock(mutex_);
  for (const Sighting& sighting : poll.sightings) {
    const auto found = pods_.find(sighting.sandbox);
    if (found == pods_.end()) continue;
    Pod& pod = found->second.pod;
    if (asked <= pod.submitted) continue;  // it says nothing of the last job
    pod.seen = sighting;
    int64_t limit = 0;
    for (const Job& job : sighting.jobs) {
      if (job.state != "RUNNING") continue;
      limit = std::max(limit, job.end_time == 0 ? kNoLimit : job.end_time);
    }
    if (limit > 0) pod.limit_at = limit;
    for (const JobIdentity& job : sighting.gone) pod.gone.insert(job.id);
    const bool runs = RunningJob(pod) != nullptr;
    if (!pod.running && runs) pod.running = clock_.Steady();
    if (!runs) {
      pod.begin_by.reset();
    } else if (!pod.begin_by) {
      pod.begin_by = asked + options_.begin_within;
    }
    TellLocked(found->second);
  }
}

// Jobs under our names of pods that nobody knows: their folder is gone, so they can run nothing.
void SlurmProvisioner::TakeStrangers(const std::vector<Job>& jobs) {
  std::set<SandboxId> found;
  for (const Job& job : jobs) {
    const auto id = SandboxOfJob(parts_.host.lineage(), job.identity.name);
    if (id && !IsFinal(ViewOf(job, true).phase)) found.insert(*id);
  }
  {
    const MutexLock lock(mutex_);
    for (auto it = found.begin(); it != found.end();) {
      const bool known = pods_.count(*it) != 0 || !chased_.insert(*it).second;
      it = known ? found.erase(it) : std::next(it);
    }
  }
  if (found.empty()) return;
  for (const SandboxId& id : found) observer_.Watch(id);
  parts_.host.log().Warning(
      "jobs of pods that nobody knows are cancelled",
      {{"pods", std::to_string(found.size())}, {"first", found.begin()->str()}});
}

void SlurmProvisioner::CancelUnwanted(const Call& call, const Poll& poll) {
  {
    const SteadyTime now = clock_.Steady();
    const MutexLock lock(mutex_);
    for (const auto& [id, entry] : pods_) {
      if (entry.pod.record.submissions > 0 && WantsCancel(entry.pod, now)) cancellations_.Want(id);
    }
    for (const SandboxId& id : chased_) cancellations_.Want(id);
  }
  const auto proven = cancellations_.Step(call, poll);
  if (!proven.ok()) {
    parts_.host.log().Warning("jobs cannot be cancelled yet",
                              {{"why", proven.status().ToString()}});
    return;
  }
  for (const Cancelled& cancelled : *proven) {
    bool forget = false;
    {
      const MutexLock lock(mutex_);
      forget = chased_.erase(cancelled.sandbox) != 0;
    }
    if (forget) observer_.Forget(cancelled.sandbox);
  }
}

void SlurmProvisioner::PostDue() {
  std::vector<SandboxId> due;
  const SteadyTime now = clock_.Steady();
  {
    const MutexLock lock(mutex_);
    for (const auto& [id, entry] : pods_) {
      if (!entry.busy && NextStepOf(entry.pod, now) != NextStep::kNone) due.push_back(id);
    }
  }
  for (const SandboxId& id : due) PostNext(id);
}

void SlurmProvisioner::PostNext(const SandboxId& id) {
  NextStep step = NextStep::kNone;
  {
    const MutexLock lock(mutex_);
    const auto found = pods_.find(id);
    if (found == pods_.end() || found->second.busy) return;
    step = NextStepOf(found->second.pod, clock_.Steady());
    if (step == NextStep::kNone) return;
    if (step == NextStep::kSubmit && !MaySubmitLocked(found->second)) return;
    found->second.busy = true;
  }
  StepPool& pool = step == NextStep::kSubmit ? submits_ : steps_;
  const Status posted = pool.PostAlways(id.str(), [this, id, step] { RunStep(id, step); });
  // Only at the end of the daemon.
  if (!posted.ok()) parts_.host.log().Debug("a step was not taken", {{"why", posted.message()}});
}

// False: it waits, and says why. The next look asks again.
bool SlurmProvisioner::MaySubmitLocked(Entry& entry) {
  Pod& pod = entry.pod;
  if (!reached_) {
    pod.trouble = silence_;
  } else if (room_.Admit(pod.record.sandbox, clock_.Steady())) {
    return true;
  } else {
    pod.trouble.clear();
    pod.no_room = room_.words();
  }
  TellLocked(entry);
  return false;
}

Status SlurmProvisioner::StepOf(Pod& pod, NextStep step) {
  switch (step) {
    case NextStep::kNone:
      return {};
    case NextStep::kSubmit:
      return SubmitOnce(pod);
    case NextStep::kNoteJob:
      return NoteJob(pod);
    case NextStep::kTakeBack:
      return TakeBack(pod);
    case NextStep::kDoom:
      return Doom(pod);
    case NextStep::kFindRunner:
      return FindRunner(pod);
    case NextStep::kNoteLimit:
      return NoteLimit(pod);
    case NextStep::kExpect:
      return Expect(pod);
    case NextStep::kSettle:
      break;
  }
  return Settle(pod);
}

void SlurmProvisioner::RunStep(const SandboxId& id, NextStep step) {
  Pod pod;
  {
    const MutexLock lock(mutex_);
    const auto found = pods_.find(id);
    if (found == pods_.end()) return;
    // SLURM may have had no room for another one since it was posted.
    if (step == NextStep::kSubmit && !MaySubmitLocked(found->second)) {
      found->second.busy = false;
      room_.Done(id);
      return;
    }
    pod = found->second.pod;
  }
  const std::string trouble = pod.trouble;
  const Status done = StepOf(pod, step);
  pod.failures = done.ok() ? 0 : pod.failures + 1;
  pod.trouble = done.message();
  if (!done.ok()) {
    pod.due = clock_.Steady() + PauseAfter(pod.failures);
    if (pod.trouble != trouble) {
      parts_.host.log().Warning("a step of a pod's job is tried again",
                                {{"sandbox", id.str()}, {"why", done.ToString()}});
    }
  }
  KeepPod(id, pod);
  PostNext(id);
}

void SlurmProvisioner::KeepPod(const SandboxId& id, const Pod& pod) {
  const MutexLock lock(mutex_);
  const auto found = pods_.find(id);
  if (found == pods_.end()) return;
  // What was seen, and whether it was released, may be newer there.
  Pod& kept = found->second.pod;
  kept.record = pod.record;
  kept.ended = pod.ended;
  kept.owner = pod.owner;
  kept.raised = pod.raised;
  kept.runner = pod.runner;
  kept.bound = pod.bound;
  // A release does not wait for what was tried before it.
  kept.due = kept.released != pod.released ? SteadyTime{} : pod.due;
  kept.failures = pod.failures;
  kept.trouble = pod.trouble;
  kept.no_room = pod.no_room;
  found->second.busy = false;
  room_.Done(id);
  TellLocked(found->second);
  WakeLocked();
}

}  // namespace interlink::slurm
