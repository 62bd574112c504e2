// interlink-cri: the node's daemon and its commands.
#include <CLI/CLI.hpp>
#include <cstdlib>
#include <iostream>

#include "commands.h"
#include "daemon/audit_commands.h"

namespace {

interlink::config::Environment CollectEnvironment() {
  interlink::config::Environment environment;
  for (const char* name : interlink::config::kCriVariables) {
    const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): before any thread
    if (value != nullptr) environment[name] = value;
  }
  return environment;
}

}  // namespace

int main(int argc, char** argv) {
  using namespace interlink::cmd_cri;  // NOLINT(google-build-using-namespace): the commands
  CLI::App app("A CRI runtime that runs pods at a remote site.", "interlink-cri");
  std::string config_file;
  app.add_option(
      "--config", config_file,
      "configuration file (default: INTERLINK_CRI_CONFIG, then /etc/interlink/cri/config.yaml)");
  app.require_subcommand(0, 1);
  app.fallthrough();
  app.add_subcommand("serve", "run the daemon (the default)");
  auto* config = app.add_subcommand("config", "show the configuration in force");
  bool defaults = false;
  config->add_flag("--default", defaults, "show every key with its default instead");
  bool reference = false;
  config->add_flag("--reference", reference, "")->group("");  // hidden: makes docs/config-cri.md
  auto* check =
      app.add_subcommand("check", "check configuration, certificates and (with --online) the site");
  bool online = false;
  check->add_flag("--online", online, "ask the site too");
  auto* status = app.add_subcommand("status", "show what the running daemon says of itself");
  auto* wipe = app.add_subcommand(
      "wipe",
      "remove every record of this node, here and at the site; refuses while work is alive");
  std::string forget;
  wipe->add_option("--forget", forget, "the name of a site that is gone for good");
  auto* reload = app.add_subcommand(
      "reload", "make the running daemon read configuration and certificates again");
  auto* version = app.add_subcommand("version", "show the version");
  const interlink::cmd_daemon::AuditCommands audit(app, "interlink-cri",
                                                   interlink::cmd_daemon::AuditOf::kNode);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    return code == 0 ? 0 : 2;
  }
  if (version->parsed()) {
    std::cout << "interlink-cri " << INTERLINK_VERSION << "\n";
    return 0;
  }
  if (config->parsed() && reference) return PrintReference();
  if (config->parsed() && defaults) return PrintDefaults();
  if (audit.parsed() && audit.names_folder()) return audit.Run({});
  const auto environment = CollectEnvironment();
  const auto loaded = interlink::config::LoadCriConfig(config_file, environment);
  if (!loaded.ok()) {
    std::cerr << "interlink-cri: " << loaded.status().message() << "\n";
    return 2;
  }
  if (config->parsed()) return PrintConfig(*loaded);
  if (audit.parsed()) return audit.Run(loaded->audit);
  if (check->parsed()) return Check(*loaded, online);
  if (status->parsed()) return ShowStatus(*loaded);
  if (wipe->parsed()) return Wipe(*loaded, forget);
  if (reload->parsed()) return Reload(*loaded);
  return Serve(*loaded, environment);
}
