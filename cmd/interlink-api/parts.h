// What `serve` and `check` both build from the configuration.
#ifndef INTERLINK_CMD_INTERLINK_API_PARTS_H_
#define INTERLINK_CMD_INTERLINK_API_PARTS_H_

#include <string>

#include "base/status.h"
#include "config/api_config.h"

namespace interlink::cmd_api {

// The plugin's file: its Path, else lib/interlink/plugins/NAME.so of this installation.
std::string PluginPath(const config::PluginConfig& plugin);

// Whether agents will take this site's certificate: said at once, not by each agent in the log of
// its job. OK without the section Agents.
Status CheckAgents(const config::ApiConfig& config);

// Why a scheduler's plugin cannot be served without the section Agents.
Status NeedsAgents();

}  // namespace interlink::cmd_api

#endif  // INTERLINK_CMD_INTERLINK_API_PARTS_H_
