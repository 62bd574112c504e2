// The Plugins list of interlink-api's configuration. Not a public header of lib/config.
#ifndef INTERLINK_CONFIG_PLUGIN_SECTION_H_
#define INTERLINK_CONFIG_PLUGIN_SECTION_H_

#include <vector>

#include "config/api_config.h"
#include "config/schema.h"

namespace interlink::config {

// Names and handlers are unique over the whole list.
Key PluginsKey(std::vector<PluginConfig>* target);

}  // namespace interlink::config

#endif  // INTERLINK_CONFIG_PLUGIN_SECTION_H_
