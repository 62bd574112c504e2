// interlink-agent: the supervisor of one pod inside an allocation. README.md beside this file.
#include <CLI/CLI.hpp>
#include <iostream>

#include "relay.h"
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
  run->add_option(
         "--transport", options.transport,
         "how the hub is reached: direct (default), by a relay at STATE/hub.sock, or auto: "
         "one after the other")
      ->check(CLI::IsMember({"direct", "relay", "auto"}));
  run->add_option("--server-name", options.server_name,
                  "the name in the site's certificate (default: the host of --hub)");
  run->add_option("--ca", options.ca_file, "PEM file of the site's CA, mode 0600")->required();
  run->add_option("--token", options.token_file, "file of the pod's token, mode 0600")->required();
  run->add_option("--folder", options.folder, "the pod's folder: exits, term")->required();
  run->add_option("--state", options.state,
                  "folder of the containers, on a local file system (default: FOLDER/state)");
  run->add_option("--allocation", options.allocation, "what the scheduler gave, e.g. its job id");
  run->add_option("--engine", options.engine,
                  "what makes containers: crun (default) or ch-run, without root");
  run->add_option("--runtime", options.runtime,
                  "the engine's program (default: /usr/bin/ and its name)");
  auto* handler = run->add_option("--handler", options.handler, "of the pod, for --allow-...");
  run->add_option("--allow-host-path", options.allowed_host_paths,
                  "a path of this machine that the pod may mount, with everything below")
      ->needs(handler);
  run->add_option("--memory-mib", options.memory_mib,
                  "of the allocation: a container that asks for more is refused (0: not known)")
      ->check(CLI::NonNegativeNumber);
  run->add_option("--cpus", options.cpus, "the same (0: not known)")->check(CLI::NonNegativeNumber);
  run->add_option("--leave-within", options.leave_within_seconds,
                  "seconds from TERM to the end, graces included (default: 25)")
      ->check(CLI::Range(1, 86400));
  auto* shim_lease =
      run->add_option("--shim-lease", options.shim_lease_seconds,
                      "seconds that containers live on without an agent (default: for ever)")
          ->check(CLI::Range(1, 86400));
  run->add_flag("--shared-folder", options.shared_folder,
                "the site has --folder too, with FOLDER/heartbeat in it: beat there");
  run->add_flag("--no-lease", options.no_lease,
                "go on however long the site is away, whatever lease it gives")
      ->excludes(shim_lease);
  run->add_flag("--allow-root", options.allow_root,
                "run as root: the root of a container is this machine's");
  run->add_flag("--supervised", options.supervised, "")->group("");  // by interlink-shim supervise
  RelayCommandOptions relay_options;
  auto* relay = app.add_subcommand("relay", "carry an agent's connection over stdin and stdout");
  relay->add_option("--socket", relay_options.socket, "where the agent dials: STATE/hub.sock")
      ->required();
  relay->add_option("--greeting", relay_options.greeting, "the first line on stdout")->required();
  relay->add_option("--wait", relay_options.wait_seconds, "seconds for the agent (default: 30)")
      ->check(CLI::Range(1, 3600));
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
  if (relay->parsed()) return Relay(relay_options);
  return Run(options, argv);
}
