#include "slurm/job_state.h"

#include <array>
#include <csignal>

#include "base/clock.h"

namespace interlink::slurm {
namespace {

constexpr int kExitLost = 255;
constexpr int kExitKilled = 128 + SIGKILL;
constexpr int kExitTerminated = 128 + SIGTERM;
constexpr int64_t kNanosPerSecondOfStart = 1'000'000'000;
constexpr size_t kSecondsOfStart = 19;

// What a container without an exit record of its own gets.
enum class ExitFrom {
  kNone,
  kScript,      // the batch script's; 0 is no success of a container that nobody saw
  kTerminated,  // 143, or 137 when the script had to be killed
  kKilled,      // 137
  kNobody,      // 255
};

struct StateRow {
  std::string_view state;
  Phase phase;
  ExitFrom exit;
  std::string_view words;
};

constexpr std::array kStates = {
    StateRow{"PENDING", Phase::kQueued, ExitFrom::kNone, "is queued"},
    StateRow{"CONFIGURING", Phase::kQueued, ExitFrom::kNone, "waits for its machine to get ready"},
    StateRow{"POWER_UP_NODE", Phase::kQueued, ExitFrom::kNone, "waits for its machine to power up"},
    StateRow{"RUNNING", Phase::kRunning, ExitFrom::kNone, "runs"},
    StateRow{"SUSPENDED", Phase::kSuspended, ExitFrom::kNone, "is suspended"},
    StateRow{"STOPPED", Phase::kSuspended, ExitFrom::kNone, "is stopped"},
    StateRow{"SIGNALING", Phase::kSuspended, ExitFrom::kNone, "is being signalled"},
    StateRow{"RESIZING", Phase::kSuspended, ExitFrom::kNone, "is being resized"},
    StateRow{"COMPLETING", Phase::kEnding, ExitFrom::kNone, "is ending"},
    StateRow{"STAGE_OUT", Phase::kEnding, ExitFrom::kNone, "is ending"},
    StateRow{"COMPLETED", Phase::kEnded, ExitFrom::kScript, "ended"},
    StateRow{"FAILED", Phase::kEnded, ExitFrom::kScript, "failed"},
    StateRow{"TIMEOUT", Phase::kEnded, ExitFrom::kTerminated, "reached its time limit"},
    StateRow{"DEADLINE", Phase::kEnded, ExitFrom::kTerminated, "reached its deadline"},
    StateRow{"OUT_OF_MEMORY", Phase::kEnded, ExitFrom::kKilled,
             "took more memory than it was given"},
    StateRow{"CANCELLED", Phase::kEnded, ExitFrom::kKilled, "was cancelled"},
    StateRow{"PREEMPTED", Phase::kEnded, ExitFrom::kTerminated, "was preempted by another job"},
    StateRow{"NODE_FAIL", Phase::kLost, ExitFrom::kNobody, "was lost with its machine"},
    StateRow{"BOOT_FAIL", Phase::kLost, ExitFrom::kNobody, "was lost: its machine did not boot"},
    StateRow{"LAUNCH_FAILED", Phase::kLost, ExitFrom::kNobody,
             "was lost: it could not be launched"},
    StateRow{"RECONFIG_FAIL", Phase::kLost, ExitFrom::kNobody,
             "was lost: its machine could not be configured"},
    StateRow{"REVOKED", Phase::kLost, ExitFrom::kNobody, "was taken back"},
    StateRow{"REQUEUED", Phase::kRepeated, ExitFrom::kNone, "was queued again"},
    StateRow{"REQUEUE_FED", Phase::kRepeated, ExitFrom::kNone, "was queued again"},
    StateRow{"REQUEUE_HOLD", Phase::kRepeated, ExitFrom::kNone, "was queued again and is held"},
    StateRow{"SPECIAL_EXIT", Phase::kRepeated, ExitFrom::kNone, "was queued again and is held"},
    StateRow{"RESV_DEL_HOLD", Phase::kRepeated, ExitFrom::kNone,
             "is held because its reservation was deleted"},
};

// Reasons of PENDING that time does not cure.
constexpr std::array<std::string_view, 7> kHopeless = {
    "DependencyNeverSatisfied", "BadConstraints", "PartitionConfig", "PartitionTimeLimit",
    "PartitionNodeLimit",       "InvalidAccount", "InvalidQOS"};

const StateRow* FindState(std::string_view state) {
  for (const StateRow& row : kStates) {
    if (row.state == state) return &row;
  }
  return nullptr;
}

bool IsHopeless(std::string_view reason) {
  for (const std::string_view hopeless : kHopeless) {
    if (reason == hopeless) return true;
  }
  return false;
}

int ExitCodeOf(ExitFrom from, const JobExit& exit) {
  switch (from) {
    case ExitFrom::kNone:
      return 0;
    case ExitFrom::kScript:
      if (exit.signal != 0) return 128 + exit.signal;
      return exit.code != 0 ? exit.code : kExitLost;
    case ExitFrom::kTerminated:
      return exit.signal == SIGKILL ? kExitKilled : kExitTerminated;
    case ExitFrom::kKilled:
      return kExitKilled;
    case ExitFrom::kNobody:
      break;
  }
  return kExitLost;
}

std::string How(const Job& job) {
  std::string how = " (" + job.state;
  if (!job.reason.empty() && job.reason != "None") how += ", " + job.reason;
  if (job.exit.signal != 0) {
    how += ", signal " + std::to_string(job.exit.signal);
  } else if (job.exit.code != 0) {
    how += ", exit code " + std::to_string(job.exit.code);
  }
  how += ")";
  return job.batch_host.empty() ? how : how + " on " + job.batch_host;
}

std::string Named(const Job& job) { return "job " + std::to_string(job.identity.id) + " "; }

// The script's own words, for a FAILED job whose agent was never started.
std::optional<JobView> ScriptView(const Job& job) {
  if (job.state != "FAILED" || job.exit.signal != 0) return std::nullopt;
  const std::string where = job.batch_host.empty() ? "its machine" : job.batch_host;
  switch (job.exit.code) {
    case kExitClaimLost:
      return JobView{Phase::kClaimLost, 0, "",
                     Named(job) + "left the pod to the job that has its claim", false};
    case kExitNoPodFolder:
      return JobView{Phase::kNotBegun, kExitLost, "Error",
                     Named(job) + "did not find the pod's folder on " + where +
                         ": it must be on a file system that all machines share",
                     false};
    case kExitNotWritable:
      return JobView{Phase::kNotBegun, kExitLost, "Error",
                     Named(job) + "could not write into the pod's folder on " + where +
                         ": the job's user needs it writable, with room left",
                     false};
    case kExitNoStateFolder:
      return JobView{Phase::kNotBegun, kExitLost, "Error",
                     Named(job) + "could not make a folder in StateFolder on " + where +
                         ": it must be there, local and writable",
                     false};
    case kExitUnfit:
      return JobView{Phase::kNotBegun, kExitLost, "Error",
                     Named(job) + "cannot run containers on " + where +
                         ": it needs user namespaces and the program of Engine at RuntimePath",
                     false};
    case kExitNotBrought:
      return JobView{Phase::kNotBegun, kExitLost, "Error",
                     Named(job) + "was not reached by the site on " + where +
                         " within BeginWithin: srun must be able to start a step there",
                     false};
    default:
      return std::nullopt;
  }
}

}  // namespace

JobView ViewOf(const Job& job, bool asked) {
  if (auto view = ScriptView(job)) return *view;
  const StateRow* row = FindState(job.state);
  if (row == nullptr) {
    return {Phase::kUnknown, 0, "",
            Named(job) + "is in a state that is not known here: " + job.state, false};
  }
  JobView view{row->phase, ExitCodeOf(row->exit, job.exit), "", "", false};
  if (row->phase == Phase::kQueued && IsHopeless(job.reason)) view.phase = Phase::kNeverStarts;
  if (job.restarts > 0 && !IsFinal(view.phase)) view.phase = Phase::kRepeated;
  if (IsFinal(view.phase)) view.reason = "Error";
  view.out_of_memory = job.state == "OUT_OF_MEMORY";

  view.message = Named(job) + std::string(row->words);
  if (view.phase == Phase::kNeverStarts) {
    view.message = Named(job) + "will never start";
  } else if (view.phase == Phase::kRepeated && row->phase != Phase::kRepeated) {
    view.message = Named(job) + "was started again by SLURM";
  } else if (job.state == "CANCELLED" && !asked) {
    view.message += " by somebody else";
  }
  view.message += How(job);
  return view;
}

bool IsFinal(Phase phase) {
  return phase == Phase::kNotBegun || phase == Phase::kClaimLost || phase == Phase::kEnded ||
         phase == Phase::kLost;
}

std::string QueueMessage(const Job& job) {
  std::string message = "queued as job " + std::to_string(job.identity.id) + ", " + job.state;
  if (!job.reason.empty() && job.reason != "None") message += " (" + job.reason + ")";
  if (job.start_time > 0) {
    message += ", expected start " +
               FormatRfc3339(job.start_time * kNanosPerSecondOfStart).substr(0, kSecondsOfStart) +
               "Z";
  }
  return message;
}

}  // namespace interlink::slurm
