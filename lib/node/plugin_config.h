// Which keys of the node's PluginConfig go where (docs/adr/0012). Pure.
#ifndef INTERLINK_NODE_PLUGIN_CONFIG_H_
#define INTERLINK_NODE_PLUGIN_CONFIG_H_

#include <string>
#include <vector>

#include "base/node_options.h"
#include "interlink/v1/link.pb.h"

namespace interlink::node {

// What goes with pods of `handler`: the keys that it takes.
NodeOptions OptionsFor(const interlink::v1::HandlerInfo& handler, const NodeOptions& plugin_config);

// Keys that have no effect: no handler of the site takes them. One that is not available takes
// none.
std::vector<std::string> UntakenKeys(const interlink::v1::InfoResponse& info,
                                     const NodeOptions& plugin_config);

}  // namespace interlink::node

#endif  // INTERLINK_NODE_PLUGIN_CONFIG_H_
