#include "options.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <climits>
#include <functional>
#include <map>

namespace interlink::local {
namespace {

using engine::EngineOptions;
using engine::Policy;
using sdk::Option;

Status Malformed(const Option& option, const std::string& wanted) {
  return InvalidArgument(option.where + ": \"" + option.key + "\" must be " + wanted);
}

Status ParseBool(const Option& option, bool& value) {
  if (option.value != "true" && option.value != "false") {
    return Malformed(option, "true or false");
  }
  value = option.value == "true";
  return {};
}

Status ParsePath(const Option& option, std::string& value) {
  if (option.value.empty() || option.value[0] != '/') return Malformed(option, "an absolute path");
  value = option.value;
  return {};
}

Status ParseNumber(const Option& option, uint64_t least, uint64_t& value) {
  const char* end = option.value.data() + option.value.size();
  const auto [at, error] = std::from_chars(option.value.data(), end, value);
  if (error != std::errc() || at != end || value < least) {
    return Malformed(option, "a number of at least " + std::to_string(least));
  }
  return {};
}

// "Key[3]" -> "Key".
std::string WithoutIndex(const std::string& key) {
  const size_t bracket = key.find('[');
  return key.substr(0, bracket);
}

// False: not a key of a policy.
bool ParsePolicy(const std::string& key, const Option& option, Policy& policy, Status& status) {
  if (WithoutIndex(key) == "AllowedHostPaths") {
    std::string path;
    status = ParsePath(option, path);
    if (status.ok()) policy.allowed_host_paths.push_back(path);
  } else if (key == "AllowPrivileged") {
    status = ParseBool(option, policy.allow_privileged);
  } else if (key == "AllowHostNamespaces") {
    status = ParseBool(option, policy.allow_host_namespaces);
  } else if (key == "AllowDevices") {
    status = ParseBool(option, policy.allow_devices);
  } else {
    return false;
  }
  return true;
}

// "Handlers.NAME.KEY": the name of a handler may have dots.
Status ParseHandlerOption(const Option& option, EngineOptions& engine) {
  const std::string rest = option.key.substr(std::string("Handlers.").size());
  const size_t dot = rest.rfind('.');
  const std::string name = dot == std::string::npos ? rest : rest.substr(0, dot);
  const auto& names = engine.handlers;
  if (std::find(names.begin(), names.end(), name) == names.end()) {
    return InvalidArgument(option.where + ": this plugin does not serve handler \"" + name + "\"");
  }
  Status status;
  if (dot != std::string::npos &&
      ParsePolicy(rest.substr(dot + 1), option, engine.policies[name], status)) {
    return status;
  }
  return InvalidArgument(option.where + ": unknown option \"" + option.key + "\"");
}

Status ParseOption(const Option& option, EngineOptions& engine,
                   std::vector<std::string>& bin_folders) {
  const std::string key = WithoutIndex(option.key);
  if (key == "KubeletHost") return ParseBool(option, engine.kubelet_host);
  if (key == "KubeletFolder") return ParsePath(option, engine.kubelet_folder);
  if (key == "StateFolder") return ParsePath(option, engine.state_folder);
  if (key == "ShimPath") return ParsePath(option, engine.shim);
  if (key == "CgroupRoot") return ParsePath(option, engine.cgroup_root);
  if (key == "CNI.ConfDir") return ParsePath(option, engine.cni_conf_folder);
  if (key == "LogBufferPerContainer") return ParseNumber(option, 1U << 20U, engine.log_limit);
  if (key == "CNI.BinDirs") {
    std::string folder;
    RETURN_IF_ERROR(ParsePath(option, folder));
    bin_folders.push_back(folder);
    return {};
  }
  if (key == "RuntimePath") return ParsePath(option, engine.runtime);
  return InvalidArgument(option.where + ": unknown option \"" + option.key + "\"");
}

// Installed and built trees have the shim beside the daemon.
std::string ShimBesideUs() {
  std::array<char, PATH_MAX> buffer;
  const ssize_t size = readlink("/proc/self/exe", buffer.data(), buffer.size());
  const std::string self(buffer.data(), size > 0 ? static_cast<size_t>(size) : 0);
  return self.substr(0, self.rfind('/') + 1) + "interlink-shim";
}

}  // namespace

Result<EngineOptions> ParseOptions(const sdk::PluginOptions& options,
                                   const std::string& data_folder) {
  EngineOptions engine;
  engine.plugin = "local";
  engine.handlers = options.handlers;
  engine.state_folder = data_folder + "/pods";
  engine.shim = ShimBesideUs();
  std::vector<std::string> bin_folders;
  Policy common;
  for (const Option& option : options.options) {
    Status status;
    if (ParsePolicy(option.key, option, common, status)) {
      RETURN_IF_ERROR(status);
    } else if (option.key.rfind("Handlers.", 0) != 0) {
      RETURN_IF_ERROR(ParseOption(option, engine, bin_folders));
    }
  }
  if (!bin_folders.empty()) engine.cni_bin_folders = bin_folders;
  for (const std::string& handler : engine.handlers) engine.policies[handler] = common;
  for (const Option& option : options.options) {
    if (option.key.rfind("Handlers.", 0) == 0) RETURN_IF_ERROR(ParseHandlerOption(option, engine));
  }
  return engine;
}

}  // namespace interlink::local
