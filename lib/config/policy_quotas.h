// Internal: the list Quotas of a policy file.
#ifndef INTERLINK_CONFIG_POLICY_QUOTAS_H_
#define INTERLINK_CONFIG_POLICY_QUOTAS_H_

#include <vector>

#include "auth/quota.h"
#include "config/schema.h"

namespace interlink::config {

Key QuotasKey(std::vector<auth::Quota>* target);

}  // namespace interlink::config

#endif  // INTERLINK_CONFIG_POLICY_QUOTAS_H_
