// The commands of interlink-api. Each returns the exit code: 0 ok, 1 failed (try again later), 2
// the user must act.
#ifndef INTERLINK_CMD_INTERLINK_API_COMMANDS_H_
#define INTERLINK_CMD_INTERLINK_API_COMMANDS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "config/api_config.h"

namespace interlink::cmd_api {

constexpr int64_t kSecondsPerDay = 24 * 3600;

// `environment`: what `config` was loaded with; a reload loads it again.
int Serve(const config::ApiConfig& config, const config::Environment& environment);
int PrintDefaults();
int PrintReference();  // docs/config-api.md
int PrintConfig(const config::ApiConfig& config);
// Certificate pair, expiry, token file, and that each plugin is there and of this build.
int Check(const config::ApiConfig& config);
// These talk to the daemon's control socket, never to its database.
int ListNodes(const config::ApiConfig& config, bool json);
int Takeover(const config::ApiConfig& config, const std::string& node);
int DropNode(const config::ApiConfig& config, const std::string& node);
int ForgetDead(const config::ApiConfig& config, const std::string& id);
int Reload(const config::ApiConfig& config);

// Of a policy file (Policy.File): whether it is right; what it says to the request in `request`,
// and why: 0 let through, 1 refused, 2 a file is wrong. Neither needs a configuration.
int CheckPolicy(const std::string& file);
int ExplainPolicy(const std::string& file, const std::string& request);
int PrintPolicyReference();  // docs/config-policy.md

}  // namespace interlink::cmd_api

#endif  // INTERLINK_CMD_INTERLINK_API_COMMANDS_H_
