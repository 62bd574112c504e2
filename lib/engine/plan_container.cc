#include "engine/plan_container.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>

#include "base/file.h"
#include "base/unique_fd.h"
#include "engine/command.h"
#include "engine/devices.h"
#include "engine/host_path.h"
#include "engine/mount_rules.h"
#include "engine/plan_filters.h"
#include "engine/plan_sandbox.h"
#include "interlink/v1/volume.pb.h"
#include "runtime/v1/api.pb.h"

namespace interlink::engine {
namespace {

using runtime::v1::ContainerConfig;

constexpr size_t kMaxUserFile = 4U << 20U;

template <typename Words>
std::vector<std::string> Strings(const Words& words) {
  return {words.begin(), words.end()};
}

// The mounts that a pod of this machine's kubelet needs always: its own volumes.
std::vector<std::string> AllowedFolders(const ContainerPlace& place) {
  std::vector<std::string> folders = PolicyOf(place.options, place.pod.handler).allowed_host_paths;
  const std::string& uid = place.pod_config.metadata().uid();
  if (place.options.kubelet_host && !uid.empty() && PathComponent(uid) == uid) {
    folders.push_back(place.options.kubelet_folder + "/pods/" + uid);
  }
  return folders;
}

Status CheckMount(const ContainerPlace& place, const ContainerConfig& config,
                  const runtime::v1::Mount& mount) {
  RETURN_IF_ERROR(CheckMountRules(mount, config.linux().security_context().privileged()));
  const std::string name = "mount \"" + mount.container_path() + "\"";
  if (mount.recursive_read_only() && !place.recursive_read_only) {
    // The word by which kubelet knows it.
    return Unimplemented("RROUnsupported: " + name +
                         ": this machine's kernel has no recursive_read_only (mount_setattr)");
  }
  const Status mapped = IsMapped(mount, place.pod.users).status().WithContext(name);
  if (IsImageVolume(mount)) return ImageVolumeFailure(mapped);
  RETURN_IF_ERROR(mapped);
  if (place.contents.count(mount.host_path()) != 0) return {};
  return AllowedHostPath(mount.host_path(), AllowedFolders(place)).status();
}

Status CheckNamespaces(const ContainerPlace& place, const runtime::v1::NamespaceOption& options,
                       const Policy& policy) {
  if ((options.pid() == runtime::v1::TARGET) != !options.target_id().empty()) {
    return InvalidArgument(
        "namespace_options.pid TARGET and namespace_options.target_id need each other");
  }
  if (place.options.rootless && options.pid() != runtime::v1::CONTAINER &&
      options.pid() != runtime::v1::POD) {
    return Unimplemented("namespace_options.pid must be CONTAINER or POD in an allocation");
  }
  if (options.pid() == runtime::v1::NODE && !policy.allow_host_namespaces) {
    return PermissionDenied("namespace_options.pid NODE: AllowHostNamespaces is not set");
  }
  ASSIGN_OR_RETURN(const IdRange users, UserNamespaceOf(options));
  if (options.has_userns_options() && users != place.pod.users) {
    return InvalidArgument("namespace_options.userns_options differ from those of the pod");
  }
  if (!place.pod.users.empty() && options.pid() == runtime::v1::NODE) {
    return InvalidArgument("namespace_options.pid NODE cannot be had in a user namespace");
  }
  if (options.network() != runtime::v1::POD && options.network() != runtime::v1::NODE) {
    return Unimplemented("namespace_options.network of a container must be POD or NODE");
  }
  if (options.ipc() == runtime::v1::TARGET) {
    return Unimplemented("namespace_options.ipc TARGET is not supported");
  }
  // Network and ipc are the pod's: a container cannot leave it for the host.
  const bool own_network = options.network() == runtime::v1::NODE && place.pod.own_network;
  const bool own_ipc = options.ipc() == runtime::v1::NODE && place.pod.own_ipc;
  if (own_network || own_ipc) {
    return InvalidArgument("namespace_options differ from those of the pod");
  }
  return {};
}

UserRequest UserRequestOf(const ContainerPlace& place,
                          const runtime::v1::LinuxContainerSecurityContext& security) {
  UserRequest request;
  if (security.has_run_as_user()) request.run_as_user = security.run_as_user().value();
  request.run_as_username = security.run_as_username();
  if (security.has_run_as_group()) request.run_as_group = security.run_as_group().value();
  request.supplemental_groups.assign(security.supplemental_groups().begin(),
                                     security.supplemental_groups().end());
  request.strict = security.supplemental_groups_policy() == runtime::v1::Strict;
  request.image_user = place.image.user;
  return request;
}

// Ids that the pod's user namespace does not have cannot be anybody's in it.
Status CheckUser(const ResolvedUser& user, const IdRange& users) {
  const auto outside = [&](uint32_t id) { return !users.Has(id); };
  if (!outside(user.uid) && std::none_of(user.groups.begin(), user.groups.end(), outside)) {
    return {};
  }
  return InvalidArgument("the container's user " + std::to_string(user.uid) +
                         " or one of its groups is not in the pod's user namespace, which has " +
                         std::to_string(users.length) + " ids");
}

// A pod's fsGroup comes as one of its supplemental groups: the one to which kubelet has given its
// volumes. Here they are the container's own user's, who can do what that group could.
bool IsGroupOfVolume(int64_t group, const MountContents& contents) {
  return std::any_of(contents.begin(), contents.end(), [group](const auto& content) {
    const interlink::v1::MountContent& one = *content.second;
    if (one.has_pod_folder()) return one.pod_folder().gid() == group;
    return one.has_snapshot() && one.snapshot().entries_size() > 0 &&
           one.snapshot().entries(0).gid() == group;
  });
}

// With one id there is one group. Those that the image gives its user are not asked for by anybody.
Status KeepOneGroup(const runtime::v1::LinuxContainerSecurityContext& security,
                    const MountContents& contents, ResolvedUser& user) {
  for (const int64_t group : security.supplemental_groups()) {
    if (group == user.gid || (group != 0 && IsGroupOfVolume(group, contents))) continue;
    return Unimplemented("supplemental_groups: a site without root cannot give group " +
                         std::to_string(group) + " beside the container's own, " +
                         std::to_string(user.gid) +
                         "; a pod's fsGroup is taken by containers that mount a volume of it");
  }
  user.groups = {user.gid};
  return {};
}

CapabilityRequest CapabilityRequestOf(const runtime::v1::LinuxContainerSecurityContext& security) {
  const auto& asked = security.capabilities();
  return {Strings(asked.add_capabilities()), Strings(asked.drop_capabilities()),
          Strings(asked.add_ambient_capabilities()), security.privileged()};
}

Status CheckCapabilities(const ContainerPlace& place,
                         const runtime::v1::LinuxContainerSecurityContext& security,
                         const Policy& policy) {
  ASSIGN_OR_RETURN(const ProcessCapabilities wanted,
                   ResolveCapabilities(CapabilityRequestOf(security), place.own_capabilities));
  const CapabilitySet all = wanted.bounding | wanted.ambient;
  // In a user namespace of one's own the network's capabilities reach no network.
  const bool own_network = place.pod.own_network || place.options.rootless;
  const CapabilitySet beyond = all & ~HarmlessCapabilities(own_network);
  if (policy.allow_privileged || beyond == 0) return {};
  return PermissionDenied("capability " + CapabilityNames(beyond).front() +
                          ": AllowPrivileged of this handler is not set");
}

std::string SignalName(runtime::v1::Signal signal) {
  std::string name = runtime::v1::Signal_Name(signal).substr(std::string("SIGNAL_").size());
  for (const auto& [from, to] :
       {std::pair<std::string, std::string>{"RTMINPLUS", "RTMIN+"}, {"RTMAXMINUS", "RTMAX-"}}) {
    const size_t at = name.find(from);
    if (at != std::string::npos) name.replace(at, from.size(), to);
  }
  return name;
}

Result<int> StopSignal(const ContainerPlace& place, const ContainerConfig& config) {
  const bool own = config.stop_signal() != runtime::v1::SIGNAL_RUNTIME_DEFAULT;
  return ParseSignal(own ? SignalName(config.stop_signal()) : place.image.stop_signal);
}

std::vector<SpecNamespace> Namespaces(const ContainerPlace& place, const ContainerConfig& config,
                                      const std::string& pid_namespace) {
  const auto& options = config.linux().security_context().namespace_options();
  std::vector<SpecNamespace> namespaces = {{"uts", place.folder.Namespace("uts")}};
  if (!place.pod.users.empty()) namespaces.push_back({"user", place.folder.Namespace("user")});
  if (place.pod.own_network) namespaces.push_back({"network", place.folder.Namespace("net")});
  if (place.pod.own_ipc) {
    const bool own = options.ipc() == runtime::v1::CONTAINER;
    namespaces.push_back({"ipc", own ? "" : place.folder.Namespace("ipc")});
  }
  const auto pod_pid = place.pod_config.linux().security_context().namespace_options().pid();
  if (!pid_namespace.empty()) {
    namespaces.push_back({"pid", pid_namespace});
  } else if (options.pid() == runtime::v1::CONTAINER ||
             (options.pid() != runtime::v1::NODE && pod_pid != runtime::v1::NODE)) {
    namespaces.push_back({"pid", ""});
  }
  return namespaces;
}

SpecMount Bind(const std::string& destination, const std::string& source, bool read_only) {
  return {destination, "bind", source, {"rbind", "rprivate", read_only ? "ro" : "rw"}};
}

// The files and folders that the runtime gives to every container of the pod.
std::vector<SpecMount> PodMounts(const ContainerPlace& place, const ContainerConfig& config,
                                 bool read_only) {
  std::vector<SpecMount> mounts = {Bind("/etc/resolv.conf", place.folder.ResolvConf(), read_only),
                                   Bind("/etc/hostname", place.folder.Hostname(), read_only)};
  const auto& options = config.linux().security_context().namespace_options();
  if (!place.pod.own_ipc) {
    mounts.push_back(Bind("/dev/shm", "/dev/shm", false));
  } else if (options.ipc() == runtime::v1::CONTAINER) {
    mounts.push_back(
        {"/dev/shm", "tmpfs", "shm", {"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"}});
  } else {
    mounts.push_back(Bind("/dev/shm", place.folder.SharedMemory(), false));
  }
  return mounts;
}

void Replace(std::vector<SpecMount>& mounts, SpecMount mount) {
  std::erase_if(mounts,
                [&](const SpecMount& other) { return other.destination == mount.destination; });
  mounts.push_back(std::move(mount));
}

// One spelling for each place, so that one mount replaces the other.
std::string MountPoint(const std::string& path) {
  std::filesystem::path target = std::filesystem::path(path).lexically_normal();
  if (target.has_relative_path() && target.filename().empty()) target = target.parent_path();
  return target.string();
}

Connection ConnectionOf(const runtime::v1::Mount& mount) {
  if (mount.propagation() == runtime::v1::PROPAGATION_PRIVATE) return Connection::kNone;
  const bool both = mount.propagation() == runtime::v1::PROPAGATION_BIDIRECTIONAL;
  return both ? Connection::kBothWays : Connection::kFromSource;
}

// REQUIRES: no links in `source`.
Status MakeMissing(const std::string& source) {
  struct stat about {};
  if (stat(source.c_str(), &about) == 0) return {};
  const auto failed = [&] { return ErrnoStatus(errno, "host path \"" + source + "\""); };
  if (errno != ENOENT) return failed();
  UniqueFd folder(open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
  for (const auto& name : std::filesystem::path(source).relative_path()) {
    if (!folder) return failed();
    const bool made = mkdirat(folder.get(), name.c_str(), 0755) == 0;
    if (!made && errno != EEXIST) return failed();
    folder = UniqueFd(openat(folder.get(), name.c_str(),
                             (made ? O_RDONLY : O_PATH) | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    // Our umask is not the pod's business.
    if (made && folder && fchmod(folder.get(), 0755) != 0) return failed();
  }
  return folder ? Status::Ok() : failed();
}

// Without links.
Result<std::string> SourceOf(const ContainerPlace& place, const runtime::v1::Mount& mount) {
  const auto content = place.content_places.find(mount.host_path());
  if (content != place.content_places.end()) return ResolveHostPath(content->second);
  ASSIGN_OR_RETURN(const std::string source,
                   AllowedHostPath(mount.host_path(), AllowedFolders(place)));
  RETURN_IF_ERROR(MakeMissing(source));
  return source;
}

Result<HostMount> OpenSource(const ContainerPlace& place, const runtime::v1::Mount& mount) {
  HostMount held;
  held.connection = ConnectionOf(mount);
  held.read_only = mount.recursive_read_only();
  if (IsImageVolume(mount)) {
    const auto image = place.volumes.find(mount.image().image());
    if (image == place.volumes.end()) {
      return InternalError("image \"" + mount.image().image() + "\" is not mounted");
    }
    ASSIGN_OR_RETURN(held.source, OpenVolume(image->second, mount));
    return held;
  }
  ASSIGN_OR_RETURN(const std::string source, SourceOf(place, mount));
  ASSIGN_OR_RETURN(held.source, OpenResolved(source));
  ASSIGN_OR_RETURN(const bool mapped, IsMapped(mount, place.pod.users));
  if (mapped) held.user_namespace = place.folder.Namespace("user");
  RETURN_IF_ERROR(CheckSourcePropagation(held.source.get(), mount));
  return held;
}

Result<std::vector<SpecMount>> Mounts(const ContainerPlace& place, const ContainerConfig& config,
                                      const Rootfs& root, const std::string& folder,
                                      std::vector<HostMount>& host_mounts) {
  const bool read_only = config.linux().security_context().readonly_rootfs();
  std::vector<SpecMount> mounts = PodMounts(place, config, read_only);
  for (const std::string& volume : place.image.volumes) {
    // The overlay's upper layer is the anonymous volume, with the image's content in it; a second
    // mount of that folder stays writable below a read-only root.
    ASSIGN_OR_RETURN(const std::string source, root.MakeFolder(volume));
    const std::string target = MountPoint(volume);
    if (read_only && target != "/") Replace(mounts, Bind(target, source, false));
  }
  for (const auto& mount : config.mounts()) {
    ASSIGN_OR_RETURN(HostMount held, OpenSource(place, mount));
    held.place = folder + "/" + std::to_string(host_mounts.size());
    Replace(mounts, {MountPoint(mount.container_path()), "bind", held.place, BindOptions(mount)});
    host_mounts.push_back(std::move(held));
  }
  return mounts;
}

Result<std::vector<SpecDevice>> Devices(const ContainerConfig& config) {
  std::vector<SpecDevice> devices;
  if (config.linux().security_context().privileged()) devices = AllDevices();
  for (const auto& device : config.devices()) {
    ASSIGN_OR_RETURN(const auto found,
                     DevicesAt(device.host_path(), device.container_path(), device.permissions()));
    devices.insert(devices.end(), found.begin(), found.end());
  }
  return devices;
}

Result<std::vector<std::string>> Environment(const ContainerPlace& place,
                                             const ContainerConfig& config) {
  EnvironmentRequest request;
  request.image = place.image.env;
  request.hostname = place.pod_config.hostname();
  request.tty = config.tty();
  for (const auto& entry : config.envs()) request.pod.emplace_back(entry.key(), entry.value());
  return MergeEnvironment(request);
}

// It would be killed, or be slow, where it expects room.
Status FitsAllocation(const EngineOptions& options,
                      const runtime::v1::LinuxContainerResources& resources) {
  const int64_t memory = resources.memory_limit_in_bytes();
  const int64_t has = options.allocation_memory_bytes;
  const char* hint = ": the pod must ask for as much, by its own resources or its annotations";
  if (has > 0 && memory > has) {
    return InvalidArgument("linux.resources.memory_limit_in_bytes is " + std::to_string(memory) +
                           ", the allocation of the whole pod has " + std::to_string(has) + hint);
  }
  const int64_t period = resources.cpu_period();
  const int64_t cpus = options.allocation_cpus;
  // Of what cannot be a limit OciResources speaks.
  if (cpus > 0 && period > 0 && resources.cpu_quota() / period >= cpus &&
      resources.cpu_quota() > cpus * period) {
    return InvalidArgument("linux.resources.cpu_quota is " + std::to_string(resources.cpu_quota()) +
                           " in " + std::to_string(period) +
                           ", the allocation of the whole pod has " + std::to_string(cpus) +
                           " CPUs" + hint);
  }
  return {};
}

}  // namespace

int OomScore(int64_t asked, bool may_lower) {
  const int64_t bounded = std::clamp<int64_t>(asked, -1000, 1000);
  if (may_lower) return static_cast<int>(bounded);
  const auto own = ReadFile("/proc/self/oom_score_adj", 64);
  const int64_t floor = own.ok() ? std::atoll(own->c_str()) : 0;
  return static_cast<int>(std::max(bounded, floor));
}

Status CheckContainer(const ContainerPlace& place, const ContainerConfig& config) {
  const Policy policy = PolicyOf(place.options, place.pod.handler);
  const auto& security = config.linux().security_context();
  RETURN_IF_ERROR(CheckNamespaces(place, security.namespace_options(), policy));
  RETURN_IF_ERROR(CheckFilters(place, security));
  if (security.privileged()) {
    if (!policy.allow_privileged) {
      return PermissionDenied("privileged: AllowPrivileged of this handler is not set");
    }
    if (!place.pod_config.linux().security_context().privileged()) {
      return InvalidArgument("a privileged container needs a privileged sandbox");
    }
  }
  if (config.devices_size() > 0 && !policy.allow_devices) {
    return PermissionDenied("devices: AllowDevices of this handler is not set");
  }
  if (config.cdi_devices_size() > 0) return Unimplemented("CDI_devices are not supported");
  if (place.options.kubelet_host && !place.contents.empty()) {
    return InvalidArgument("this machine is kubelet's: it has the files of its volumes itself");
  }
  RETURN_IF_ERROR(CheckContents(place.contents));
  for (const auto& mount : config.mounts()) RETURN_IF_ERROR(CheckMount(place, config, mount));
  RETURN_IF_ERROR(CheckCapabilities(place, security, policy));
  RETURN_IF_ERROR(OciResources(place.features, config.linux().resources()).status());
  RETURN_IF_ERROR(FitsAllocation(place.options, config.linux().resources()));
  return StopSignal(place, config).status();
}

bool SharesPid(const PodRecord& pod, const runtime::v1::PodSandboxConfig& pod_config,
               const ContainerConfig& config) {
  if (config.linux().security_context().namespace_options().pid() != runtime::v1::POD) return false;
  return pod.shared_pid ||
         pod_config.linux().security_context().namespace_options().pid() != runtime::v1::NODE;
}

Result<std::string> PlanContainer(const ContainerPlace& place, const ContainerConfig& config,
                                  const Rootfs& root, const std::string& pid_namespace,
                                  ContainerRecord& record, std::vector<HostMount>& host_mounts) {
  const auto& security = config.linux().security_context();
  SpecInputs inputs;
  ASSIGN_OR_RETURN(inputs.args,
                   MergeCommand(place.image, Strings(config.command()), Strings(config.args())));
  ASSIGN_OR_RETURN(inputs.environment, Environment(place, config));
  ASSIGN_OR_RETURN(const std::string passwd, root.Read("/etc/passwd", kMaxUserFile));
  ASSIGN_OR_RETURN(const std::string group, root.Read("/etc/group", kMaxUserFile));
  ASSIGN_OR_RETURN(inputs.user, ResolveUser(UserRequestOf(place, security), passwd, group));
  const bool one_id = place.options.rootless && place.own_ids == 1;
  if (one_id) {
    RETURN_IF_ERROR(KeepOneGroup(security, place.contents, inputs.user));
  } else {
    const IdRange own{0, place.own_ids};
    RETURN_IF_ERROR(CheckUser(inputs.user, place.options.rootless ? own : place.pod.users));
  }
  const std::string& asked = config.working_dir();
  inputs.working_folder = asked.empty() ? place.image.working_dir : asked;
  if (inputs.working_folder.empty()) inputs.working_folder = "/";
  ASSIGN_OR_RETURN(inputs.mounts,
                   Mounts(place, config, root, place.folder.HostMounts(record.id), host_mounts));
  RETURN_IF_ERROR(root.MakeFolder(inputs.working_folder).status().WithContext("working_dir"));
  ASSIGN_OR_RETURN(inputs.capabilities,
                   ResolveCapabilities(CapabilityRequestOf(security), place.own_capabilities));
  ASSIGN_OR_RETURN(inputs.devices, Devices(config));
  ASSIGN_OR_RETURN(record.stop_signal, StopSignal(place, config));
  inputs.tty = config.tty();
  inputs.no_new_privileges = security.no_new_privs();
  inputs.oom_score_adj =
      OomScore(config.linux().resources().oom_score_adj(), place.may_lower_oom_score);
  inputs.root = place.folder.Root(record.id);
  inputs.users = place.pod.users;
  inputs.rootless = place.options.rootless;
  inputs.proc = place.proc;
  inputs.own_ids = place.own_ids;
  inputs.read_only_root = security.readonly_rootfs();
  inputs.root_propagation = RootPropagation(config);
  inputs.privileged = security.privileged();
  inputs.namespaces = Namespaces(place, config, pid_namespace);
  inputs.masked_paths = Strings(security.masked_paths());
  inputs.read_only_paths = Strings(security.readonly_paths());
  // Fewer of them open the machine's /proc and /sys to the container's root.
  inputs.own_paths_only = PolicyOf(place.options, place.pod.handler).allow_privileged;
  ASSIGN_OR_RETURN(inputs.seccomp, SeccompOf(place, security, inputs.capabilities.bounding));
  ASSIGN_OR_RETURN(inputs.apparmor, AppArmorOf(security));
  inputs.cgroup = record.cgroup;
  inputs.features = place.features;
  record.user = inputs.user;
  record.tty = config.tty();
  record.resources = config.linux().resources().SerializeAsString();
  return OciSpec(inputs, config.linux().resources());
}

}  // namespace interlink::engine
