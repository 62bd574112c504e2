// What `serve` and `check` both build from the configuration.
#ifndef INTERLINK_CMD_INTERLINK_API_PARTS_H_
#define INTERLINK_CMD_INTERLINK_API_PARTS_H_

#include <string>

#include "config/api_config.h"

namespace interlink::cmd_api {

// The plugin's file: its Path, else lib/interlink/plugins/NAME.so of this installation.
std::string PluginPath(const config::PluginConfig& plugin);

}  // namespace interlink::cmd_api

#endif  // INTERLINK_CMD_INTERLINK_API_PARTS_H_
