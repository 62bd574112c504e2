#include "agent_side.h"

#include "base/file.h"
#include "parts.h"

namespace interlink::cmd_api {
namespace {

constexpr size_t kMaxCaFile = 1U << 20U;

std::chrono::milliseconds Milliseconds(Duration duration) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(duration);
}

}  // namespace

Result<std::unique_ptr<AgentSide>> AgentSide::Start(const config::ApiConfig& config, net::Io& io,
                                                    Log& log, const Clock& clock) {
  const config::AgentsConfig& agents = config.agents;
  std::unique_ptr<AgentSide> side(new AgentSide(agents, log));  // NOLINT: private constructor
  if (agents.port == 0) return side;
  RETURN_IF_ERROR(CheckAgents(config));
  ASSIGN_OR_RETURN(std::string ca_pem, ReadFile(agents.ca_cert_file, kMaxCaFile));
  {
    MutexLock lock(side->mutex_);
    side->ca_pem_ = std::move(ca_pem);
  }
  agent_hub::HubOptions options;
  options.folder = config.data_root_folder + "/agents";
  options.address = agents.address;
  options.port = agents.port;
  options.cert_file = config.tls.files.cert_file;
  options.key_file = config.tls.files.key_file;
  options.site = config.site_name;
  options.heartbeat = Milliseconds(agents.heartbeat);
  options.lease = Milliseconds(agents.lease);
  options.max_agents = static_cast<size_t>(agents.max_agents);
  auto hub = agent_hub::AgentHub::Start(std::move(options), side->directory_, io, log, clock);
  if (!hub.ok()) return hub.status().WithContext("Agents");
  side->hub_ = *std::move(hub);
  log.Info("agents may call in", {{"address", agents.address},
                                  {"port", std::to_string(side->hub_->port())},
                                  {"as", agents.public_address}});
  return side;
}

Result<std::unique_ptr<agent_backend::AgentBackend>> AgentSide::MakeBackend(sdk::Host& host) {
  if (hub_ == nullptr) return NeedsAgents();
  agent_backend::AgentBackendOptions options;
  options.hub = config_.public_address;
  options.server_name = config_.server_name;
  options.ca_pem = [this] { return CaPem(); };
  options.lease = config_.lease;
  options.idle_timeout = config_.idle_timeout;
  options.heartbeat = config_.heartbeat;
  return agent_backend::AgentBackend::Create(host, agent_backend::AgentsOf(*hub_), directory_,
                                             std::move(options));
}

std::string AgentSide::CaPem() {
  auto fresh = ReadFile(config_.ca_cert_file, kMaxCaFile);
  const bool is_pem = fresh.ok() && fresh->find("-----BEGIN CERTIFICATE-----") != std::string::npos;
  if (!is_pem) {
    log_.Error("the agents' authority cannot be read, that of before is given to who starts",
               {{"file", config_.ca_cert_file},
                {"reason", fresh.ok() ? "it is not a PEM certificate" : fresh.status().message()}});
  }
  MutexLock lock(mutex_);
  if (is_pem) ca_pem_ = *std::move(fresh);
  return ca_pem_;
}

void AgentSide::RenewCertificate() {
  if (hub_ == nullptr) return;
  const MutexLock one(renewal_);
  const Status status = hub_->RenewCertificate();
  if (!status.ok())
    log_.Error("the agents' port keeps its certificate", {{"reason", status.message()}});
}

void AgentSide::Stop() {
  if (hub_ != nullptr) hub_->Stop();
}

}  // namespace interlink::cmd_api
