// `interlink-api check`: what would keep `serve` from serving, without touching what runs.
#include <ctime>
#include <iostream>

#include "auth/audit_key.h"
#include "auth/deny_list.h"
#include "base/timer.h"
#include "commands.h"
#include "daemon/exit_code.h"
#include "loader/loader.h"
#include "parts.h"
#include "policy.h"
#include "tokens.h"

namespace interlink::cmd_api {
namespace {

constexpr int64_t kRenewDays = 14;

class PrintedWarnings final : public Log {
 public:
  bool Enabled(LogLevel level) const override { return level == LogLevel::kWarning; }
  void Write(LogLevel level, std::string_view message,
             const std::vector<LogField>& fields) override {
    if (!Enabled(level)) return;
    std::cout << "warning: " << message;
    for (const LogField& field : fields) std::cout << ", " << field.key << ": " << field.value;
    std::cout << "\n";
  }
};

Status CheckCertificate(const config::ApiConfig& config) {
  if (!config.tls.enabled) return {};
  ASSIGN_OR_RETURN(const auto tls, net::TlsContext::Server(config.tls.files, config.client_auth));
  const int64_t days =
      (tls->not_after() - static_cast<int64_t>(std::time(nullptr))) / kSecondsPerDay;
  std::cout << "certificate " << config.tls.files.cert_file << " fits its key and is valid for "
            << days << " days\n";
  if (days < kRenewDays) std::cout << "warning: renew it soon\n";
  return {};
}

Status CheckTokens(const config::ApiConfig& config) {
  NullLog log;
  Timer timer;
  net::Io io;
  const SystemClock clock;
  RETURN_IF_ERROR(OpenTokens(config, io, timer, log, clock).status());
  if (!config.auth.token_file.empty())
    std::cout << "token file " << config.auth.token_file << " is right\n";
  for (const auto& issuer : config.auth.oidc) {
    const std::string keys = issuer.jwks_file.empty()
                                 ? "it is asked for its keys when this site serves"
                                 : "its keys are in " + issuer.jwks_file;
    std::cout << "tokens of " << issuer.issuer << " are taken: " << keys << "\n";
  }
  return {};
}

Status CheckDenied(const config::ApiConfig& config) {
  if (config.auth.deny_file.empty()) return {};
  PrintedWarnings log;
  Timer timer;
  RETURN_IF_ERROR(
      auth::DenyList::Open(config.auth.deny_file, timer, log, config.certificate_is_enough)
          .status());
  std::cout << "deny list " << config.auth.deny_file << " is right\n";
  return {};
}

Status CheckAudit(const config::ApiConfig& config) {
  if (config.audit.folder.empty()) return {};
  ASSIGN_OR_RETURN(const auth::AuditKey key,
                   auth::AuditKey::LoadPrivate(config.audit.signing_key_file));
  std::cout << "the audit log in " << config.audit.folder << " is signed by key "
            << key.id().substr(0, 16) << "\n";
  return {};
}

Status ShowPolicy(const config::ApiConfig& config) {
  if (config.policy_file.empty()) return {};
  PrintedWarnings log;
  Timer timer;
  ASSIGN_OR_RETURN(const auto policy, OpenPolicy(config, timer, log));
  std::cout << "policy " << config.policy_file << " has " << policy->Get()->rules().size()
            << " rules\n";
  return {};
}

Status ShowAgents(const config::ApiConfig& config) {
  const config::AgentsConfig& agents = config.agents;
  if (agents.port == 0) return {};
  RETURN_IF_ERROR(CheckAgents(config));
  std::cout << "agents find this site at " << agents.public_address << " (here port " << agents.port
            << ") and take its certificate for \"" << agents.server_name << "\"\n";
  return {};
}

Status CheckPlugin(const config::ApiConfig& config, const config::PluginConfig& plugin) {
  const std::string path = PluginPath(plugin);
  ASSIGN_OR_RETURN(const loader::Kind kind, loader::Check(path));
  if (kind == loader::Kind::kProvisioner && config.agents.port == 0) return NeedsAgents();
  std::cout << "plugin \"" << plugin.options.name << "\" is " << path << ", of this build\n";
  return {};
}

}  // namespace

int Check(const config::ApiConfig& config) {
  const auto fail = [](const Status& status) {
    std::cerr << "interlink-api: " << status.message() << "\n";
    return cmd_daemon::ExitCodeOf(status);
  };
  std::cout << "configuration " << config.file << " is valid\n";
  if (const Status status = CheckCertificate(config); !status.ok()) return fail(status);
  if (const Status status = CheckTokens(config); !status.ok()) return fail(status);
  if (const Status status = CheckDenied(config); !status.ok()) return fail(status);
  if (const Status status = CheckAudit(config); !status.ok()) return fail(status);
  if (const Status status = ShowPolicy(config); !status.ok()) return fail(status);
  if (const Status status = ShowAgents(config); !status.ok()) return fail(status);
  int code = 0;
  for (const config::PluginConfig& plugin : config.plugins) {
    const Status status = CheckPlugin(config, plugin);
    if (!status.ok()) code = fail(status.WithContext(plugin.where));
  }
  return code;
}

}  // namespace interlink::cmd_api
