// The daemon: builds the objects, wires them, waits for a signal, takes them down in order.
#include <iostream>
#include <optional>

#include "agent_side.h"
#include "auth/authenticator.h"
#include "auth/deny_list.h"
#include "auth/watched_tls.h"
#include "base/core_dump.h"
#include "base/file.h"
#include "base/id.h"
#include "base/open_files.h"
#include "base/timer.h"
#include "commands.h"
#include "config/reload.h"
#include "daemon/exit_code.h"
#include "daemon/reload_format.h"
#include "daemon/signals.h"
#include "images/image_store.h"
#include "images/net_transport.h"
#include "loader/loader.h"
#include "net/io.h"
#include "parts.h"
#include "policy.h"
#include "rest/rest.h"
#include "site/site.h"
#include "site_store/site_store.h"
#include "site_volumes/volume_files.h"
#include "telemetry/log.h"
#include "telemetry/metrics.h"
#include "tokens.h"

namespace interlink::cmd_api {
namespace {

constexpr auto kDrain = std::chrono::seconds(5);

site::Options SiteOptions(const config::ApiConfig& config) {
  site::Options options;
  options.name = config.site_name;
  options.version = INTERLINK_VERSION;
  options.default_handler = config.default_handler;
  options.data_folder = config.data_root_folder;
  options.images_on_this_host = *config.images.on_node_host;
  options.node_gone_after = config.node_gone_after;
  options.step_threads = static_cast<int>(config.limits.step_threads);
  options.step_queue = static_cast<int>(config.limits.step_queue);
  options.pull_threads = static_cast<int>(config.limits.pull_threads);
  options.max_exec_sync_per_node = static_cast<size_t>(config.limits.exec_sync_per_node);
  return options;
}

// Kept beside the store, not in it: the first store's lineage, for as long as the data folder
// lives.
Result<Lineage> ArtefactLineage(const std::string& data_folder, const Lineage& first) {
  const std::string path = data_folder + "/artefact-lineage";
  const auto kept = ReadFile(path, 256);
  if (kept.ok()) {
    const std::string text = kept->substr(0, kept->find('\n'));
    const bool hex = text.find_first_not_of("0123456789abcdef") == std::string::npos;
    if (text.size() == 32 && hex) return Lineage(text);
    return DataLoss("\"" + path + "\" does not hold 32 hex digits: restore it from a backup");
  }
  if (kept.status().code() != Code::kNotFound) return kept.status();
  RETURN_IF_ERROR(WriteFileAtomically(path, first.str() + "\n", 0600)
                      .WithContext("keep the lineage of what runs"));
  return first;
}

// A scheduler's plugin is a provisioner: what it gets, and what its agents run, is one backend.
Result<std::unique_ptr<sdk::Backend>> LoadBackend(const config::PluginConfig& plugin,
                                                  sdk::Host& host, AgentSide& agents) {
  std::unique_ptr<agent_backend::AgentBackend> waiting;
  const auto desk = [&]() -> Result<sdk::AgentDesk*> {
    ASSIGN_OR_RETURN(waiting, agents.MakeBackend(host));
    return waiting.get();
  };
  ASSIGN_OR_RETURN(loader::Loaded made,
                   loader::Load(PluginPath(plugin), host, desk, plugin.options));
  if (made.provisioner == nullptr) return std::move(made.backend);
  waiting->SetProvisioner(std::move(made.provisioner));
  return std::unique_ptr<sdk::Backend>(std::move(waiting));
}

// A plugin that cannot be loaded leaves the others served; a mistake in its options ends the start.
Status LoadPlugins(const config::ApiConfig& config, AgentSide& agents, site::Site& site, Log& log) {
  for (const config::PluginConfig& plugin : config.plugins) {
    const std::string& name = plugin.options.name;
    auto made = LoadBackend(plugin, site.HostFor(name), agents);
    if (made.ok()) {
      RETURN_IF_ERROR(site.AddBackend(name, plugin.options.handlers, *std::move(made))
                          .WithContext(plugin.where));
      continue;
    }
    if (made.status().code() == Code::kInvalidArgument)
      return made.status().WithContext(plugin.where);
    log.Error("a plugin is not loaded, its handlers are not available",
              {{"plugin", name}, {"where", plugin.where}, {"why", made.status().ToString()}});
    site.AddMissing(name, plugin.options.handlers, made.status());
  }
  return {};
}

Result<std::unique_ptr<images::ImageStore>> OpenImages(const config::ApiConfig& config, Log& log) {
  images::Options options;
  options.root =
      config.images.root.empty() ? config.data_root_folder + "/images" : config.images.root;
  options.default_registry = config.images.default_registry;
  options.mirrors = config.images.mirrors;
  ASSIGN_OR_RETURN(auto transport, images::MakeNetTransport(""));
  return images::ImageStore::Open(std::move(options), std::move(transport), log);
}

Status Listen(const config::ApiConfig& config, std::shared_ptr<const net::TlsContext> tls,
              net::Io& io, rest::Edge& edge, Log& log) {
  ASSIGN_OR_RETURN(auto listener, net::Listener::Tcp(io, config.address, config.port, tls));
  const uint16_t port = listener->port();
  const std::string control = config.control_socket.empty()
                                  ? config.data_root_folder + "/control.sock"
                                  : config.control_socket;
  ASSIGN_OR_RETURN(auto control_listener, net::Listener::OnUnix(io, control, 0600));
  edge.Serve(std::move(control_listener), rest::Face::kControl);
  if (config.operator_port != 0) {
    ASSIGN_OR_RETURN(auto operator_listener,
                     net::Listener::Tcp(io, "127.0.0.1", config.operator_port, nullptr));
    edge.Serve(std::move(operator_listener), rest::Face::kOperator);
  }
  edge.Serve(std::move(listener), rest::Face::kSite);
  log.Info("serving", {{"address", config.address},
                       {"port", std::to_string(port)},
                       {"site", config.site_name},
                       {"version", INTERLINK_VERSION}});
  return {};
}

// What is read again beside the configuration. Null pointers: there is none.
std::vector<config::ReloadedPart> PartsOf(auth::WatchedTls* certificates, auth::TokenFile* tokens,
                                          auth::PolicyFile* policy, auth::DenyList* denied) {
  std::vector<config::ReloadedPart> parts;
  const auto add = [&parts](const char* name, auto* part) {
    if (part != nullptr) parts.push_back({name, [part] { return part->Prepare(); }});
  };
  add("certificates", certificates);
  add("tokens", tokens);
  add("policy", policy);
  add("deny list", denied);
  return parts;
}

Status Run(const config::ApiConfig& config, const config::Environment& environment,
           telemetry::DaemonLog& log) {
  const sigset_t signals = cmd_daemon::BlockSignals();
  RaiseOpenFilesLimit(log);
  StayOutOfCoreDumps(log);
  RETURN_IF_ERROR(MakeDirectories(config.data_root_folder, 0700));
  ASSIGN_OR_RETURN(const auto store, site_store::Open(config.data_root_folder + "/store"));
  ASSIGN_OR_RETURN(const auto images, OpenImages(config, log));
  const auto metrics = telemetry::OpenMetrics();
  const SystemClock clock;
  ASSIGN_OR_RETURN(
      const auto volumes,
      site_volumes::Open({.folder = config.data_root_folder + "/volumes"}, log, clock));
  Timer timer;
  net::Io io;
  std::shared_ptr<net::TlsContext> tls;  // owners: this, the listener, who watches it
  if (config.tls.enabled) {
    ASSIGN_OR_RETURN(tls, net::TlsContext::Server(config.tls.files, config.client_auth));
  }
  std::unique_ptr<auth::DenyList> denied;  // null: none is configured
  if (!config.auth.deny_file.empty()) {
    ASSIGN_OR_RETURN(denied, auth::DenyList::Open(config.auth.deny_file, timer, log,
                                                  config.certificate_is_enough));
  }
  std::function<bool(const net::Peer&)> revoked;  // null: nobody ever is
  if (!config.tls.files.crl_file.empty())
    revoked = [tls](const net::Peer& peer) { return tls->Revokes(peer.certificate_id); };
  ASSIGN_OR_RETURN(const TokenReaders tokens, OpenTokens(config, io, timer, log, clock));
  ASSIGN_OR_RETURN(
      const auth::Authenticator authenticator,
      auth::Authenticator::Create({.client_auth = config.client_auth,
                                   .rule = {config.auth.uri_prefix, config.auth.common_name_prefix},
                                   .require_token = config.auth.require_token,
                                   .revoked = revoked},
                                  tokens.verifier(), denied.get()));
  std::unique_ptr<auth::PolicyFile> policy;      // null: none is configured
  std::optional<site_policy::SitePolicy> rules;  // by `policy`
  if (!config.policy_file.empty()) {
    ASSIGN_OR_RETURN(policy, OpenPolicy(config, timer, log));
    rules.emplace(PolicyParts(*policy, config));
  }
  std::unique_ptr<auth::AuditLog> audit;  // null: none is configured
  if (!config.audit.folder.empty()) {
    ASSIGN_OR_RETURN(
        audit, auth::AuditLog::Open(
                   config::AuditOptionsOf(config.audit, "interlink-api", config.site_name), log,
                   *metrics, clock));
  }
  site::Options options = SiteOptions(config);
  ASSIGN_OR_RETURN(options.artefact_lineage,
                   ArtefactLineage(config.data_root_folder, store->lineage()));
  // Before the site, whose backends ask the hub until they are gone.
  ASSIGN_OR_RETURN(const auto agents, AgentSide::Start(config, io, log, clock));
  std::optional<auth::WatchedTls> certificates;  // nothing: there are none
  if (tls != nullptr)
    certificates.emplace(tls, timer, log, [&agents] { agents->RenewCertificate(); });
  ASSIGN_OR_RETURN(const auto site,
                   site::Site::Create(options, {*store, *images, *volumes, log, *metrics, clock,
                                                rules ? &*rules : nullptr}));
  RETURN_IF_ERROR(LoadPlugins(config, *agents, *site, log));
  config::Reloader<config::ApiConfig> reloader(
      config,
      cmd_daemon::ReloadFormat<config::ApiConfig>(
          [file = config.file, environment] { return config::LoadApiConfig(file, environment); },
          config::ApiKeys, log),
      PartsOf(certificates ? &*certificates : nullptr, tokens.file.get(), policy.get(),
              denied.get()));
  rest::Edge edge(
      {.site = config.site_name,
       .max_connections = static_cast<size_t>(config.limits.connections),
       .max_connections_per_node = static_cast<size_t>(config.limits.connections_per_node),
       .max_requests_per_node = static_cast<size_t>(config.limits.requests_per_node)},
      {*site, authenticator, io, log, *metrics, [&metrics] { return metrics->Expose(); },
       audit.get(), rules ? ThrottleOf(*rules) : nullptr,
       [&reloader] { return reloader.Reload(); }});
  site->Start();
  const Status listening = Listen(config, tls, io, edge, log);
  if (listening.ok()) {
    cmd_daemon::AwaitEnd(
        signals, [&reloader] { return reloader.Reload(); }, log);
    log.Info("stopping: what runs goes on", {});
  }
  edge.Stop(kDrain);
  site->Stop();
  agents->Stop();
  io.Stop();
  if (audit != nullptr) audit->Stop(kDrain);
  return listening;
}

}  // namespace

int Serve(const config::ApiConfig& config, const config::Environment& environment) {
  const auto log = telemetry::OpenLog(
      {.verbose = config.verbose_logging, .errors_only = config.errors_only_logging});
  const Status status = Run(config, environment, *log);
  if (!status.ok()) {
    std::cerr << "interlink-api: " << status.message() << "\n";
    return cmd_daemon::ExitCodeOf(status);
  }
  return 0;
}

}  // namespace interlink::cmd_api
