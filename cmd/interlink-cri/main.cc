// interlink-cri: the node's daemon and its commands.
#include <CLI/CLI.hpp>
#include <cstdlib>
#include <iostream>

#include "commands.h"

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
  auto* audit = app.add_subcommand("audit", "the audit log of this daemon")->require_subcommand(1);
  std::string audit_folder;
  std::vector<std::string> audit_keys;
  interlink::auth::AuditFilter filter;
  auto* verify = audit->add_subcommand("verify", "whether it is whole and signed");
  verify->add_option("--key", audit_keys,
                     "a key that may have signed it, PEM (default: Audit.SigningKeyFile)");
  auto* show = audit->add_subcommand("show", "what it says");
  for (auto* command : {verify, show})
    command->add_option("--folder", audit_folder, "where it is (default: Audit.Folder)");
  show->add_option("--id", filter.id,
                   "only this sandbox, container or request; its beginning is enough");
  show->add_option("--since", filter.since, "only from this time on, as 2026-11-29T10:00");
  show->add_flag("--denied", filter.denied, "only what was denied");
  show->add_flag("--json", filter.json, "the lines as they are, for programs");
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
  interlink::config::AuditConfig elsewhere;
  elsewhere.folder = audit_folder;
  if (verify->parsed() && !audit_folder.empty()) return VerifyAudit(elsewhere, audit_keys);
  if (show->parsed() && !audit_folder.empty()) return ShowAudit(elsewhere, filter);
  const auto environment = CollectEnvironment();
  const auto loaded = interlink::config::LoadCriConfig(config_file, environment);
  if (!loaded.ok()) {
    std::cerr << "interlink-cri: " << loaded.status().message() << "\n";
    return 2;
  }
  if (config->parsed()) return PrintConfig(*loaded);
  if (verify->parsed()) return VerifyAudit(loaded->audit, audit_keys);
  if (show->parsed()) return ShowAudit(loaded->audit, filter);
  if (check->parsed()) return Check(*loaded, online);
  if (status->parsed()) return ShowStatus(*loaded);
  if (wipe->parsed()) return Wipe(*loaded, forget);
  if (reload->parsed()) return Reload(*loaded);
  return Serve(*loaded, environment);
}
