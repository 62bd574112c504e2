#include "slurm/relay_command.h"

#include "slurm/step_command.h"

namespace interlink::slurm {
namespace {

// $0 the folder with the claim, then nonce, agent, folder of compute nodes, greeting.
constexpr const char* kRelayScript =
    R"sh(PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin; export PATH; )sh"
    R"sh(if ! grep -qx "nonce=$1" "$0/claim" || ! grep -qx "job=$SLURM_JOB_ID" "$0/claim"; then )sh"
    R"sh(echo "interlink: job $SLURM_JOB_ID on $(uname -n) has not this pod" >&2; exit 117; fi; )sh"
    R"sh(exec "$2" relay --socket "$3/interlink-$1/hub.sock" --greeting "$4")sh";

}  // namespace

Result<std::vector<std::string>> RelayCommandWords(const RelayCommand& command) {
  if (!IsJobNonce(command.nonce)) {
    return DataLoss("the pod's claim has no nonce of 32 hex digits");
  }
  ASSIGN_OR_RETURN(auto words, StepWords({command.job, command.host, "interlink-relay",
                                          command.runtime_none, command.user}));
  words.insert(words.end(), {"/bin/sh", "-c", kRelayScript, command.claim_folder, command.nonce,
                             command.agent, command.state_folder, command.greeting});
  return words;
}

}  // namespace interlink::slurm
