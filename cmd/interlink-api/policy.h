// The site's policy, for `serve`, `check` and `policy`.
#ifndef INTERLINK_CMD_INTERLINK_API_POLICY_H_
#define INTERLINK_CMD_INTERLINK_API_POLICY_H_

#include <functional>
#include <memory>
#include <optional>

#include "auth/policy_file.h"
#include "config/api_config.h"
#include "rest/rest.h"
#include "site_policy/site_policy.h"

namespace interlink::cmd_api {

// REQUIRES: config.policy_file. Errors as PolicyFile::Open. `timer` and `log` outlive the result.
Result<std::unique_ptr<auth::PolicyFile>> OpenPolicy(const config::ApiConfig& config, Timer& timer,
                                                     Log& log);

// `policy` outlives the result.
site_policy::Parts PolicyParts(const auth::PolicyFile& policy, const config::ApiConfig& config);

// What rest::Ports wants of it. `policy` outlives the result.
std::function<std::optional<rest::Throttled>(const site::Caller&, size_t)> ThrottleOf(
    site_policy::SitePolicy& policy);

}  // namespace interlink::cmd_api

#endif  // INTERLINK_CMD_INTERLINK_API_POLICY_H_
