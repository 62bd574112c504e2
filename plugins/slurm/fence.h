// The fence around a pod that may still run: the proof that a job's own end does not give. Only
// files; who waits, and how long, is the caller's to say (DESIGN 9). Thread-safe.
//
// An agent that leaves says so in `left` and, when it found its heartbeat folder gone, in `fenced`
// ("1 NONCE ended": nothing of the pod runs, nothing starts any more; "1 NONCE unsure"). One that
// says nothing cannot renew its lease once the folder is gone: it begins to stop its containers
// within a lease of its last beat or of the hub's last answer, and has the time for its leave then.
#ifndef INTERLINK_PLUGINS_SLURM_FENCE_H_
#define INTERLINK_PLUGINS_SLURM_FENCE_H_

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/status.h"

namespace interlink::slurm {

// From the end of its lease until an agent has stopped everything: `leave_within` of AgentCommand,
// and 65 s for what it does before, and for shared file systems that see a renamed folder late. At
// least 90 s.
Duration AfterLease(std::chrono::seconds leave_within);

enum class AgentWord { kNone, kUnsure, kEnded };

// What the agent of that claim has said: the better of both files. Files of another nonce say
// nothing. An error: they cannot be read.
Result<AgentWord> ReadAgentWord(const std::string& pod_folder, const std::string& nonce);
// One such file. Pure.
AgentWord ParseAgentWord(std::string_view text, std::string_view nonce);

// Why the agent of that claim never began; empty: it has not said so. An error: as above.
Result<std::string> ReadRefusal(const std::string& pod_folder, const std::string& nonce);

// Takes the heartbeat folder away, durably. OK also when it is gone already. An agent that beats
// later finds out; whoever wants to count a lease counts from after this.
Status RaiseFence(const std::string& pod_folder);

// True: an agent that could last renew its lease at `raised`, and was silent at the hub for
// `silence` (nothing: since before `raised`), is beyond it and has stopped everything. Zero: there
// is no lease, so it never is. `after_lease`: AfterLease.
bool LeaseIsOver(SteadyTime now, SteadyTime raised, std::optional<Duration> silence, Duration lease,
                 Duration after_lease);

}  // namespace interlink::slurm

#endif  // INTERLINK_PLUGINS_SLURM_FENCE_H_
