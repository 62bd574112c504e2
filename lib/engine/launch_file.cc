#include "engine/launch_file.h"

#include <sys/mount.h>

#include <nlohmann/json.hpp>
#include <string_view>
#include <vector>

#include "engine/capabilities.h"
#include "shim/launch.h"

namespace interlink::engine {
namespace {

using nlohmann::json;
using shim::LaunchKind;

// A mount option that mount(2) has a number for.
struct MountNumber {
  std::string_view option;
  uint64_t flags;
  uint64_t propagation;
};
constexpr MountNumber kMountNumbers[] = {
    {"bind", MS_BIND, 0},
    {"rbind", MS_BIND | MS_REC, 0},
    {"ro", MS_RDONLY, 0},
    {"rw", 0, 0},
    {"nosuid", MS_NOSUID, 0},
    {"nodev", MS_NODEV, 0},
    {"noexec", MS_NOEXEC, 0},
    {"strictatime", MS_STRICTATIME, 0},
    {"rprivate", 0, MS_REC | MS_PRIVATE},
    {"rslave", 0, MS_REC | MS_SLAVE},
};

class LaunchWriter {
 public:
  void Add(LaunchKind kind, const std::vector<std::string>& values = {}) {
    Text(std::string(shim::NameOf(kind)));
    for (const std::string& value : values) Text(value);
  }
  Result<std::string> Take() {
    if (has_nul_) return InvalidArgument("a word, variable or path has a NUL in it");
    return std::move(bytes_);
  }

 private:
  void Text(const std::string& text) {
    has_nul_ = has_nul_ || text.find('\0') != std::string::npos;
    bytes_ += text + '\0';
  }
  std::string bytes_;
  bool has_nul_ = false;
};

Status Untold(const std::string& what) {
  return InternalError(what + " cannot be told to this engine, and was not refused");
}

Status AddMount(const json& mount, LaunchWriter& launch) {
  const std::string place = mount.at("destination");
  const std::string type = mount.at("type");
  uint64_t flags = type == "bind" ? uint64_t{MS_BIND} : 0;
  uint64_t propagation = 0;
  std::string data;
  for (const std::string option : mount.at("options")) {
    const MountNumber* known = nullptr;
    for (const MountNumber& number : kMountNumbers) {
      if (number.option == option) known = &number;
    }
    if (known != nullptr) {
      flags |= known->flags;
      propagation |= known->propagation;
    } else if (type == "bind") {
      return Untold("option " + option + " of the mount \"" + place + "\"");
    } else {
      if (!data.empty()) data += ",";
      data += option;
    }
  }
  launch.Add(LaunchKind::kMount, {place, type, mount.at("source"), std::to_string(flags),
                                  std::to_string(propagation), data});
  return {};
}

Status AddProcess(const json& process, LaunchWriter& launch) {
  const json& user = process.at("user");
  if (!user.at("additionalGids").empty()) return Untold("a supplemental group");
  if (process.contains("apparmorProfile")) return Untold("an AppArmor profile");
  const json& capabilities = process.at("capabilities");
  if (!capabilities.at("ambient").empty()) return Untold("an ambient capability");
  const CapabilityRequest exactly{capabilities.at("bounding"), {"ALL"}, {}, false};
  ASSIGN_OR_RETURN(const ProcessCapabilities resolved,
                   ResolveCapabilities(exactly, ~CapabilitySet{0}));
  launch.Add(LaunchKind::kUser, {std::to_string(user.at("uid").get<uint32_t>()),
                                 std::to_string(user.at("gid").get<uint32_t>())});
  launch.Add(LaunchKind::kBounding, {std::to_string(resolved.bounding)});
  launch.Add(LaunchKind::kOomScore, {std::to_string(process.at("oomScoreAdj").get<int>())});
  if (process.at("terminal").get<bool>()) launch.Add(LaunchKind::kTerminal);
  launch.Add(LaunchKind::kFolder, {process.at("cwd")});
  for (const std::string word : process.at("args")) launch.Add(LaunchKind::kWord, {word});
  for (const std::string entry : process.at("env")) launch.Add(LaunchKind::kEnv, {entry});
  return {};
}

Status AddNamespaces(const json& namespaces, LaunchWriter& launch) {
  for (const json& item : namespaces) {
    const std::string type = item.at("type");
    if (type == "user" || type == "mount") continue;  // the engine's own, always new
    if (type != "uts" && type != "ipc" && type != "pid") return Untold("a namespace of " + type);
    launch.Add(LaunchKind::kNamespace, {type, item.value("path", "")});
  }
  return {};
}

Status AddContainer(const json& config, LaunchWriter& launch) {
  const json& root = config.at("root");
  const json& linux_part = config.at("linux");
  for (const char* key : {"seccomp", "resources", "cgroupsPath"}) {
    if (linux_part.contains(key)) return Untold(key);
  }
  if (!linux_part.at("devices").empty()) return Untold("a device");
  launch.Add(LaunchKind::kRoot, {root.at("path")});
  if (root.at("readonly").get<bool>()) launch.Add(LaunchKind::kReadOnly);
  RETURN_IF_ERROR(AddNamespaces(linux_part.at("namespaces"), launch));
  for (const json& mount : config.at("mounts")) RETURN_IF_ERROR(AddMount(mount, launch));
  for (const std::string path : linux_part.at("maskedPaths")) {
    launch.Add(LaunchKind::kMask, {path});
  }
  for (const std::string path : linux_part.at("readonlyPaths")) {
    launch.Add(LaunchKind::kKeep, {path});
  }
  return AddProcess(config.at("process"), launch);
}

// `add` reads a config that we wrote ourselves.
Result<std::string> Translate(const std::string& text, Status (*add)(const json&, LaunchWriter&)) {
  try {
    LaunchWriter launch;
    RETURN_IF_ERROR(add(json::parse(text), launch));
    return launch.Take();
  } catch (const json::exception& error) {
    return DataLoss(std::string("the container's config is damaged: ") + error.what());
  }
}

}  // namespace

Result<std::string> LaunchOfContainer(const std::string& config) {
  return Translate(config, AddContainer);
}

Result<std::string> LaunchOfExec(const std::string& process) {
  return Translate(process, AddProcess);
}

}  // namespace interlink::engine
