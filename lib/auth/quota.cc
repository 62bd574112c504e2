#include "auth/quota.h"

#include "auth/pattern.h"

namespace interlink::auth {

const Quota* FindQuota(const std::vector<Quota>& quotas, const std::string& tenant,
                       const std::string& node) {
  for (const Quota& quota : quotas) {
    const bool all = quota.tenants.empty() && quota.nodes.empty();
    if (all ||
        (tenant.empty() ? MatchesOneOf(quota.nodes, node) : MatchesOneOf(quota.tenants, tenant)))
      return &quota;
  }
  return nullptr;
}

}  // namespace interlink::auth
