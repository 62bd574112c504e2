// interlink-agent: the supervisor of one pod inside an allocation. README.md beside this file.
#include <CLI/CLI.hpp>
#include <iostream>

#include "run.h"

int main(int argc, char** argv) {
  using namespace interlink::cmd_agent;  // NOLINT(google-build-using-namespace): the command
  CLI::App app("Runs the containers of one pod in an allocation of a site.", "interlink-agent");
  app.require_subcommand(1);
  RunOptions options;
  auto* run = app.add_subcommand("run", "dial the site and obey it until the pod has ended");
  run->add_option("--sandbox", options.sandbox, "the sandbox's id")->required();
  run->add_option("--nonce", options.nonce, "of the claim, 32 to 64 hex digits")->required();
  run->add_option("--hub", options.hub, "HOST:PORT of the site's agent hub")->required();
  run->add_option("--server-name", options.server_name,
                  "the name in the site's certificate (default: the host of --hub)");
  run->add_option("--ca", options.ca_file, "PEM file of the site's CA, mode 0600")->required();
  run->add_option("--token", options.token_file, "file of the pod's token, mode 0600")->required();
  run->add_option("--folder", options.folder, "the pod's folder: exits, term")->required();
  run->add_option("--state", options.state,
                  "folder of the containers, on a local file system (default: FOLDER/state)");
  run->add_option("--allocation", options.allocation, "what the scheduler gave, e.g. its job id");
  run->add_option("--runtime", options.runtime, "the OCI runtime (default: /usr/bin/crun)");
  run->add_option("--leave-within", options.leave_within_seconds,
                  "seconds from TERM to the end, graces included (default: 25)")
      ->check(CLI::Range(1, 86400));
  run->add_option("--shim-lease", options.shim_lease_seconds,
                  "seconds that containers live on without an agent (default: for ever)")
      ->check(CLI::Range(1, 86400));
  run->add_flag("--shared-folder", options.shared_folder,
                "the site has --folder too, with FOLDER/heartbeat in it: beat there");
  run->add_flag("--allow-root", options.allow_root, "containers may be root of this machine");
  run->add_flag("--supervised", options.supervised, "")->group("");  // by interlink-shim supervise
  auto* version = app.add_subcommand("version", "show the version");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    return code == 0 ? 0 : 2;
  }
  if (version->parsed()) {
    std::cout << "interlink-agent " << INTERLINK_VERSION << "\n";
    return 0;
  }
  return Run(options, argv);
}
