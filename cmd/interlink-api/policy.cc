#include "policy.h"

#include <iostream>

#include "base/file.h"
#include "commands.h"
#include "config/policy_rules.h"
#include "daemon/exit_code.h"
#include "images/reference.h"

namespace interlink::cmd_api {
namespace {

constexpr size_t kMaxFile = 1U << 20U;

int FailPolicy(const Status& status) {
  std::cerr << "interlink-api: " << status.message() << "\n";
  return cmd_daemon::ExitCodeOf(status);
}

Result<auth::Policy> PolicyOf(const std::string& file) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(file, kMaxFile));
  return config::ParsePolicy(text, file);
}

Result<auth::PolicyRequest> RequestOf(const std::string& file) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(file, kMaxFile));
  ASSIGN_OR_RETURN(auth::PolicyRequest request, config::ParsePolicyRequest(text, file));
  site_policy::JudgeAnnotations({}, request);
  return request;
}

}  // namespace

Result<std::unique_ptr<auth::PolicyFile>> OpenPolicy(const config::ApiConfig& config, Timer& timer,
                                                     Log& log) {
  return auth::PolicyFile::Open(config.policy_file, config::ParsePolicy, timer, log,
                                config.certificate_is_enough);
}

site_policy::Parts PolicyParts(const auth::PolicyFile& policy, const config::ApiConfig& config) {
  const auto full_name =
      [registry = config.images.default_registry](const std::string& name) -> Result<std::string> {
    ASSIGN_OR_RETURN(const images::Reference reference, images::ParseReference(name, registry));
    return reference.ToString();
  };
  return {[&policy] { return policy.Get(); }, full_name};
}

std::function<std::optional<rest::Throttled>(const site::Caller&, size_t)> ThrottleOf(
    site_policy::SitePolicy& policy) {
  return [&policy](const site::Caller& caller, size_t bytes) -> std::optional<rest::Throttled> {
    auto too_soon = policy.Throttle(caller, bytes);
    if (!too_soon) return std::nullopt;
    return rest::Throttled{std::move(too_soon->why), too_soon->wait};
  };
}

int CheckPolicy(const std::string& file) {
  const auto policy = PolicyOf(file);
  if (!policy.ok()) return FailPolicy(policy.status());
  std::cout << "policy " << file << " is right: " << policy->rules().size() << " rules, "
            << policy->quotas().size() << " quotas, " << policy->users().size() << " users\n";
  return 0;
}

int ExplainPolicy(const std::string& file, const std::string& request_file) {
  const auto policy = PolicyOf(file);
  if (!policy.ok()) return FailPolicy(policy.status());
  const auto request = RequestOf(request_file);
  if (!request.ok()) return FailPolicy(request.status());
  for (const auto& verdict : policy->Explain(*request)) {
    std::cout << "rule \"" << verdict.rule
              << "\": " << (verdict.why_not.empty() ? "lets it through" : verdict.why_not) << "\n";
  }
  const auth::Decision decision = policy->Decide(*request);
  std::cout << (decision.allowed ? "let through by rule \"" + decision.rule + "\""
                                 : "refused: " + decision.why)
            << "\n";
  const auth::MappedUser* user = auth::FindUser(policy->users(), *request);
  if (decision.allowed && request->action == auth::Action::kRun && user != nullptr)
    std::cout << "runs as user \"" << user->user << "\", by \"" << user->name << "\"\n";
  return decision.allowed ? 0 : 1;
}

int PrintPolicyReference() {
  std::cout << config::PolicyReference();
  return 0;
}

}  // namespace interlink::cmd_api
