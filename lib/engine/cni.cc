#include "engine/cni.h"

#include <linux/magic.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "base/file.h"
#include "base/spawn.h"
#include "engine/list_folder.h"

namespace interlink::engine {
namespace {

constexpr auto kPluginTime = std::chrono::seconds(30);
constexpr const char* kInterface = "eth0";

// After a restart of the machine the pin is a plain file.
bool IsNamespace(const std::string& path) {
  struct statfs about {};
  return statfs(path.c_str(), &about) == 0 && about.f_type == NSFS_MAGIC;
}

std::string Joined(const std::vector<std::pair<std::string, std::string>>& arguments) {
  std::string text = "IgnoreUnknown=1";
  for (const auto& [key, value] : arguments) {
    // A separator cannot be quoted there.
    if (value.find_first_of(";=") == std::string::npos) text += ";" + key + "=" + value;
  }
  return text;
}

}  // namespace

Result<std::string> Cni::LoadConflist() const {
  std::vector<std::string> names;
  for (const std::string& name : ListFolder(conf_folder_).value_or({})) {
    const std::string extension = std::filesystem::path(name).extension().string();
    if (extension == ".conflist" || extension == ".conf" || extension == ".json") {
      names.push_back(conf_folder_ + "/" + name);
    }
  }
  if (names.empty()) {
    return FailedPrecondition("no CNI configuration in \"" + conf_folder_ +
                              "\": pods with a network of their own need one");
  }
  return ReadFile(*std::min_element(names.begin(), names.end()), 1U << 20U);
}

std::string Cni::Path() const {
  std::string path;
  for (const std::string& folder : bin_folders_) path += (path.empty() ? "" : ":") + folder;
  return path;
}

Result<std::string> Cni::Binary(const std::string& type) const {
  for (const std::string& folder : bin_folders_) {
    const std::string candidate = folder + "/" + type;
    if (access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return FailedPrecondition("CNI plugin \"" + type + "\" is in none of " + Path());
}

Status Cni::Check(const std::string& conflist, const std::vector<HostPort>& ports) const {
  const auto steps = CniSteps(conflist, ports);
  // The site's own configuration, not what the pod asked.
  if (!steps.ok()) return FailedPrecondition(steps.status().message());
  for (const CniStep& step : *steps) RETURN_IF_ERROR(Binary(step.type).status());
  if (ports.empty() || MapsHostPorts(conflist)) return {};
  return FailedPrecondition(
      "port_mappings: no plugin of the CNI configuration has the capability \"portMappings\"");
}

Result<std::string> Cni::Run(const Call& call, const char* command, const CniAttachment& attachment,
                             const std::string& type, const std::string& config) const {
  ASSIGN_OR_RETURN(const std::string binary, Binary(type));
  SpawnOptions options;
  options.argv = {binary};
  options.environment = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                         std::string("CNI_COMMAND=") + command,
                         "CNI_CONTAINERID=" + attachment.container_id,
                         "CNI_NETNS=" + (IsNamespace(attachment.netns) ? attachment.netns : ""),
                         std::string("CNI_IFNAME=") + kInterface,
                         "CNI_ARGS=" + Joined(attachment.arguments),
                         "CNI_PATH=" + Path()};
  ASSIGN_OR_RETURN(const Output output, RunCommand(call.Capped(kPluginTime), options, config));
  if (output.exit.code != 0) {
    return Unavailable("CNI plugin \"" + type + "\" " + command + ": " +
                       CniErrorText(output.out, output.err));
  }
  return output.out;
}

Result<std::string> Cni::Add(const Call& call, const CniAttachment& attachment) const {
  ASSIGN_OR_RETURN(const auto steps, CniSteps(attachment.conflist, attachment.ports));
  std::string result;
  for (const CniStep& step : steps) {
    std::string config = step.config;
    if (!result.empty()) {
      ASSIGN_OR_RETURN(config, WithPreviousResult(config, result));
    }
    ASSIGN_OR_RETURN(result, Run(call, "ADD", attachment, step.type, config));
  }
  RETURN_IF_ERROR(CniAddresses(result).status());
  return result;
}

Status Cni::Delete(const Call& call, const CniAttachment& attachment,
                   const std::string& result) const {
  ASSIGN_OR_RETURN(auto steps, CniSteps(attachment.conflist, attachment.ports));
  std::reverse(steps.begin(), steps.end());
  Status first;
  for (const CniStep& step : steps) {
    std::string config = step.config;
    if (!result.empty()) {
      ASSIGN_OR_RETURN(config, WithPreviousResult(config, result));
    }
    const auto done = Run(call, "DEL", attachment, step.type, config);
    if (!done.ok() && first.ok()) first = done.status();
  }
  return first;
}

}  // namespace interlink::engine
