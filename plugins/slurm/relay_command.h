// A step of a pod's job that carries the agent's connection over srun's stdio. Pure.
//
// Its first process compares the claim: nothing passes unless this nonce has the pod and the job
// that has it is the one in which the step runs. An id may have been handed out again.
#ifndef INTERLINK_PLUGINS_SLURM_RELAY_COMMAND_H_
#define INTERLINK_PLUGINS_SLURM_RELAY_COMMAND_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "slurm/file_owner.h"

namespace interlink::slurm {

struct RelayCommand {
  uint64_t job = 0;
  std::string host;          // the job's first machine, as SLURM names it
  std::string nonce;         // of the claim
  std::string claim_folder;  // that has the claim
  std::string agent;         // as compute nodes see it
  std::string state_folder;  // of compute nodes: AgentCommand's
  std::string greeting;      // the first line of the step's stdout
  bool runtime_none = false;
  std::optional<FileOwner> user;  // Step::user
};

// The words of srun. kDataLoss: a claim that no job script has written.
Result<std::vector<std::string>> RelayCommandWords(const RelayCommand& command);

}  // namespace interlink::slurm

#endif  // INTERLINK_PLUGINS_SLURM_RELAY_COMMAND_H_
