#include "engine/cni_config.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace interlink::engine {
namespace {

using nlohmann::json;

constexpr size_t kMaxErrorText = 1024;

json ParseConf(const std::string& text) { return json::parse(text, nullptr, false); }

std::string Text(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

bool MapsPorts(const json& plugin) {
  const auto capabilities = plugin.find("capabilities");
  if (capabilities == plugin.end() || !capabilities->is_object()) return false;
  const auto mappings = capabilities->find("portMappings");
  return mappings != capabilities->end() && mappings->is_boolean() && mappings->get<bool>();
}

json PortMappings(const std::vector<HostPort>& ports) {
  json mappings = json::array();
  for (const HostPort& port : ports) {
    mappings.push_back({{"hostPort", port.host_port},
                        {"containerPort", port.container_port},
                        {"protocol", port.protocol},
                        {"hostIP", port.host_ip}});
  }
  return mappings;
}

}  // namespace

bool Collide(const HostPort& a, const HostPort& b) {
  const auto all = [](const std::string& ip) {
    return ip.empty() || ip == "0.0.0.0" || ip == "::";
  };
  return a.host_port == b.host_port && a.protocol == b.protocol &&
         (a.host_ip == b.host_ip || all(a.host_ip) || all(b.host_ip));
}

Result<std::vector<CniStep>> CniSteps(const std::string& conflist,
                                      const std::vector<HostPort>& ports) {
  const json list = ParseConf(conflist);
  if (!list.is_object()) return InvalidArgument("the CNI configuration is not a JSON object");
  const std::string name = Text(list, "name");
  const std::string version = Text(list, "cniVersion");
  if (name.empty()) return InvalidArgument("the CNI configuration has no \"name\"");
  json plugins = json::array({list});
  if (const auto found = list.find("plugins"); found != list.end()) plugins = *found;
  if (!plugins.is_array() || plugins.empty()) {
    return InvalidArgument("the CNI configuration has no \"plugins\"");
  }
  std::vector<CniStep> steps;
  for (json plugin : plugins) {
    const std::string type = plugin.is_object() ? Text(plugin, "type") : "";
    if (type.empty() || type.find('/') != std::string::npos) {
      return InvalidArgument("a plugin of the CNI configuration has no usable \"type\"");
    }
    const bool maps_ports = MapsPorts(plugin);
    if (maps_ports && ports.empty()) continue;
    plugin["name"] = name;
    if (!version.empty()) plugin["cniVersion"] = version;
    if (maps_ports) plugin["runtimeConfig"]["portMappings"] = PortMappings(ports);
    plugin.erase("capabilities");
    steps.push_back({type, plugin.dump()});
  }
  return steps;
}

bool MapsHostPorts(const std::string& conflist) {
  const json list = ParseConf(conflist);
  if (!list.is_object()) return false;
  const auto plugins = list.find("plugins");
  if (plugins == list.end() || !plugins->is_array()) return MapsPorts(list);
  return std::any_of(plugins->begin(), plugins->end(),
                     [](const json& plugin) { return plugin.is_object() && MapsPorts(plugin); });
}

Result<std::string> WithPreviousResult(const std::string& config, const std::string& result) {
  json with = ParseConf(config);
  json previous = ParseConf(result);
  if (!with.is_object() || !previous.is_object()) return InvalidArgument("not a CNI result");
  with["prevResult"] = std::move(previous);
  return with.dump();
}

Result<std::vector<std::string>> CniAddresses(const std::string& result) {
  const json parsed = ParseConf(result);
  const Status malformed = InvalidArgument("the CNI plugin's answer is not a result");
  if (!parsed.is_object()) return malformed;
  std::vector<std::string> addresses;
  const auto ips = parsed.find("ips");
  if (ips == parsed.end()) return addresses;
  if (!ips->is_array()) return malformed;
  for (const json& ip : *ips) {
    const std::string address = ip.is_object() ? Text(ip, "address") : "";
    if (address.empty()) return malformed;
    addresses.push_back(address.substr(0, address.find('/')));
  }
  return addresses;
}

std::string CniErrorText(const std::string& out, const std::string& err) {
  std::string text;
  if (const json parsed = ParseConf(out); parsed.is_object()) {
    text = Text(parsed, "msg");
    const std::string details = Text(parsed, "details");
    if (!details.empty()) text += ": " + details;
  }
  if (text.empty()) text = err.empty() ? out : err;
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  return text.empty() ? "no reason given" : text.substr(0, kMaxErrorText);
}

}  // namespace interlink::engine
