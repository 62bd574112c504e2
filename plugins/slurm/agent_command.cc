#include "slurm/agent_command.h"

#include <utility>

#include "slurm/agent_shell.h"
#include "slurm/job_state.h"

namespace interlink::slurm {
namespace {

// $0 is where compute nodes keep state, the rest is the agent's command. Whoever never began says
// so as an agent would (fence.h): nobody else could, and the pod would be waited for. 143 and
// nothing in its folder: it was told before it had begun. 3: something may still run there. One
// line: a job's script takes no other words.
std::string RunAgentText() {
  using namespace agent_shell;  // NOLINT(google-build-using-namespace): the parts of one text
  return std::string(R"sh(state=$0/interlink-$INTERLINK_CLAIM; )sh") +
         R"sh(never() { printf '1 %s ended\n' "$INTERLINK_CLAIM" >left.new && mv -f left.new left; }; )sh" +
         kPassSignals + R"sh(if ! mkdir -m 0700 -- "$state" && [ -z "$told" ]; then )sh" + kDeaf +
         R"sh(echo "interlink: no folder can be made in $0 on $(uname -n)"; never; exit 116; fi; )sh" +
         kMeasureJob + R"sh(code=143; if [ -z "$told" ]; then )sh" + kRunAgent + "fi; " + kDeaf +
         R"sh(if [ "$code" = 143 ] && ! [ -e "$state/pods" ]; then never; rm -rf -- "$state"; exit 143; fi; )sh"
         R"sh(case $code in 0|2|117) chmod -R u+rwx -- "$state" 2>/dev/null; rm -rf -- "$state" ;; )sh"
         R"sh(*) echo "interlink: the agent ended with $code, $state stays on $(uname -n)" ;; esac; )sh"
         R"sh(exit "$code")sh";
}

}  // namespace

std::vector<std::string> AgentWords(const AgentCommand& command) {
  std::vector<std::string> words = {
      "run",           "--sandbox",      command.sandbox.str(),
      "--hub",         command.hub,      "--runtime",
      command.runtime, "--leave-within", std::to_string(command.leave_within.count())};
  if (command.engine != "crun") words.insert(words.end(), {"--engine", command.engine});
  if (command.lease.count() > 0) {
    words.insert(words.end(), {"--shim-lease", std::to_string(command.lease.count())});
  } else if (command.no_lease) {
    words.emplace_back("--no-lease");
  }
  if (!command.server_name.empty()) {
    words.insert(words.end(), {"--server-name", command.server_name});
  }
  if (command.transport != "direct") {
    words.insert(words.end(), {"--transport", command.transport});
  }
  if (!command.allowed_host_paths.empty())
    words.insert(words.end(), {"--handler", command.handler});
  for (const std::string& path : command.allowed_host_paths) {
    words.insert(words.end(), {"--allow-host-path", path});
  }
  if (command.allow_root) words.emplace_back("--allow-root");
  return words;
}

std::vector<std::string> AgentCommandWords(const AgentCommand& command) {
  static_assert(kExitNoStateFolder == 116 && kExitUnfit == 117);
  std::vector<std::string> words = {"/bin/sh", "-c", RunAgentText(), command.state_folder,
                                    command.agent};
  for (std::string& word : AgentWords(command)) words.push_back(std::move(word));
  words.insert(words.end(),
               {"--ca", command.pod_folder + "/ca.pem", "--token", command.pod_folder + "/token",
                "--folder", command.pod_folder, "--shared-folder"});
  return words;
}

}  // namespace interlink::slurm
