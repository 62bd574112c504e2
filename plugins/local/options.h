// The options of the local plugin, as README.md lists them. Pure.
#ifndef INTERLINK_PLUGINS_LOCAL_OPTIONS_H_
#define INTERLINK_PLUGINS_LOCAL_OPTIONS_H_

#include <string>

#include "base/status.h"
#include "engine/options.h"
#include "sdk/descriptor.h"

namespace interlink::local {

// `data_folder`: of the plugin. kInvalidArgument with the option's place: unknown or malformed.
Result<engine::EngineOptions> ParseOptions(const sdk::PluginOptions& options,
                                           const std::string& data_folder);

}  // namespace interlink::local

#endif  // INTERLINK_PLUGINS_LOCAL_OPTIONS_H_
