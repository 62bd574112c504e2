#include "node/plugin_config.h"

#include <set>

#include "node/live_node.h"

namespace interlink::node {

NodeOptions OptionsFor(const interlink::v1::HandlerInfo& handler,
                       const NodeOptions& plugin_config) {
  NodeOptions taken;
  for (const std::string& key : handler.node_options()) {
    const auto it = plugin_config.find(key);
    if (it != plugin_config.end()) taken.insert(*it);
  }
  return taken;
}

std::vector<std::string> UntakenKeys(const interlink::v1::InfoResponse& info,
                                     const NodeOptions& plugin_config) {
  std::set<std::string> taken;
  for (const auto& handler : info.handlers())
    taken.insert(handler.node_options().begin(), handler.node_options().end());
  std::vector<std::string> untaken;
  for (const auto& [key, value] : plugin_config) {
    if (!taken.contains(key)) untaken.push_back(key);
  }
  return untaken;
}

Result<NodeOptions> LiveNode::PluginConfigLocked(const std::string& handler) const {
  for (const auto& info : meta_.info().handlers()) {
    if (info.name() != handler) continue;
    // The bytes of a request are final: it must not be minted without what the plugin would take.
    if (!info.unavailable().empty() && !options_.plugin_config.empty()) {
      return Unavailable("handler \"" + handler + "\" of site " + options_.site_name +
                         " is not available, so what it takes of PluginConfig is not known: " +
                         info.unavailable());
    }
    return OptionsFor(info, options_.plugin_config);
  }
  return NodeOptions();
}

void LiveNode::TellUntakenKeysLocked() {
  std::string keys;
  for (const std::string& key : UntakenKeys(meta_.info(), options_.plugin_config))
    keys += (keys.empty() ? "" : ", ") + key;
  if (keys == told_untaken_) return;
  told_untaken_ = keys;
  if (keys.empty()) return;
  ports_.log.Warning("keys of PluginConfig have no effect: no handler of the site takes them",
                     {{"keys", keys}, {"site", options_.site_name}});
}

}  // namespace interlink::node
