// The daemon: builds the objects, wires them, waits for a signal, takes them down in order.
#include <iostream>
#include <memory>
#include <utility>
#include <vector>

#include "auth/watched_tls.h"
#include "base/core_dump.h"
#include "base/open_files.h"
#include "base/timer.h"
#include "commands.h"
#include "config/reload.h"
#include "cri/http.h"
#include "cri/server.h"
#include "cri_log/cri_log.h"
#include "daemon/exit_code.h"
#include "daemon/reload_format.h"
#include "daemon/signals.h"
#include "kubelet_volumes/kubelet_volumes.h"
#include "net/io.h"
#include "node/node.h"
#include "node_store/node_store.h"
#include "parts.h"
#include "site_client/site_client.h"
#include "streaming/server.h"
#include "syscall_filter.h"
#include "telemetry/log.h"
#include "telemetry/metrics.h"

namespace interlink::cmd_cri {
namespace {

constexpr auto kDrain = std::chrono::seconds(5);

node::Options NodeOptions(const config::CriConfig& config, const std::string& site) {
  node::Options options;
  options.site_name = site;
  options.data_folder = config.data_root_folder;
  options.runtime_handler = config.cri.runtime_handler;
  options.default_handler = config.cri.default_handler;
  options.plugin_config = config.plugin_config;
  options.version = INTERLINK_VERSION;
  options.request_timeout = config.cri.request_timeout;
  options.max_sessions = static_cast<size_t>(config.cri.stream_sessions);
  return options;
}

streaming::Options StreamOptions(const config::CriConfig& config,
                                 std::shared_ptr<const net::TlsContext> tls) {
  streaming::Options options;
  options.address = config.cri.stream_server_address;
  options.port = static_cast<uint16_t>(config.cri.stream_server_port);
  options.limits.sessions = static_cast<size_t>(config.cri.stream_sessions);
  options.tls = std::move(tls);
  return options;
}

// The TLS contexts of the daemon, which follow their files.
struct Certificates {
  std::shared_ptr<net::TlsContext> site;     // owners: this, connections, who watches it
  std::shared_ptr<net::TlsContext> streams;  // the same; null: the addresses are plain HTTP
  std::vector<std::unique_ptr<auth::WatchedTls>> watched;

  std::vector<config::ReloadedPart> parts() const {
    std::vector<config::ReloadedPart> parts;
    for (const auto& one : watched)
      parts.push_back({"certificates", [raw = one.get()] { return raw->Prepare(); }});
    return parts;
  }
};

Result<Certificates> OpenCertificates(const config::CriConfig& config, Timer& timer, Log& log) {
  Certificates certificates;
  ASSIGN_OR_RETURN(certificates.site, SiteTls(config));
  if (config.cri.stream_tls.enabled) {
    ASSIGN_OR_RETURN(certificates.streams,
                     net::TlsContext::Server(config.cri.stream_tls.files, net::ClientAuth::kNone));
  }
  for (const auto& context : {certificates.site, certificates.streams}) {
    if (context != nullptr)
      certificates.watched.push_back(std::make_unique<auth::WatchedTls>(context, timer, log));
  }
  return certificates;
}

Status Run(const config::CriConfig& config, const config::Environment& environment,
           telemetry::DaemonLog& log) {
  const sigset_t signals = cmd_daemon::BlockSignals();
  RaiseOpenFilesLimit(log);
  StayOutOfCoreDumps(log);
  StayWithinSystemCalls(log);
  ASSIGN_OR_RETURN(const auto store, node_store::Open(config.data_root_folder + "/store"));
  const auto metrics = telemetry::OpenMetrics();
  const SystemClock clock;
  Timer timer;
  ASSIGN_OR_RETURN(const Certificates certificates, OpenCertificates(config, timer, log));
  // Before `io`, whose last connections may still be asking for one.
  config::Reloader<config::CriConfig> reloader(
      config,
      cmd_daemon::ReloadFormat<config::CriConfig>(
          [file = config.file, environment] { return config::LoadCriConfig(file, environment); },
          config::CriKeys, log),
      certificates.parts());
  const net::Endpoint endpoint = SiteEndpoint(config, certificates.site);
  net::Io io;
  ASSIGN_OR_RETURN(const NodeTokens tokens, OpenTokens(config, io, timer, log));
  site_client::Options site_options{
      .endpoint = endpoint, .user_agent = std::string("interlink-cri/") + INTERLINK_VERSION};
  if (tokens.any()) {
    site_options.token = [&tokens] { return tokens.Token(); };
    site_options.token_refused = [&tokens] { tokens.Refused(); };
  }
  const auto site = site_client::Create(io, std::move(site_options), log);
  const auto logs = cri_log::Open(log, *metrics);
  const auto volumes = kubelet_volumes::Open(config.cri.kubelet_folder);
  auto streams = streaming::Server::Create(StreamOptions(config, certificates.streams),
                                           {io, log, *metrics, clock});
  if (!streams.ok())
    return streams.status().WithContext("CRI.StreamServerAddress, CRI.StreamServerPort");
  ASSIGN_OR_RETURN(const auto node, node::Node::Create(NodeOptions(config, endpoint.Name()),
                                                       {*store, *site, *logs, *volumes, log,
                                                        *metrics, clock, **streams}));
  std::unique_ptr<auth::AuditLog> audit;  // null: none is configured
  if (!config.audit.folder.empty()) {
    ASSIGN_OR_RETURN(
        audit,
        auth::AuditLog::Open(config::AuditOptionsOf(config.audit, "interlink-cri", endpoint.Name()),
                             log, *metrics, clock));
  }
  node->Start();
  (*streams)->Start(node->sessions());
  const auto http = cri::HttpOf(
      {*node, [&metrics] { return metrics->Expose(); }, [&reloader] { return reloader.Reload(); }});
  auto server = cri::Server::Start({config.socket_file, config.cri.request_timeout},
                                   {*node, io, http, log, *metrics, audit.get()});
  if (!server.ok()) {
    (*streams)->Stop(kDrain);
    node->Stop();
    io.Stop();
    return server.status();
  }
  log.Info(
      "serving",
      {{"socket", config.socket_file}, {"site", endpoint.Name()}, {"version", INTERLINK_VERSION}});
  cmd_daemon::AwaitEnd(
      signals, [&reloader] { return reloader.Reload(); }, log);
  log.Info("stopping: what runs at the site goes on", {});
  logs->SetDurable({});
  // Sessions while the node can still end them at the site.
  (*streams)->Stop(kDrain);
  // Replies first, so that gRPC has nothing left to wait for; then the socket; the store last.
  node->Stop();
  (*server)->Stop(kDrain);
  io.Stop();
  if (audit != nullptr) audit->Stop(kDrain);
  return {};
}

}  // namespace

int Serve(const config::CriConfig& config, const config::Environment& environment) {
  const auto log = telemetry::OpenLog(
      {.verbose = config.verbose_logging, .errors_only = config.errors_only_logging});
  if (!config.cri.enabled) {
    log->Warning("CRI.Enabled is false: nothing is served", {{"configuration", config.file}});
    return 0;
  }
  const Status status = Run(config, environment, *log);
  if (!status.ok()) {
    std::cerr << "interlink-cri: " << status.message() << "\n";
    return cmd_daemon::ExitCodeOf(status);
  }
  return 0;
}

}  // namespace interlink::cmd_cri
