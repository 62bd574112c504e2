// The file of Policy.File: the rules by which a site decides requests, and requests to try them
// with. Values.
#ifndef INTERLINK_CONFIG_POLICY_RULES_H_
#define INTERLINK_CONFIG_POLICY_RULES_H_

#include <string>
#include <vector>

#include "auth/policy.h"
#include "base/status.h"
#include "config/schema.h"

namespace interlink::config {

// YAML: a map with the lists Rules, Quotas and Users. `file` is for messages. kInvalidArgument with
// file:line: unknown keys, wrong types, actions that do not exist, names that stand twice, rules
// that could never let anything through, and quotas and users that
// could never be in force.
Result<auth::Policy> ParsePolicy(const std::string& text, const std::string& file);

// YAML: one request as `interlink-api policy explain` takes it.
Result<auth::PolicyRequest> ParsePolicyRequest(const std::string& text, const std::string& file);

// The reference of both (docs/config-policy.md).
std::string PolicyReference();

}  // namespace interlink::config

#endif  // INTERLINK_CONFIG_POLICY_RULES_H_
