// SitePolicy: the site's admission by the rules and quotas of lib/auth. Thread-safe.
#ifndef INTERLINK_SITE_POLICY_SITE_POLICY_H_
#define INTERLINK_SITE_POLICY_SITE_POLICY_H_

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "auth/policy.h"
#include "auth/rate_limiter.h"
#include "site/site.h"

namespace interlink::site_policy {

struct Parts {
  // The rules in force, never null. Thread-safe.
  std::function<std::shared_ptr<const auth::Policy>()> policy;
  // A name as a pod writes it -> the one that is pulled, with registry. Thread-safe.
  std::function<Result<std::string>(const std::string&)> full_image_name;
  // Outlives the policy. Null: the system's.
  const Clock* clock = nullptr;
};

// A request that comes too soon for its account's quota.
struct TooSoon {
  std::string why;
  Duration wait{};  // then it can go through
};

// In place of a pod's own annotations: what rules judge (slurm_wishes/wishes.h), or why they
// cannot. The plugin slurm refuses a pod whose wishes cannot be read; another one may not mind.
// `node`: its PluginConfig. Pure.
void JudgeAnnotations(const std::map<std::string, std::string>& node, auth::PolicyRequest& request);

class SitePolicy final : public site::Admission {
 public:
  explicit SitePolicy(Parts parts);

  Status MayRun(const site::Caller& caller,
                const interlink::v1::RunSandboxRequest& pod) const override;
  Status MayCreate(const site::Caller& caller, const interlink::v1::RunSandboxRequest& pod,
                   const interlink::v1::CreateContainerRequest& container,
                   const std::vector<runtime::v1::Image>& images) const override;
  Status MayUse(const site::Caller& caller, Use use, const interlink::v1::RunSandboxRequest& pod,
                const runtime::v1::LinuxContainerResources* resources) const override;
  Status MayPull(const site::Caller& caller, const interlink::v1::RunSandboxRequest& pod,
                 const interlink::v1::PullImageRequest& pull) const override;
  Status MayHold(const site::Account& account, const site::Holdings& has,
                 const site::Holdings& more) const override;

  std::string UserOf(const site::Caller& caller,
                     const interlink::v1::RunSandboxRequest& pod) const override;

  // Counts a request that begins something, with a body of `bytes`. Nothing: it may go on.
  std::optional<TooSoon> Throttle(const site::Caller& caller, size_t bytes);

 private:
  Status Decide(const site::Caller& caller, const auth::PolicyRequest& request) const;

  const Parts parts_;
  auth::RateLimiter requests_;
  auth::RateLimiter bytes_;
};

}  // namespace interlink::site_policy

#endif  // INTERLINK_SITE_POLICY_SITE_POLICY_H_
