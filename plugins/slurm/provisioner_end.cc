// Proofs of an end: the claim, or the fence (DESIGN 6.5, 9). Runs in the sandbox's lane.
#include <utility>

#include "slurm/accounting.h"
#include "slurm/job_list.h"
#include "slurm/job_name.h"
#include "slurm/provisioner.h"

namespace interlink::slurm {
namespace {

using sdk::AllocationFact;
using Stage = JobRecord::Stage;

constexpr Duration kSettleAgain = std::chrono::seconds(1);
constexpr Duration kAskAgainForgotten = std::chrono::seconds(10);
constexpr Duration kSilentWithoutLease = std::chrono::minutes(5);
constexpr auto kCommandWithin = std::chrono::seconds(20);
constexpr int64_t kAccountingMargin = 3600;  // clocks of several machines

// The newest that says something of the pod.
const Job* LastWord(const std::vector<Job>& jobs) {
  const Job* last = nullptr;
  for (const Job& job : jobs) {
    if (ViewOf(job, true).phase != Phase::kClaimLost) last = &job;
  }
  return last;
}

}  // namespace

Status SlurmProvisioner::TakeBack(Pod& pod) {
  RETURN_IF_ERROR(EndUnstarted(pod, "Cancelled", "its job was given back before it ran"));
  if (!AwaitsWord(pod, clock_.Steady())) CancelNow(pod);
  return {};
}

// SLURM does with a job of it what must not be: that is stored, then the job is cancelled.
Status SlurmProvisioner::Doom(Pod& pod) {
  JobRecord doomed = pod.record;
  doomed.doom = OddMessage(pod);
  RETURN_IF_ERROR(journal_.Write(doomed));
  pod.record = std::move(doomed);
  parts_.host.log().Warning("a job is cancelled",
                            {{"sandbox", pod.record.sandbox.str()}, {"why", pod.record.doom}});
  CancelNow(pod);
  return {};
}

// Once, to be quick: Cancellations goes on until it is proven.
void SlurmProvisioner::CancelNow(const Pod& pod) {
  if (pod.record.submissions == 0 || !reached_) return;
  const SandboxId& id = pod.record.sandbox;
  const Status cancelled = CancelJobs(Call::WithTimeout(kCommandWithin), *parts_.commands,
                                      JobName(parts_.host.lineage(), id), UserWord(pod));
  if (!cancelled.ok()) {
    parts_.host.log().Debug("a cancellation is repeated later",
                            {{"sandbox", id.str()}, {"why", cancelled.message()}});
  }
  observer_.Hurry();
}

Status SlurmProvisioner::EndUnstarted(Pod& pod, const std::string& reason,
                                      const std::string& message) {
  const SandboxId& id = pod.record.sandbox;
  const auto claim = ClaimsOf(pod).Take(pod);
  // Without a submission there need not be a folder.
  const bool nothing = pod.record.submissions == 0 && claim.status().code() == Code::kNotFound;
  if (claim.status().code() == Code::kNotFound && !nothing) return SettleFolderGone(pod);
  if (!claim.ok() && !nothing) return claim.status().WithContext("take the pod's claim");
  if (claim.ok() && !claim->IsSite()) {
    pod.owner = *claim;
    return {};
  }
  {
    const MutexLock lock(mutex_);
    const auto found = pods_.find(id);
    if (found != pods_.end()) pod.released = found->second.pod.released;
  }
  return End(pod, NeverStartedFact(pod, reason, message));
}

Status SlurmProvisioner::End(Pod& pod, AllocationFact fact) {
  RETURN_IF_ERROR(journal_.WriteEnded(fact));
  parts_.host.log().Info(
      "a pod's job has ended",
      {{"sandbox", fact.sandbox.str()}, {"job", fact.allocation}, {"message", fact.message}});
  pod.ended = std::move(fact);
  return {};
}

// A job that was sent to a machine just when its slurmd was killed runs for SLURM until that
// machine registers anew, half an hour later perhaps, and never begins. With the claim in the
// site's hand it cannot any more.
Status SlurmProvisioner::Expect(Pod& pod) {
  const auto claim = ClaimsOf(pod).Read(pod);
  if (claim.status().code() == Code::kNotFound) return SettleFolderGone(pod);
  if (!claim.ok()) return claim.status().WithContext("read the pod's claim");
  if (claim->has_value() && !(*claim)->IsSite()) {
    pod.owner = **claim;
    return {};
  }
  const std::string seconds = std::to_string(options_.begin_within.count());
  RETURN_IF_ERROR(EndUnstarted(
      pod, "NotBegun",
      LivingFact(pod).message + "; after " + seconds + " s it has not begun: it is cancelled"));
  CancelNow(pod);
  return {};
}

Status SlurmProvisioner::Settle(Pod& pod) {
  if (pod.owner) return SettleOwned(pod);
  const auto claim = ClaimsOf(pod).Read(pod);
  if (claim.status().code() == Code::kNotFound) return SettleFolderGone(pod);
  if (!claim.ok()) return claim.status().WithContext("read the pod's claim");
  if (!claim->has_value()) return SettleUnclaimed(pod);
  // A crash came between it and the end that it proves.
  if ((*claim)->IsSite()) return EndByView(pod);
  pod.owner = **claim;
  return SettleOwned(pod);
}

// No job has run it, and those that SLURM has told of are over.
Status SlurmProvisioner::SettleUnclaimed(Pod& pod) {
  if (!AllOver(pod)) {
    pod.due = clock_.Steady() + kSettleAgain;
    return {};
  }
  if (pod.seen->jobs.empty()) return SettleForgotten(pod);
  // The hub has the last word of a pod without a folder; it has let nobody in.
  if (LastWord(pod.seen->jobs) == nullptr && pod.record.folderless) {
    return EndUnstarted(pod, "Refused", "the site's hub has refused its agent");
  }
  // Its link may be seen here later than there.
  if (LastWord(pod.seen->jobs) == nullptr) {
    return Unavailable("a job has lost the pod's claim, which is not there");
  }
  return EndByView(pod);
}

// What SLURM says of it is why nothing ran. REQUIRES: seen.
Status SlurmProvisioner::EndByView(Pod& pod) {
  const Job* last = LastWord(pod.seen->jobs);
  const std::string reason = last == nullptr ? "Cancelled" : last->state;
  if (!pod.record.doom.empty()) return EndUnstarted(pod, reason, pod.record.doom);
  if (last == nullptr) return EndUnstarted(pod, reason, "the site had given it up before it ran");
  return EndUnstarted(pod, reason, ViewOf(*last, pod.released).message);
}

// OK: SLURM was asked for this job alone, and denies it.
Status SlurmProvisioner::CheckDenied(const Pod& pod, uint64_t job) {
  if (job == 0) return {};
  const auto denied = DeniesJob(Call::WithTimeout(kCommandWithin), *parts_.commands, job,
                                JobName(parts_.host.lineage(), pod.record.sandbox));
  if (!denied.ok()) return denied.status();
  if (*denied) return {};
  return Unavailable("squeue lists job " + std::to_string(job) + " alone, but not among all jobs");
}

// SLURM knows no job of it: it ended while nobody looked, or a controller has lost it.
Status SlurmProvisioner::SettleForgotten(Pod& pod) {
  RETURN_IF_ERROR(CheckDenied(pod, pod.record.job));
  if (const auto job = AccountedJob(pod)) {
    return EndUnstarted(pod, job->state, ViewOf(*job, pod.released).message);
  }
  const int lost = pod.record.submissions - pod.record.no_room;
  const bool again =
      !pod.released && !pod.record.orphan && pod.record.doom.empty() && lost < kMostSubmissions;
  if (!again && !pod.record.doom.empty()) return EndUnstarted(pod, "Cancelled", pod.record.doom);
  if (!again) {
    return EndUnstarted(pod, "Lost",
                        "SLURM has lost the job, " + std::to_string(lost) + " times: it never ran");
  }
  parts_.host.log().Warning("SLURM knows no job of this pod: it is submitted again",
                            {{"sandbox", pod.record.sandbox.str()}});
  JobRecord wanted = pod.record;
  wanted.stage = Stage::kWanted;
  RETURN_IF_ERROR(journal_.Write(wanted));
  pod.record = std::move(wanted);
  return {};
}

// Somebody took the pod's folder away: no job can begin (its script needs the folder), and an agent
// that runs cannot beat.
Status SlurmProvisioner::SettleFolderGone(Pod& pod) {
  RETURN_IF_ERROR(folder_.CheckMounted());
  if (!pod.raised) {
    pod.raised = clock_.Steady();
    parts_.host.log().Warning("a pod's folder is gone", {{"sandbox", pod.record.sandbox.str()}});
  }
  if (!TimeIsOver(pod) || !pod.seen || !AllOver(pod)) return {};
  AllocationFact fact = pod.owner ? EndedFact(pod, OwnerJob(pod), "") : LivingFact(pod);
  fact.state = AllocationFact::State::kEnded;
  fact.message =
      "its folder in JobFolder was removed by somebody, and with it what its agent wrote";
  return End(pod, std::move(fact));
}

Status SlurmProvisioner::SettleOwned(Pod& pod) {
  if (!pod.seen || !OwnerOver(pod)) {
    pod.due = clock_.Steady() + kSettleAgain;
    return {};
  }
  Claims& claims = ClaimsOf(pod);
  const auto word = claims.Word(pod);
  if (!word.ok()) return word.status().WithContext("read the agent's last word");
  if (*word == AgentWord::kEnded) {
    const auto refusal = claims.Refusal(pod);
    if (!refusal.ok()) return refusal.status().WithContext("read why the agent did not begin");
    AllocationFact fact = EndedFact(pod, LastOfOwner(pod), claims.FolderOf(pod));
    if (!refusal->empty()) {
      fact.message = "job " + fact.allocation + " on " + pod.owner->host + ": " + *refusal;
    }
    return End(pod, std::move(fact));
  }
  if (!pod.raised && !OwnerJob(pod)) {
    // What SLURM has forgotten may run on: an agent that is heard is there.
    if (AgentIsHeard(pod)) {
      pod.due = clock_.Steady() + kAskAgainForgotten;
      return {};
    }
    RETURN_IF_ERROR(CheckDenied(pod, pod.owner->job));
  }
  if (!pod.raised) {
    const Status raised = claims.GiveUp(pod);
    if (raised.code() == Code::kNotFound) return SettleFolderGone(pod);
    if (!raised.ok()) return raised.WithContext("raise the fence");
    pod.raised = clock_.Steady();
    parts_.host.log().Warning(
        "a job has ended without its agent's word: another proof of the pod's end is waited for",
        {{"sandbox", pod.record.sandbox.str()}, {"job", std::to_string(pod.owner->job)}});
  }
  if (!TimeIsOver(pod)) return {};
  AllocationFact fact = EndedFact(pod, LastOfOwner(pod), claims.FolderOf(pod));
  const char* over = pod.record.folderless ? "; its agent left no word, and its time limit is over"
                                           : "; its agent left no word, and its lease is over";
  fact.message +=
      *word == AgentWord::kUnsure ? "; its agent could not end everything within its time" : over;
  return End(pod, std::move(fact));
}

// What a later start of the site needs, when SLURM does not tell it any more.
Status SlurmProvisioner::NoteLimit(Pod& pod) {
  JobRecord noted = pod.record;
  noted.limit_at = pod.limit_at;
  RETURN_IF_ERROR(journal_.Write(noted));
  pod.record = std::move(noted);
  return {};
}

// Or may be heard soon: after a start of ours it needs time to come back.
bool SlurmProvisioner::AgentIsHeard(const Pod& pod) {
  const auto silence = parts_.desk.Silence(pod.record.sandbox);
  const Duration lease = pod.record.folderless ? Duration::zero() : parts_.desk.Lease();
  return silence.value_or(clock_.Steady() - began_) <
         (lease == Duration::zero() ? kSilentWithoutLease : lease);
}

// False: to be asked again. REQUIRES: raised.
bool SlurmProvisioner::TimeIsOver(Pod& pod) {
  pod.due = clock_.Steady() + kSettleAgain;
  return ClaimsOf(pod).TimeIsOver(pod);
}

std::optional<Job> SlurmProvisioner::LastOfOwner(const Pod& pod) {
  if (auto job = OwnerJob(pod)) return job;
  return AccountedJob(pod);
}

std::optional<Job> SlurmProvisioner::AccountedJob(const Pod& pod) {
  if (pod.record.submissions == 0) return {};
  const std::string name = JobName(parts_.host.lineage(), pod.record.sandbox);
  const auto rows =
      AskAccounting(Call::WithTimeout(kCommandWithin), *parts_.commands, UserWord(pod), {name},
                    std::max<int64_t>(0, pod.record.since - kAccountingMargin));
  if (!rows.ok()) {
    // Many sites have none; it would only have told how the job ended.
    parts_.host.log().Debug("sacct does not tell of a job", {{"sandbox", pod.record.sandbox.str()},
                                                             {"why", rows.status().message()}});
    return {};
  }
  std::optional<Job> found;
  for (const Job& row : *rows) {
    const bool right = !pod.owner || row.identity.id == pod.owner->job;
    if (right && row.identity.name == name && IsFinal(ViewOf(row, true).phase)) found = row;
  }
  return found;
}

}  // namespace interlink::slurm
