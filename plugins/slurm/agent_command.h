// What a pod's job runs once it has the claim: interlink-agent, below a shell that gives it a
// folder of its own on the compute node and takes that away at the end. Pure.
#ifndef INTERLINK_PLUGINS_SLURM_AGENT_COMMAND_H_
#define INTERLINK_PLUGINS_SLURM_AGENT_COMMAND_H_

#include <chrono>
#include <string>
#include <vector>

#include "base/id.h"

namespace interlink::slurm {

struct AgentCommand {
  std::string agent;  // as compute nodes see it
  SandboxId sandbox;
  std::string pod_folder;
  std::string hub;
  std::string server_name;
  std::string transport = "direct";  // or relay, auto: interlink-agent's words
  std::string engine = "crun";
  std::string runtime;       // its program
  std::string state_folder;  // of the compute node
  std::chrono::seconds leave_within{25};
  std::chrono::seconds lease{0};  // that containers live on without an agent; 0: for ever
  bool no_lease = false;          // with `lease` 0: nor does the agent mind that of the site
  bool allow_root = false;
  std::string handler;  // of the pod
  std::vector<std::string> allowed_host_paths;
};

// The agent's own words, without what only its job knows: files, folders, nonce.
std::vector<std::string> AgentWords(const AgentCommand& command);

// For JobScript::command. Nonce and job id come from the job's environment. The node's folder is
// named by the nonce, which nobody could know before, so nobody else has made it. Its exit code is
// the agent's, or kExitNoStateFolder. Of an agent that ended with 0, 2 or kExitUnfit nothing stays.
std::vector<std::string> AgentCommandWords(const AgentCommand& command);

}  // namespace interlink::slurm

#endif  // INTERLINK_PLUGINS_SLURM_AGENT_COMMAND_H_
