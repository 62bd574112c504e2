// interlink-api: the site's daemon and its commands.
#include <CLI/CLI.hpp>
#include <cstdlib>
#include <iostream>

#include "commands.h"
#include "daemon/audit_commands.h"

namespace {

interlink::config::Environment CollectEnvironment() {
  interlink::config::Environment environment;
  for (const char* name : interlink::config::kApiVariables) {
    const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): before any thread
    if (value != nullptr) environment[name] = value;
  }
  return environment;
}

}  // namespace

int main(int argc, char** argv) {
  using namespace interlink::cmd_api;  // NOLINT(google-build-using-namespace): the commands
  CLI::App app("Runs pods of remote nodes at this site.", "interlink-api");
  std::string config_file;
  app.add_option(
      "--config", config_file,
      "configuration file (default: INTERLINK_API_CONFIG, then /etc/interlink/api/config.yaml)");
  app.require_subcommand(0, 1);
  app.fallthrough();
  app.add_subcommand("serve", "run the daemon (the default)");
  auto* config = app.add_subcommand("config", "show the configuration in force");
  bool defaults = false;
  config->add_flag("--default", defaults, "show every key with its default instead");
  bool reference = false;
  config->add_flag("--reference", reference, "")->group("");  // hidden: makes docs/config-api.md
  auto* check =
      app.add_subcommand("check", "check configuration, certificates, tokens and plugins");
  auto* status = app.add_subcommand("status", "show the nodes that the running daemon knows");
  auto* reload = app.add_subcommand(
      "reload", "make the running daemon read configuration, certificates and policy again");
  auto* version = app.add_subcommand("version", "show the version");
  auto* node = app.add_subcommand("node", "what the site knows of nodes")->require_subcommand(1);
  auto* list = node->add_subcommand("list", "all nodes");
  bool json = false;
  for (auto* command : {list, status}) command->add_flag("--json", json, "JSON, for programs");
  std::string name;
  auto* takeover =
      node->add_subcommand("takeover", "accept the node's next link, whatever store it has");
  takeover->add_option("NODE", name)->required();
  auto* drop = node->add_subcommand(
      "drop", "remove all work of a node that does not return, then forget it");
  drop->add_option("NODE", name)->required();
  auto* policy = app.add_subcommand("policy", "try a policy file")->require_subcommand(1);
  std::string policy_file;
  std::string policy_request;
  auto* policy_check = policy->add_subcommand("check", "whether it is right");
  auto* explain = policy->add_subcommand("explain", "what it says to a request, and why");
  for (auto* command : {policy_check, explain})
    command->add_option("FILE", policy_file, "the rules, YAML")->required();
  explain->add_option("REQUEST", policy_request, "a request, YAML (docs/config-policy.md)")
      ->required();
  auto* policy_reference =
      policy->add_subcommand("reference", "")->group("");  // hidden: makes docs/config-policy.md
  auto* forget = app.add_subcommand("forget", "declare a sandbox or container dead");
  std::string dead;
  forget->add_option("--dead", dead, "its full id")->required();
  const interlink::cmd_daemon::AuditCommands audit(app, "interlink-api",
                                                   interlink::cmd_daemon::AuditOf::kSite);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    return code == 0 ? 0 : 2;
  }
  if (version->parsed()) {
    std::cout << "interlink-api " << INTERLINK_VERSION << "\n";
    return 0;
  }
  if (policy_check->parsed()) return CheckPolicy(policy_file);
  if (explain->parsed()) return ExplainPolicy(policy_file, policy_request);
  if (policy_reference->parsed()) return PrintPolicyReference();
  if (config->parsed() && reference) return PrintReference();
  if (config->parsed() && defaults) return PrintDefaults();
  if (audit.parsed() && audit.names_folder()) return audit.Run({});
  const auto environment = CollectEnvironment();
  const auto loaded = interlink::config::LoadApiConfig(config_file, environment);
  if (!loaded.ok()) {
    std::cerr << "interlink-api: " << loaded.status().message() << "\n";
    return 2;
  }
  if (config->parsed()) return PrintConfig(*loaded);
  if (audit.parsed()) return audit.Run(loaded->audit);
  if (check->parsed()) return Check(*loaded);
  if (list->parsed() || status->parsed()) return ListNodes(*loaded, json);
  if (takeover->parsed()) return Takeover(*loaded, name);
  if (drop->parsed()) return DropNode(*loaded, name);
  if (forget->parsed()) return ForgetDead(*loaded, dead);
  if (reload->parsed()) return Reload(*loaded);
  return Serve(*loaded, environment);
}
