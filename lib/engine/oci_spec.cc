#include "engine/oci_spec.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "runtime/v1/api.pb.h"

namespace interlink::engine {
namespace {

using nlohmann::json;

constexpr std::array kMasked = {"/proc/asound",
                                "/proc/acpi",
                                "/proc/kcore",
                                "/proc/keys",
                                "/proc/latency_stats",
                                "/proc/timer_list",
                                "/proc/timer_stats",
                                "/proc/sched_debug",
                                "/proc/scsi",
                                "/sys/firmware",
                                "/sys/devices/virtual/powercap"};
constexpr std::array kReadOnly = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
                                  "/proc/sysrq-trigger"};

json TerminalOptions(const SpecInputs& inputs) {
  constexpr uint32_t kTty = 5;
  json options = {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"};
  const bool one_id = inputs.rootless && inputs.own_ids == 1;
  if (!one_id && inputs.users.Has(kTty)) options.push_back("gid=" + std::to_string(kTty));
  return options;
}

json StandardMounts(const SpecInputs& inputs) {
  const char* sys = inputs.privileged ? "rw" : "ro";
  return json::array({
      {{"destination", "/proc"},
       {"type", "proc"},
       {"source", "proc"},
       {"options", {"nosuid", "noexec", "nodev"}}},
      {{"destination", "/dev"},
       {"type", "tmpfs"},
       {"source", "tmpfs"},
       {"options", {"nosuid", "strictatime", "mode=755", "size=65536k"}}},
      {{"destination", "/dev/pts"},
       {"type", "devpts"},
       {"source", "devpts"},
       {"options", TerminalOptions(inputs)}},
      {{"destination", "/dev/mqueue"},
       {"type", "mqueue"},
       {"source", "mqueue"},
       {"options", {"nosuid", "noexec", "nodev"}}},
      {{"destination", "/sys"},
       {"type", "sysfs"},
       {"source", "sysfs"},
       {"options", {"nosuid", "noexec", "nodev", sys}}},
      {{"destination", "/sys/fs/cgroup"},
       {"type", "cgroup"},
       {"source", "cgroup"},
       {"options", {"nosuid", "noexec", "nodev", "relatime", sys}}},
  });
}

// What a user namespace that owns no network, no ipc and no pid namespace cannot mount is the
// machine's, the pod's, or not there.
void MakeRootless(const std::string& proc, json& mounts) {
  for (auto it = mounts.begin(); it != mounts.end();) {
    const std::string type = (*it)["type"];
    if (type == "mqueue" || type == "cgroup") {
      it = mounts.erase(it);
      continue;
    }
    if (type == "proc" && !proc.empty()) {
      *it = {{"destination", "/proc"},
             {"type", "bind"},
             {"source", proc},
             {"options", {"rbind", "rprivate", "nosuid", "noexec", "nodev"}}};
    }
    if (type == "sysfs") {
      *it = {{"destination", "/sys"},
             {"type", "bind"},
             {"source", "/sys"},
             {"options", {"rbind", "rslave", "nosuid", "noexec", "nodev", "ro"}}};
    }
    ++it;
  }
}

ptrdiff_t Depth(const std::string& path) {
  return path == "/" ? 0 : std::count(path.begin(), path.end(), '/');
}

// Standard mounts that no pod mount replaces, then the pod's, parents first.
json Mounts(const SpecInputs& inputs) {
  json mounts = StandardMounts(inputs);
  if (inputs.rootless) MakeRootless(inputs.proc, mounts);
  for (const SpecMount& mount : inputs.mounts) {
    for (auto it = mounts.begin(); it != mounts.end();) {
      it = (*it)["destination"] == mount.destination ? mounts.erase(it) : it + 1;
    }
  }
  std::vector<SpecMount> own = inputs.mounts;
  std::stable_sort(own.begin(), own.end(), [](const SpecMount& a, const SpecMount& b) {
    return Depth(a.destination) < Depth(b.destination);
  });
  for (const SpecMount& mount : own) {
    mounts.push_back({{"destination", mount.destination},
                      {"type", mount.type},
                      {"source", mount.source},
                      {"options", mount.options}});
  }
  return mounts;
}

json Capabilities(const ProcessCapabilities& capabilities) {
  const json bounding = CapabilityNames(capabilities.bounding);
  const json ambient = CapabilityNames(capabilities.ambient);
  return {{"bounding", bounding},
          {"effective", bounding},
          {"permitted", bounding},
          {"inheritable", ambient},
          {"ambient", ambient}};
}

json Process(const SpecInputs& inputs) {
  // One id: it may not change its groups, and has no others.
  const bool one_id = inputs.rootless && inputs.own_ids == 1;
  const std::vector<uint32_t> groups = one_id ? std::vector<uint32_t>() : inputs.user.groups;
  json process = {
      {"terminal", inputs.tty},
      {"user", {{"uid", inputs.user.uid}, {"gid", inputs.user.gid}, {"additionalGids", groups}}},
      {"args", inputs.args},
      {"env", inputs.environment},
      {"cwd", inputs.working_folder},
      {"capabilities", Capabilities(inputs.capabilities)},
      {"noNewPrivileges", inputs.no_new_privileges},
      {"oomScoreAdj", inputs.oom_score_adj}};
  if (!inputs.apparmor.empty()) process["apparmorProfile"] = inputs.apparmor;
  return process;
}

json Devices(const SpecInputs& inputs) {
  json devices = json::array();
  for (const SpecDevice& device : inputs.devices) {
    devices.push_back({{"path", device.path},
                       {"type", std::string(1, device.type)},
                       {"major", device.major},
                       {"minor", device.minor},
                       {"fileMode", device.mode},
                       {"uid", device.uid},
                       {"gid", device.gid}});
  }
  return devices;
}

json DeviceRules(const SpecInputs& inputs) {
  if (inputs.privileged) return json::array({{{"allow", true}, {"access", "rwm"}}});
  json rules = json::array({{{"allow", false}, {"access", "rwm"}}});
  for (const SpecDevice& device : inputs.devices) {
    rules.push_back({{"allow", true},
                     {"type", std::string(1, device.type)},
                     {"major", device.major},
                     {"minor", device.minor},
                     {"access", device.access}});
  }
  return rules;
}

Result<json> HugepageLimits(const CgroupFeatures& features,
                            const runtime::v1::LinuxContainerResources& from) {
  json limits = json::array();
  for (const auto& limit : from.hugepage_limits()) {
    if (features.hugetlb) {
      limits.push_back({{"pageSize", limit.page_size()}, {"limit", limit.limit()}});
    } else if (limit.limit() != 0) {
      // kubelet sends a zero for every page size of the node: without a controller there is
      // nothing to give out, and nothing to limit.
      return InvalidArgument("hugepage_limits of " + limit.page_size() +
                             " cannot be enforced: this machine has no hugetlb controller");
    }
  }
  return limits;
}

Result<json> Resources(const CgroupFeatures& features,
                       const runtime::v1::LinuxContainerResources& from) {
  json cpu = json::object();
  if (from.cpu_shares() > 0) cpu["shares"] = from.cpu_shares();
  if (from.cpu_quota() != 0) cpu["quota"] = from.cpu_quota();
  if (from.cpu_period() > 0) cpu["period"] = from.cpu_period();
  if (!from.cpuset_cpus().empty()) cpu["cpus"] = from.cpuset_cpus();
  if (!from.cpuset_mems().empty()) cpu["mems"] = from.cpuset_mems();
  json memory = json::object();
  if (from.memory_limit_in_bytes() != 0) memory["limit"] = from.memory_limit_in_bytes();
  if (const int64_t swap = from.memory_swap_limit_in_bytes(); swap != 0) {
    // kubelet sends the memory limit again ("no swap") and -1 also where there is no accounting.
    if (!features.swap && swap > 0 && swap != from.memory_limit_in_bytes()) {
      return InvalidArgument(
          "memory_swap_limit_in_bytes cannot be enforced: this machine does not account swap");
    }
    if (features.swap) memory["swap"] = swap;
  }
  ASSIGN_OR_RETURN(const json hugepages, HugepageLimits(features, from));
  json resources = json::object();
  if (!cpu.empty()) resources["cpu"] = cpu;
  if (!memory.empty()) resources["memory"] = memory;
  if (!hugepages.empty()) resources["hugepageLimits"] = hugepages;
  if (!from.unified().empty()) {
    if (!features.v2) {
      return InvalidArgument("resources.unified needs cgroup v2, which this machine does not use");
    }
    for (const auto& [key, value] : from.unified()) resources["unified"][key] = value;
  }
  return resources;
}

json Namespaces(const SpecInputs& inputs) {
  json namespaces = json::array({{{"type", "mount"}}});
  for (const SpecNamespace& item : inputs.namespaces) {
    json entry = {{"type", item.type}};
    if (!item.path.empty()) entry["path"] = item.path;
    namespaces.push_back(entry);
  }
  if (inputs.features.v2) namespaces.push_back({{"type", "cgroup"}});
  if (inputs.rootless) namespaces.push_back({{"type", "user"}});
  return namespaces;
}

template <size_t kCount>
json Paths(const std::array<const char*, kCount>& standard, const std::vector<std::string>& own,
           bool own_only) {
  if (own_only && !own.empty()) return own;
  std::vector<std::string> paths(standard.begin(), standard.end());
  for (const std::string& path : own) {
    if (std::find(paths.begin(), paths.end(), path) == paths.end()) paths.push_back(path);
  }
  return paths;
}

// The namespace's root may not pass our folders, whose mode is 0700: it goes from the bundle, which
// is the runtime's working folder.
std::string RootPath(const SpecInputs& inputs) {
  return inputs.users.empty() ? inputs.root : inputs.root.substr(inputs.root.rfind('/') + 1);
}

Result<std::string> Dump(const json& value) {
  try {
    return value.dump();
  } catch (const json::type_error&) {
    return InvalidArgument("the container's config has text that is not UTF-8");
  }
}

}  // namespace

Result<std::string> OciSpec(const SpecInputs& inputs,
                            const runtime::v1::LinuxContainerResources& resources) {
  ASSIGN_OR_RETURN(json limits, Resources(inputs.features, resources));
  limits["devices"] = DeviceRules(inputs);
  json linux_part = {{"namespaces", Namespaces(inputs)}, {"devices", Devices(inputs)}};
  if (inputs.rootless) {
    const auto mapping = [&](uint32_t id) {
      const uint32_t first = inputs.own_ids == 1 ? id : 0;
      return json::array({{{"containerID", first}, {"hostID", 0}, {"size", inputs.own_ids}}});
    };
    linux_part["uidMappings"] = mapping(inputs.user.uid);
    linux_part["gidMappings"] = mapping(inputs.user.gid);
  } else {
    linux_part["cgroupsPath"] = inputs.cgroup;
    linux_part["resources"] = limits;
  }
  if (!inputs.users.empty()) {
    // The runtime knows from here, not from the namespace, whom to give terminals and streams to.
    const json mapping = json::array(
        {{{"containerID", 0}, {"hostID", inputs.users.host_id}, {"size", inputs.users.length}}});
    linux_part["uidMappings"] = mapping;
    linux_part["gidMappings"] = mapping;
  }
  if (!inputs.root_propagation.empty()) linux_part["rootfsPropagation"] = inputs.root_propagation;
  if (!inputs.privileged) {
    linux_part["maskedPaths"] = Paths(kMasked, inputs.masked_paths, inputs.own_paths_only);
    linux_part["readonlyPaths"] = Paths(kReadOnly, inputs.read_only_paths, inputs.own_paths_only);
    if (!inputs.seccomp.empty()) linux_part["seccomp"] = json::parse(inputs.seccomp);
  }
  json spec = {{"ociVersion", "1.0.2"},
               {"process", Process(inputs)},
               {"root", {{"path", RootPath(inputs)}, {"readonly", inputs.read_only_root}}},
               {"mounts", Mounts(inputs)},
               {"annotations", inputs.annotations},
               {"linux", linux_part}};
  return Dump(spec);
}

Result<std::string> OciResources(const CgroupFeatures& features,
                                 const runtime::v1::LinuxContainerResources& resources) {
  ASSIGN_OR_RETURN(const json limits, Resources(features, resources));
  return Dump(limits);
}

Result<std::string> ExecProcess(const std::string& config, const std::vector<std::string>& argv,
                                bool tty) {
  const json spec = json::parse(config, nullptr, false);
  if (!spec.is_object() || !spec.contains("process")) {
    return DataLoss("the container's config.json is damaged");
  }
  json process = spec["process"];
  process["args"] = argv;
  process["terminal"] = tty;
  if (tty) {
    const json& env = process["env"];
    const bool has_term = std::any_of(env.begin(), env.end(), [](const json& entry) {
      return entry.get_ref<const std::string&>().rfind("TERM=", 0) == 0;
    });
    if (!has_term) process["env"].push_back("TERM=xterm");
  }
  return Dump(process);
}

}  // namespace interlink::engine
