#include "slurm/pod_life.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "slurm/submission.h"

namespace interlink::slurm {
namespace {

using State = sdk::AllocationFact::State;
using Stage = JobRecord::Stage;

constexpr int64_t kNanosOfSecond = 1'000'000'000;
constexpr int kMostDoublings = 5;
constexpr Duration kFirstRetry = std::chrono::seconds(1);
constexpr Duration kLongestRetry = std::chrono::seconds(30);
constexpr int kExitNobodySaw = 255;
constexpr size_t kSecondsOfTime = 19;

Phase PhaseOf(const Job& job) { return ViewOf(job, true).phase; }

bool Holds(Phase phase) {
  return phase == Phase::kRunning || phase == Phase::kSuspended || phase == Phase::kEnding;
}

// The job that a person wants to hear of: one that runs, else the newest that has not lost the
// claim.
const Job* ChiefJob(const std::vector<Job>& jobs) {
  const Job* chief = nullptr;
  for (const Job& job : jobs) {
    if (Holds(PhaseOf(job))) return &job;
    if (chief == nullptr || PhaseOf(job) != Phase::kClaimLost) chief = &job;
  }
  return chief;
}

bool IsOver(const Job& job) { return IsFinal(PhaseOf(job)); }

bool NothingThere(const Pod& pod) { return pod.seen->jobs.empty() && pod.seen->nothing_there; }

NextStep StepOfSeen(const Pod& pod) {
  if (!pod.seen) return NextStep::kNone;
  if (pod.owner) return OwnerOver(pod) ? NextStep::kSettle : NextStep::kNone;
  if (pod.seen->in_doubt) return NextStep::kNone;
  if (NothingThere(pod)) return NextStep::kSettle;
  // One that has lost the claim says nothing of the pod.
  const bool any = std::any_of(pod.seen->jobs.begin(), pod.seen->jobs.end(), [](const Job& job) {
    return IsOver(job) && PhaseOf(job) != Phase::kClaimLost;
  });
  return any || AllOver(pod) ? NextStep::kSettle : NextStep::kNone;
}

std::string TimeWords(int64_t seconds) {
  return FormatRfc3339(seconds * kNanosOfSecond).substr(0, kSecondsOfTime) + "Z";
}

// SLURM tells a job to end up to a minute early, and its agent then leaves before the limit: the
// job's state says nothing of it.
std::string LimitWords(const Pod& pod, const Job& last) {
  constexpr int64_t kEarly = 60;
  const bool near =
      pod.limit_at > 0 && last.end_time + WarnSeconds(pod.record.options) + kEarly >= pod.limit_at;
  if (!near || last.state == "TIMEOUT") return "";
  return "; its time limit was at " + TimeWords(pod.limit_at);
}

// A binding whose claim is lost does not tell which job it is.
uint64_t JobOfOwner(const Pod& pod) {
  return pod.owner->job != 0 ? pod.owner->job : pod.record.job;
}

std::string OnHost(const Claim& claim) { return claim.host.empty() ? "" : " on " + claim.host; }

// What a pod that was given up waits for.
std::string ProofWords(const Pod& pod) {
  if (!pod.record.folderless) {
    return "; waiting for the proof that nothing of it runs any more";
  }
  std::string words = "; its agent has not said that everything has ended: ";
  if (const int64_t by = EndsBy(pod); by != 0 && by < kNoLimit) {
    return words + "it has when its time limit is over, at " + TimeWords(by);
  }
  return words + "without a time limit only a person can say it (interlink-api forget --dead)";
}

}  // namespace

NextStep NextStepOf(const Pod& pod, SteadyTime now) {
  if (pod.ended || now < pod.due) return NextStep::kNone;
  if (pod.released && !pod.owner) return NextStep::kTakeBack;
  if (pod.record.stage == Stage::kWanted && !pod.owner) {
    // A controller may have held a request for long.
    const bool there = pod.seen && !pod.seen->jobs.empty();
    return there ? NextStep::kNoteJob : NextStep::kSubmit;
  }
  if (pod.record.doom.empty() && !OddMessage(pod).empty()) return NextStep::kDoom;
  if (!pod.owner && pod.begin_by && now > *pod.begin_by) return NextStep::kExpect;
  const NextStep step = StepOfSeen(pod);
  if (step != NextStep::kNone) return step;
  if (LimitMoved(pod)) return NextStep::kNoteLimit;
  const bool wanted = pod.record.folderless ? !pod.bound : pod.relayed && !pod.runner;
  const bool find = wanted && pod.seen && RunningJob(pod) != nullptr;
  return find ? NextStep::kFindRunner : NextStep::kNone;
}

bool LimitMoved(const Pod& pod) {
  return pod.record.folderless && pod.limit_at != 0 && pod.limit_at != pod.record.limit_at;
}

int64_t EndsBy(const Pod& pod) {
  const int64_t limit = std::max(pod.limit_at, pod.record.limit_at);
  return limit == 0 ? 0 : limit + std::chrono::seconds(kAfterLimit).count();
}

const Job* RunningJob(const Pod& pod) {
  for (const Job& job : pod.seen->jobs) {
    if (PhaseOf(job) == Phase::kRunning) return &job;
  }
  return nullptr;
}

bool RunnerHolds(const Pod& pod) {
  bool holds = false;
  // Ids are handed out again: the newest counts.
  for (const Job& job : pod.seen->jobs) {
    if (job.identity.id == pod.runner->job) holds = Holds(PhaseOf(job));
  }
  return holds;
}

bool AllOver(const Pod& pod) {
  if (NothingThere(pod)) return true;
  const auto& jobs = pod.seen->jobs;
  if (jobs.empty() || !std::all_of(jobs.begin(), jobs.end(), IsOver)) return false;
  // The last one that was accepted may be younger than the list.
  const uint64_t last = pod.record.job;
  return last == 0 || pod.gone.count(last) != 0 ||
         std::any_of(jobs.begin(), jobs.end(),
                     [last](const Job& job) { return job.identity.id == last; });
}

bool OwnerOver(const Pod& pod) {
  if (const auto job = OwnerJob(pod)) return IsOver(*job);
  return pod.gone.count(pod.owner->job) != 0 || AllOver(pod);
}

std::optional<Job> OwnerJob(const Pod& pod) {
  // Ids are handed out again: the newest of that id is what SLURM knows of it.
  std::optional<Job> found;
  for (const Job& job : pod.seen->jobs) {
    if (job.identity.id == pod.owner->job) found = job;
  }
  return found;
}

bool AwaitsWord(const Pod& pod, SteadyTime now) {
  if (!pod.record.folderless || !pod.released || pod.ended || !pod.record.doom.empty())
    return false;
  if (!pod.word_by || now >= *pod.word_by) return false;
  return !pod.seen || RunningJob(pod) != nullptr;
}

bool WantsCancel(const Pod& pod, SteadyTime now) {
  const bool unwanted = pod.released || pod.ended || !pod.record.doom.empty();
  if (AwaitsWord(pod, now)) return false;
  if (!unwanted || !pod.seen) return unwanted;
  return pod.seen->in_doubt || !std::all_of(pod.seen->jobs.begin(), pod.seen->jobs.end(), IsOver);
}

std::string OddMessage(const Pod& pod) {
  if (!pod.seen) return "";
  for (const Job& job : pod.seen->jobs) {
    const JobView view = ViewOf(job, true);
    if (view.phase == Phase::kNeverStarts || view.phase == Phase::kRepeated) return view.message;
  }
  return "";
}

sdk::AllocationFact LivingFact(const Pod& pod) {
  sdk::AllocationFact fact;
  fact.sandbox = pod.record.sandbox;
  if (pod.record.job != 0) fact.allocation = std::to_string(pod.record.job);
  const Job* chief = pod.seen ? ChiefJob(pod.seen->jobs) : nullptr;
  if (chief != nullptr) {
    const Phase phase = PhaseOf(*chief);
    fact.allocation = std::to_string(chief->identity.id);
    fact.state = Holds(phase) || pod.owner ? State::kGranted : State::kPending;
    fact.reason = chief->reason == "None" ? "" : chief->reason;
    const bool queued = phase == Phase::kQueued;
    fact.message = queued ? QueueMessage(*chief) : ViewOf(*chief, pod.released).message;
    if (queued) fact.expected_start_ns = chief->start_time * kNanosOfSecond;
  } else if (pod.owner) {
    fact.state = State::kGranted;
    fact.allocation = std::to_string(JobOfOwner(pod));
    fact.message = "job " + fact.allocation + " has run" + OnHost(*pod.owner);
  } else if (!pod.no_room.empty()) {
    fact.reason = "QueueFull";
    fact.message = "SLURM has no room for another job, it is asked again: " + pod.no_room;
  } else if (pod.record.stage == Stage::kDoubt) {
    fact.reason = "InDoubt";
    fact.message = "sbatch has not said whether it submitted a job: looking for one";
  } else if (pod.record.stage == Stage::kSubmitted) {
    fact.message = "submitted as job " + fact.allocation + ", not listed by SLURM yet";
  } else {
    fact.message = "to be submitted";
  }
  if (!pod.relay_trouble.empty()) {
    fact.message += "; its agent is not reached: " + pod.relay_trouble;
  }
  if (!pod.delivery_trouble.empty()) {
    fact.message += "; its agent cannot be brought into the job: " + pod.delivery_trouble;
  }
  if (pod.raised) fact.message += ProofWords(pod);
  if (!pod.trouble.empty()) {
    if (fact.reason.empty()) fact.reason = "Retrying";
    fact.message += "; " + pod.trouble;
  }
  return fact;
}

sdk::AllocationFact NeverStartedFact(const Pod& pod, std::string reason, std::string message) {
  sdk::AllocationFact fact;
  fact.sandbox = pod.record.sandbox;
  fact.state = State::kEnded;
  if (pod.record.job != 0) fact.allocation = std::to_string(pod.record.job);
  fact.refused = !pod.released;
  fact.reason = std::move(reason);
  fact.message = std::move(message);
  return fact;
}

sdk::AllocationFact EndedFact(const Pod& pod, const std::optional<Job>& last,
                              const std::string& pod_folder) {
  sdk::AllocationFact fact;
  fact.sandbox = pod.record.sandbox;
  fact.state = State::kEnded;
  fact.allocation = std::to_string(JobOfOwner(pod));
  fact.pod_folder = pod_folder;
  fact.exit_code = kExitNobodySaw;
  fact.message =
      "job " + fact.allocation + OnHost(*pod.owner) + " has ended; SLURM does not know it any more";
  if (!last) return fact;
  const JobView view = ViewOf(*last, pod.released || !pod.record.doom.empty());
  fact.reason = last->state;
  fact.message = pod.record.doom.empty() ? view.message : pod.record.doom + "; " + view.message;
  fact.message += LimitWords(pod, *last);
  fact.out_of_memory = view.out_of_memory;
  // 113 is of a second run of the same id, which says nothing of the first.
  if (view.phase != Phase::kClaimLost && view.exit_code != 0) fact.exit_code = view.exit_code;
  return fact;
}

Duration PauseAfter(int failures) {
  return std::min(kLongestRetry, kFirstRetry * (1 << std::clamp(failures - 1, 0, kMostDoublings)));
}

bool SameFact(const sdk::AllocationFact& a, const sdk::AllocationFact& b) {
  const auto all = [](const sdk::AllocationFact& fact) {
    return std::tie(fact.state, fact.allocation, fact.reason, fact.message, fact.expected_start_ns,
                    fact.refused, fact.exit_code, fact.out_of_memory, fact.pod_folder);
  };
  return all(a) == all(b);
}

}  // namespace interlink::slurm
