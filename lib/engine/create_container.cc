// CreateContainer: image, root, config, shim. All or nothing.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

#include "base/file.h"
#include "engine/engine.h"
#include "engine/idmapped_mounts.h"
#include "engine/mounts.h"
#include "engine/plan_container.h"
#include "engine/plan_sandbox.h"
#include "runtime/v1/api.pb.h"
#include "shim/layout.h"
#include "shim/pidfile.h"

namespace interlink::engine {
namespace {

using State = sdk::Observation::State;

constexpr auto kCreate = std::chrono::seconds(60);
constexpr size_t kMaxPidFile = 256;

// Copies of what a ContainerSpec borrows: the step may outlive its caller.
struct OwnedSpec {
  explicit OwnedSpec(const sdk::ContainerSpec& spec)
      : config(spec.config),
        sandbox_config(spec.sandbox_config),
        own{spec.id, spec.sandbox,   spec.node,          spec.image_id,
            config,  sandbox_config, spec.volume_images, spec.contents} {}
  const runtime::v1::ContainerConfig config;
  const runtime::v1::PodSandboxConfig sandbox_config;
  const sdk::ContainerSpec own;
};

}  // namespace

Status Engine::CreateContainer(const Call& call, const sdk::ContainerSpec& spec) {
  if (!IsFullId(spec.id.str())) return InvalidArgument("the container id is not 64 hex digits");
  const auto owned = std::make_shared<const OwnedSpec>(spec);  // owner: the step
  return RunInLane(call, spec.sandbox, [this, owned] { return CreateStep(owned->own); });
}

Status Engine::CreateStep(const sdk::ContainerSpec& spec) {
  const auto pod = ViewOf(spec.node, spec.sandbox);
  if (!pod) return FailedPrecondition("sandbox \"" + spec.sandbox.str() + "\" does not exist");
  {
    MutexLock lock(mutex_);
    if (FindLocked(spec.sandbox, spec.id) != nullptr) return {};
  }
  if (pod->record.phase != PodPhase::kUp) {
    return FailedPrecondition("sandbox \"" + spec.sandbox.str() + "\" is not up");
  }
  // Of a try before that could not be undone.
  if (access(pod->folder.Container(spec.id).c_str(), F_OK) == 0) {
    const Status removed = DeleteRemains(Call::WithTimeout(kCreate), *pod, spec.id);
    if (!removed.ok()) return Unavailable(removed.message());
  }
  ContainerRecord record;
  record.id = spec.id;
  record.image_id = spec.image_id;
  record.volume_images = spec.volume_images;
  record.config = spec.config.SerializeAsString();
  record.cgroup = pod->record.cgroup + "/" + spec.id.str();
  const Status made = MakeContainer(*pod, spec, record);
  if (!made.ok()) {
    // What MakeContainer left is removed by its intent on disk; nothing of it ran.
    const Status removed = DeleteRemains(Call::WithTimeout(kCreate), *pod, spec.id);
    if (removed.ok()) return made;
    return Unavailable(made.message() + "; then: " + removed.message());
  }
  sdk::Observation fact = FactOf(pod->record, record);
  {
    MutexLock lock(mutex_);
    const auto found = pods_.find(spec.sandbox);
    if (found == pods_.end()) return Unavailable("the sandbox went away");
    Container container;
    container.record = record;
    fact.revision = ++revision_;
    container.fact = fact;
    found->second.containers[spec.id] = std::move(container);
  }
  WatchContainer(spec.sandbox, spec.id, 0);
  host_.Report({fact});
  return {};
}

Status Engine::MakeContainer(const PodView& pod, const sdk::ContainerSpec& spec,
                             ContainerRecord& record) {
  const Call call = Call::WithTimeout(kCreate);
  const PodFolder& folder = pod.folder;
  ASSIGN_OR_RETURN(const sdk::UnpackedImage image, host_.HoldImage(spec.id, spec.image_id));
  ContainerPlace place{options_,
                       folder,
                       pod.record,
                       spec.sandbox_config,
                       image.config,
                       own_capabilities_,
                       MayLowerOomScore(),
                       cgroups_.features(),
                       features_.recursive_read_only};
  place.contents = spec.contents;
  RETURN_IF_ERROR(CheckContainer(place, spec.config));
  ASSIGN_OR_RETURN(const VolumeLayers volumes, HoldVolumes(spec));
  ASSIGN_OR_RETURN(const PidNamespaceToJoin pid_namespace, PidNamespace(pod, spec));
  place.proc = pid_namespace.proc;
  place.own_ids = features_.own_ids;
  const std::string base = folder.Container(spec.id);
  RETURN_IF_ERROR(MakeDirectories(base, 0700));
  RETURN_IF_ERROR(Save(folder, record));
  Overlay overlay{image.layers, base + "/upper", base + "/work", folder.Root(spec.id),
                  options_.rootless};
  for (const std::string& path : {overlay.upper, overlay.work, overlay.target}) {
    RETURN_IF_ERROR(MakeDirectories(path, 0755));
  }
  // The container's "/": as the image's users expect it, whatever our umask is.
  if (chmod(overlay.upper.c_str(), 0755) != 0) return ErrnoStatus(errno, "chmod the upper layer");
  RETURN_IF_ERROR(MakeDirectories(folder.Shim(spec.id), 0700));
  if (image.layers.empty()) return FailedPrecondition("image \"" + spec.image_id + "\" is empty");
  const IdRange& users = pod.record.users;
  if (!users.empty()) {
    RETURN_IF_ERROR(GiveToRootOf(users, overlay.upper));
    // Where its root starts from (docs/adr/0008); the folder above is closed.
    if (chmod(folder.Bundle(spec.id).c_str(), 0711) != 0) return ErrnoStatus(errno, "chmod bundle");
    ASSIGN_OR_RETURN(overlay.layers, AttachMappedLayers(image.layers, folder.MappedLayers(spec.id),
                                                        folder.Namespace("user")));
  }
  RETURN_IF_ERROR(MountOverlay(overlay));
  RETURN_IF_ERROR(DetachHostMounts(folder.MappedLayers(spec.id)));
  const std::string user_namespace = users.empty() ? "" : folder.Namespace("user");
  ASSIGN_OR_RETURN(place.volumes, AttachVolumes(volumes, folder.Volumes(spec.id),
                                                {user_namespace, folder.MappedLayers(spec.id),
                                                 options_.rootless}));
  ASSIGN_OR_RETURN(const Rootfs root, Rootfs::Open(overlay.target, users.host_id));
  const bool one_id = options_.rootless && features_.own_ids == 1;
  ASSIGN_OR_RETURN(place.content_places, MakeContents(spec.contents, folder, spec.id, !one_id));
  record.contents = SnapshotNames(spec.contents, place.content_places);
  std::vector<HostMount> host_mounts;
  ASSIGN_OR_RETURN(
      const std::string config,
      PlanContainer(place, spec.config, root, pid_namespace.path, record, host_mounts));
  RETURN_IF_ERROR(WriteFileAtomically(folder.Bundle(spec.id) + "/config.json", config, 0600));
  if (maker_.launch != nullptr) {
    ASSIGN_OR_RETURN(const std::string launch, maker_.launch(config));
    RETURN_IF_ERROR(WriteFileAtomically(folder.Bundle(spec.id) + "/launch", launch, 0600));
  }
  RETURN_IF_ERROR(Save(folder, record));
  RunRequest run;
  run.folder = folder.Shim(spec.id);
  run.id = spec.id.str();
  run.bundle = folder.Bundle(spec.id);
  run.runtime_root = folder.RuntimeRoot();
  run.in = spec.config.stdin();
  run.in_once = spec.config.stdin_once();
  run.tty = spec.config.tty();
  run.log_limit = options_.log_limit;
  run.lease_seconds = options_.shim_lease_seconds;
  run.stream_owner = users.host_id;
  RETURN_IF_ERROR(AttachHostMounts(folder.HostMounts(spec.id), host_mounts));
  RETURN_IF_ERROR(DetachHostMounts(folder.Volumes(spec.id)));
  if (!users.empty()) RETURN_IF_ERROR(RefuseMountsBelow(host_mounts, spec.config));
  const Status ran = shim_.Run(call, run);
  const Status detached = DetachHostMounts(folder.HostMounts(spec.id));
  return ran.ok() ? detached : ran;
}

Result<VolumeLayers> Engine::HoldVolumes(const sdk::ContainerSpec& spec) {
  VolumeLayers layers;
  for (const auto& mount : spec.config.mounts()) {
    const std::string& name = mount.image().image();
    if (name.empty() || layers.count(name) != 0) continue;
    const std::string what = "mount \"" + mount.container_path() + "\"";
    const auto id = spec.volume_images.find(name);
    if (id == spec.volume_images.end()) {
      return ImageVolumeFailure(
          InvalidArgument("which image \"" + name + "\" is was not told").WithContext(what));
    }
    auto image = host_.HoldImage(spec.id, id->second);
    if (!image.ok()) return ImageVolumeFailure(image.status().WithContext(what));
    layers[name] = std::move(image->layers);
  }
  return layers;
}

Result<Engine::PidNamespaceToJoin> Engine::PidNamespace(const PodView& pod,
                                                        const sdk::ContainerSpec& spec) {
  const auto& options = spec.config.linux().security_context().namespace_options();
  if (options.pid() == runtime::v1::TARGET) {
    auto target = PidNamespaceOf(pod, ContainerId(options.target_id()));
    if (!target.ok()) return target.status().WithContext("namespace_options.target_id");
    return target;
  }
  if (!SharesPid(pod.record, spec.sandbox_config, spec.config)) return PidNamespaceToJoin();
  const auto pinned_in = [this](const std::string& pins) {
    return PidNamespaceToJoin{pins + "/pid", {}, options_.rootless ? pins + "/proc" : ""};
  };
  if (pod.record.shared_pid) return pinned_in(pod.folder.Namespaces());
  // The pod said CONTAINER and this container did not: the shared namespace is made now.
  PinRequest pin;
  pin.folder = pod.folder.LatePidNamespaces();
  pin.pid = true;
  pin.proc = options_.rootless;
  if (!pod.record.users.empty()) pin.user_namespace = pod.folder.Namespace("user");
  RETURN_IF_ERROR(MakeDirectories(pin.folder, 0711));
  ASSIGN_OR_RETURN(pin.cgroup_procs, cgroups_.Make(pod.record.init_cgroup));
  const Status pinned = shim_.Pin(Call::WithTimeout(kCreate), pin);
  if (!pinned.ok() && pinned.code() != Code::kAlreadyExists) return pinned;
  return pinned_in(pin.folder);
}

Result<Engine::PidNamespaceToJoin> Engine::PidNamespaceOf(const PodView& pod,
                                                          const ContainerId& target) {
  const std::string name = "container \"" + target.str() + "\"";
  {
    MutexLock lock(mutex_);
    const Container* container = FindLocked(pod.record.id, target);
    if (container == nullptr) return InvalidArgument(name + " is not in this sandbox");
    if (container->fact.state != State::kUp) return FailedPrecondition(name + " is not running");
  }
  ASSIGN_OR_RETURN(const std::string bytes,
                   ReadFile(pod.folder.Shim(target) + "/" + shim::kPidFile, kMaxPidFile));
  shim::PidFile process;
  if (!shim::ParsePidFile(bytes, process)) return DataLoss("the pid of " + name + " is damaged");
  const std::string link = "/proc/" + std::to_string(process.pid) + "/ns/pid";
  UniqueFd held(open(link.c_str(), O_RDONLY | O_CLOEXEC));
  const int error = errno;
  // Its number may be another process's by now: what is open is its own if it still lives.
  if (shim::IsAlive(process) != shim::Alive::kYes) {
    return FailedPrecondition(name + " is not running");
  }
  if (!held) return ErrnoStatus(error, "open the pid namespace of " + name);
  struct stat its {};
  struct stat ours {};
  if (fstat(held.get(), &its) != 0 || stat("/proc/self/ns/pid", &ours) != 0) {
    return ErrnoStatus(errno, "stat a pid namespace");
  }
  const bool machine = its.st_ino == ours.st_ino && its.st_dev == ours.st_dev;
  if (machine && !PolicyOf(options_, pod.record.handler).allow_host_namespaces) {
    return PermissionDenied(name +
                            " has the machine's pid namespace: AllowHostNamespaces is not set");
  }
  const std::string path =
      "/proc/" + std::to_string(getpid()) + "/fd/" + std::to_string(held.get());
  return PidNamespaceToJoin{path, std::move(held)};
}

Status Engine::DeleteRemains(const Call& call, const PodView& pod, const ContainerId& id) {
  const std::string base = pod.folder.Container(id);
  RETURN_IF_ERROR(shim_.DeleteContainer(call, pod.folder.RuntimeRoot(), id.str()));
  if (options_.rootless) RETURN_IF_ERROR(shim_.EndProcesses(call, pod.folder.Shim(id)));
  const std::string cgroup = pod.record.cgroup + "/" + id.str();
  RETURN_IF_ERROR(cgroups_.Kill(call, cgroup));
  RETURN_IF_ERROR(cgroups_.Remove(call, cgroup));
  for (const std::string& mounts : pod.folder.CreationMounts(id)) {
    RETURN_IF_ERROR(DetachHostMounts(mounts));
  }
  RETURN_IF_ERROR(Unmount(pod.folder.Root(id)));
  RETURN_IF_ERROR(Discard(base));
  host_.ReleaseImages(id);
  return {};
}

}  // namespace interlink::engine
