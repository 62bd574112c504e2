// A step of a pod's job that takes the agent and what it needs from its stdin, into the folder that
// the job's script has made (lone_script.h). Pure.
//
// What it prints, each line beginning with the greeting:
//
//   GREETING none                   the script has made no folder yet: nothing follows
//   GREETING send CLAIM             CLAIM: the words of the claim's file, blanks between
//   GREETING done CLAIM             everything is there already: nothing follows
//   GREETING ok                     after "send": everything has come and is in place
//
// Of several folders of one job, which SLURM may run twice, it takes the newest.
#ifndef INTERLINK_PLUGINS_SLURM_DELIVERY_COMMAND_H_
#define INTERLINK_PLUGINS_SLURM_DELIVERY_COMMAND_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "slurm/file_owner.h"

namespace interlink::slurm {

struct DeliveryCommand {
  uint64_t job = 0;
  std::string host;          // the job's first machine, as SLURM names it
  std::string state_folder;  // of compute nodes: LoneScript's
  std::string greeting;      // nothing that a prolog prints
  bool runtime_none = false;
  std::optional<FileOwner> user;  // Step::user
  // Bytes, in the order in which they come on stdin.
  uint64_t agent_size = 0;
  uint64_t ca_size = 0;
  uint64_t token_size = 0;
};

// The words of srun. kDataLoss: SLURM names no machine.
Result<std::vector<std::string>> DeliveryCommandWords(const DeliveryCommand& command);

}  // namespace interlink::slurm

#endif  // INTERLINK_PLUGINS_SLURM_DELIVERY_COMMAND_H_
