// What a job's state means for its pod: one table (job_state.cc), pure.
//
// Nothing here is proof of an end (DESIGN 6.5): that takes the claim or the fence too. The agent's
// own records of exits come first; `exit_code`, `reason` and `message` are for a container of which
// there is none.
//
//   kQueued -> kRunning <-> kSuspended -> kEnding -> kEnded
//      '-> kNeverStarts, kNotBegun              '-> kLost (processes may live on)
#ifndef INTERLINK_PLUGINS_SLURM_JOB_STATE_H_
#define INTERLINK_PLUGINS_SLURM_JOB_STATE_H_

#include <optional>
#include <string>
#include <string_view>

#include "slurm/job.h"

namespace interlink::slurm {

// The job script's own exit codes (job_script.h). No container's: the agent does not run then.
inline constexpr int kExitClaimLost = 113;
inline constexpr int kExitNoPodFolder = 114;
inline constexpr int kExitNotWritable = 115;
inline constexpr int kExitNoStateFolder = 116;  // agent_command.h; it has the claim
inline constexpr int kExitUnfit = 117;          // the agent's; it has the claim, and said why
inline constexpr int kExitNotBrought = 118;     // lone_script.h: no agent was brought to it

enum class Phase {
  kQueued,       // waits; nothing of it runs
  kNeverStarts,  // waits for what cannot come: cancel it, the pod fails
  kRunning,      // the pod is up once its agent has said hello
  kSuspended,    // stopped by SLURM: still running for kubelet, sessions are refused
  kEnding,       // may last until a dead slurmd comes back; not final
  kNotBegun,     // ended before its agent: the script said why
  kClaimLost,  // ended before its agent because another one has the claim; says nothing of the pod
  kEnded,      // SLURM has seen its processes end
  kLost,       // SLURM has given it up; its processes may live on: fence
  kRepeated,   // SLURM runs it again or will, which --no-requeue forbids: cancel it
  kUnknown,    // a state that this version does not know: the last known one stands
};

// CRI's words only, everything else is in the message.
struct JobView {
  Phase phase = Phase::kUnknown;
  int exit_code = 0;           // kEnded, kLost
  std::string reason;          // final: "Error"
  std::string message;         // for a person; names the job
  bool out_of_memory = false;  // a container whose own record says signal 9 was OOMKilled
};

// `asked`: we have cancelled it.
JobView ViewOf(const Job& job, bool asked);

// No process of it runs or will run, as far as SLURM knows: kNotBegun, kClaimLost, kEnded, kLost.
bool IsFinal(Phase phase);

// "queued as job 4711, PENDING (Resources), expected start 2026-01-02T03:04:05Z".
std::string QueueMessage(const Job& job);

}  // namespace interlink::slurm

#endif  // INTERLINK_PLUGINS_SLURM_JOB_STATE_H_
