// The batch script of a job that sees no folder of the site's. Pure.
//
// It makes a folder on its own machine and waits there for its agent, which the site brings through
// a step in the job (delivery_command.h). Nothing of the pod runs before the site's hub has
// welcomed the agent, and the hub welcomes one nonce: that is the claim (claims.h).
//
// STATEFOLDER/interlink-NONCE/   0700, of the job's user, never one that was there
//   claim           nonce, job, restarts, host, boot id; one line "key=value" each
//   interlink-agent ca.pem token delivered   brought; complete with the last one
//   pod/            the agent's (lib/agent/pod_folder.h)
//   job.log         what script and agent print
//   ...             whatever else the agent keeps on this machine
//
// The folder goes with the job, but where something may still run, or nobody knows why it ended.
#ifndef INTERLINK_PLUGINS_SLURM_LONE_SCRIPT_H_
#define INTERLINK_PLUGINS_SLURM_LONE_SCRIPT_H_

#include <chrono>
#include <string>
#include <vector>

#include "base/status.h"

namespace interlink::slurm {

struct LoneScript {
  std::string state_folder;                // of compute nodes; absolute
  std::chrono::seconds begin_within{600};  // no agent was brought until then: it ends
  std::vector<std::string> agent_words;    // AgentWords()
};

// It exits with the agent's code, and 0 only after one that the hub had welcomed; 143: told to end
// before anything ran; kExitNoStateFolder; kExitNotBrought; kExitClaimLost: the hub has refused its
// agent. kInvalidArgument: as of JobScript.
Result<std::string> ScriptText(const LoneScript& script);

}  // namespace interlink::slurm

#endif  // INTERLINK_PLUGINS_SLURM_LONE_SCRIPT_H_
