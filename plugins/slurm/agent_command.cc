#include "slurm/agent_command.h"

#include "slurm/job_state.h"

namespace interlink::slurm {
namespace {

// $0 is where compute nodes keep state, the rest is the agent's command. Whoever never began says
// so as an agent would (fence.h). TERM and the like go to the agent, which ends the pod with it;
// `wait` returns early when one comes. 3: something may still run there.
// One line: a job's script takes no other words.
constexpr const char* kRunAgent =
    R"sh(state=$0/interlink-$INTERLINK_CLAIM; )sh"
    R"sh(if ! mkdir -m 0700 -- "$state"; then )sh"
    R"sh(echo "interlink: no folder can be made in $0 on $(uname -n)"; )sh"
    R"sh(printf '1 %s ended\n' "$INTERLINK_CLAIM" >left.new && mv -f left.new left; exit 116; fi; )sh"
    R"sh("$@" --nonce "$INTERLINK_CLAIM" --allocation "${SLURM_JOB_ID:-0}" --state "$state" & )sh"
    R"sh(agent=$!; trap 'kill -TERM "$agent" 2>/dev/null' TERM INT HUP; )sh"
    R"sh(while :; do wait "$agent"; code=$?; kill -0 "$agent" 2>/dev/null || break; done; )sh"
    R"sh(case $code in 0|2) chmod -R u+rwx -- "$state" 2>/dev/null; rm -rf -- "$state" ;; )sh"
    R"sh(*) echo "interlink: the agent ended with $code, $state stays on $(uname -n)" ;; esac; )sh"
    R"sh(exit "$code")sh";

}  // namespace

std::vector<std::string> AgentCommandWords(const AgentCommand& command) {
  static_assert(kExitNoStateFolder == 116);
  std::vector<std::string> words = {"/bin/sh",
                                    "-c",
                                    kRunAgent,
                                    command.state_folder,
                                    command.agent,
                                    "run",
                                    "--sandbox",
                                    command.sandbox.str(),
                                    "--hub",
                                    command.hub,
                                    "--ca",
                                    command.pod_folder + "/ca.pem",
                                    "--token",
                                    command.pod_folder + "/token",
                                    "--folder",
                                    command.pod_folder,
                                    "--shared-folder",
                                    "--runtime",
                                    command.runtime,
                                    "--leave-within",
                                    std::to_string(command.leave_within.count())};
  if (command.lease.count() > 0) {
    words.insert(words.end(), {"--shim-lease", std::to_string(command.lease.count())});
  }
  if (!command.server_name.empty()) {
    words.insert(words.end(), {"--server-name", command.server_name});
  }
  if (command.allow_root) words.emplace_back("--allow-root");
  return words;
}

}  // namespace interlink::slurm
