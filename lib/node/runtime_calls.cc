// Version, Status, RuntimeConfig: from memory. Lost contact changes nothing but the SiteReachable
// condition.
#include "node/calls.h"

namespace interlink::node {
namespace {

// `text` as a JSON string. It is UTF-8: it came in a protobuf message.
std::string JsonString(const std::string& text) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string json = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20) {
      json += std::string("\\u00") + kDigits[byte >> 4U] + kDigits[byte & 15U];
    } else {
      if (c == '"' || c == '\\') json += '\\';
      json += c;
    }
  }
  return json + "\"";
}

// What tools look for under "config": critest takes the parent of "stateDir" for the file system of
// images, and looks at it here. On another machine it would be the wrong one.
std::string ShownConfig(const interlink::v1::InfoResponse& info) {
  if (!info.images_on_this_host() || info.image_root().empty()) return "";
  return "{\"stateDir\":" + JsonString(info.image_root()) + "}";
}

}  // namespace

runtime::v1::VersionResponse LiveNode::RuntimeCalls::GetVersion() const {
  runtime::v1::VersionResponse response;
  response.set_version("0.1.0");  // of the kubelet runtime API, as every runtime answers
  response.set_runtime_name("interlink-cri");
  response.set_runtime_version(node_.options_.version);
  response.set_runtime_api_version("v1");
  return response;
}

runtime::v1::StatusResponse LiveNode::RuntimeCalls::GetStatus(bool verbose) const {
  runtime::v1::StatusResponse response;
  MutexLock lock(node_.mutex_);
  const auto& info = node_.meta_.info();
  const bool seen = info.handlers_size() > 0;
  const auto add = [&response](const char* type, bool on, const std::string& reason,
                               const std::string& message) {
    auto* condition = response.mutable_status()->add_conditions();
    condition->set_type(type);
    condition->set_status(on);
    condition->set_reason(reason);
    condition->set_message(message);
  };
  const Status reachable = node_.unreachable_;
  const std::string never = "site " + node_.options_.site_name + " has never been seen" +
                            (reachable.ok() ? "" : ": " + reachable.message());
  add("RuntimeReady", seen, seen ? "" : "SiteNeverSeen", seen ? "" : never);
  add("NetworkReady", seen, seen ? "" : "SiteNeverSeen", seen ? "" : never);
  const Status refused = node_.link_refused_;
  add("SiteReachable", reachable.ok() && seen,
      reachable.ok() ? (seen ? "" : "SiteNeverSeen")
      : refused.ok() ? "SiteUnreachable"
                     : "LinkRefused",
      reachable.message());
  const auto add_handler = [&](const std::string& name, const interlink::v1::HandlerInfo& handler) {
    auto* entry = response.add_runtime_handlers();
    entry->set_name(name);
    *entry->mutable_features() = handler.features();
  };
  for (const auto& handler : info.handlers()) {
    const std::string meant = node_.options_.default_handler.empty()
                                  ? info.default_handler()
                                  : node_.options_.default_handler;
    const std::string& alias = node_.options_.runtime_handler;
    if (handler.name() == meant) {
      add_handler("", handler);
      if (!alias.empty()) add_handler(alias, handler);
    }
    // One of the site's that is called like the alias cannot be asked for (HandlerLocked).
    if (handler.name() != alias) add_handler(handler.name(), handler);
  }
  response.mutable_features()->set_supplemental_groups_policy(info.supplemental_groups_policy());
  if (verbose) {
    // An info value that begins with "{" is shown as JSON by crictl; the others are plain words.
    auto& shown = *response.mutable_info();
    if (const std::string config = ShownConfig(info); !config.empty()) shown["config"] = config;
    shown["site"] = node_.options_.site_name;
    shown["siteVersion"] = info.version().empty() ? "unknown" : info.version();
    shown["link"] = std::to_string(node_.link_);
    shown["version"] = node_.options_.version;
    shown["podCIDR"] = node_.meta_.pod_cidr().empty() ? "none" : node_.meta_.pod_cidr();
  }
  return response;
}

runtime::v1::RuntimeConfigResponse LiveNode::RuntimeCalls::GetConfig() const {
  runtime::v1::RuntimeConfigResponse response;
  response.mutable_linux()->set_cgroup_driver(runtime::v1::CGROUPFS);
  return response;
}

Status LiveNode::RuntimeCalls::UpdateConfig(const runtime::v1::RuntimeConfig& config) {
  MutexLock lock(node_.mutex_);
  if (node_.stopping_) return ShuttingDown();
  node_.meta_.set_pod_cidr(config.network_config().pod_cidr());
  node_.CommitLocked({{}, {}, {}, true, {}}, false, {});
  return {};
}

}  // namespace interlink::node
