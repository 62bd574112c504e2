// RunSandbox: the intent is durable, then the pod comes up in its lane.
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/file.h"
#include "base/rollback.h"
#include "engine/engine.h"
#include "engine/idmapped_mounts.h"
#include "engine/mounts.h"
#include "engine/plan_sandbox.h"
#include "runtime/v1/api.pb.h"

namespace interlink::engine {
namespace {

constexpr auto kBringUp = std::chrono::minutes(2);
constexpr uint64_t kSharedMemory = 64U << 20U;
constexpr size_t kMaxHostFile = 1U << 20U;

std::string HostnameOf(const runtime::v1::PodSandboxConfig& config) {
  if (!config.hostname().empty()) return config.hostname();
  char name[HOST_NAME_MAX + 1] = {};
  return gethostname(name, sizeof name - 1) == 0 ? name : "localhost";
}

// Not durable: it is made again with its pod, or removed with it.
Status WriteShared(const std::string& path, const std::string& bytes) {
  const UniqueFd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (!fd) return ErrnoStatus(errno, "create \"" + path + "\"");
  if (write(fd.get(), bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size())) {
    return ErrnoStatus(errno, "write \"" + path + "\"");
  }
  if (fchmod(fd.get(), 0644) != 0) return ErrnoStatus(errno, "chmod \"" + path + "\"");
  return {};
}

// Makes what all containers of the pod share, and gives it to their root.
Status WriteFiles(const PodFolder& folder, const runtime::v1::PodSandboxConfig& config,
                  const IdRange& users) {
  const auto host = ReadFile("/etc/resolv.conf", kMaxHostFile);
  RETURN_IF_ERROR(WriteShared(folder.ResolvConf(), ResolvConf(config, host.value_or(""))));
  RETURN_IF_ERROR(WriteShared(folder.Hostname(), HostnameOf(config) + "\n"));
  RETURN_IF_ERROR(GiveToRootOf(users, folder.ResolvConf()));
  return GiveToRootOf(users, folder.Hostname());
}

CniAttachment AttachmentOf(const PodFolder& folder, const PodRecord& record,
                           const runtime::v1::PodSandboxConfig& config) {
  const auto& metadata = config.metadata();
  return {record.id.str(),
          folder.Namespace("net"),
          record.conflist,
          record.ports,
          {{"K8S_POD_NAMESPACE", metadata.namespace_()},
           {"K8S_POD_NAME", metadata.name()},
           {"K8S_POD_INFRA_CONTAINER_ID", record.id.str()},
           {"K8S_POD_UID", metadata.uid()}}};
}

}  // namespace

Status Engine::RunSandbox(const Call&, const sdk::SandboxSpec& spec) {
  {
    MutexLock lock(mutex_);
    if (!recovered_) return Unavailable("the pod folders are not scanned yet");
    const auto found = pods_.find(spec.id);
    if (found != pods_.end()) {
      if (found->second.record.node == spec.node) return {};
      return AlreadyExists("the sandbox id is taken: mint a new one");
    }
  }
  ASSIGN_OR_RETURN(PodRecord record, PlanSandbox(options_, spec));
  if (record.own_network) {
    ASSIGN_OR_RETURN(record.conflist, cni_.LoadConflist());
    RETURN_IF_ERROR(cni_.Check(record.conflist, record.ports));
    RETURN_IF_ERROR(TakePorts(record));
  }
  // In the end: by then the table has them, or there is no such pod.
  Rollback give_back;
  give_back.Push("give back the host ports", [&]() -> Status {
    MutexLock lock(mutex_);
    taken_ports_.erase(spec.id);
    return {};
  });
  const PodFolder folder = FolderOf(spec.id);
  RETURN_IF_ERROR(MakeDirectories(folder.path(), 0700));
  RETURN_IF_ERROR(Save(folder, record));
  {
    MutexLock lock(mutex_);
    Pod pod(folder);
    pod.record = record;
    pod.fact = FactOf(record);
    pod.fact.revision = ++revision_;
    pods_.emplace(spec.id, std::move(pod));
  }
  Post(spec.id, [this, id = spec.id] { BringUp(id); });
  return {};
}

Status Engine::TakePorts(const PodRecord& record) {
  const auto check = [&record](const SandboxId& id, const std::vector<HostPort>& ports) -> Status {
    if (id == record.id) return {};
    for (const HostPort& port : record.ports) {
      for (const HostPort& taken : ports) {
        if (!Collide(port, taken)) continue;
        return FailedPrecondition("port_mappings: host port " + std::to_string(port.host_port) +
                                  "/" + port.protocol + " is used by sandbox \"" + id.str() + "\"");
      }
    }
    return {};
  };
  MutexLock lock(mutex_);
  for (const auto& [id, pod] : pods_) {
    if (pod.record.phase == PodPhase::kDown || pod.record.phase == PodPhase::kFailed) continue;
    RETURN_IF_ERROR(check(id, pod.record.ports));
  }
  for (const auto& [id, ports] : taken_ports_) RETURN_IF_ERROR(check(id, ports));
  taken_ports_[record.id] = record.ports;
  return {};
}

void Engine::BringUp(const SandboxId& id) {
  const auto pod = View(id);
  if (!pod || pod->record.phase != PodPhase::kStarting) return;
  PodRecord record = pod->record;
  Status status = MakePod(*pod, record.cni_result, record.ips);
  if (status.ok()) {
    record.phase = PodPhase::kUp;
    record.started_ns = host_.clock().WallNanos();
    status = SavePod(record);
    if (status.ok()) return;
  }
  const Status undone = TearDown(Call::WithTimeout(kBringUp), *pod);
  // What could not be undone now is undone when the sandbox is stopped or removed.
  record.phase = PodPhase::kFailed;
  record.message = status.message() + (undone.ok() ? "" : "; then: " + undone.message());
  record.finished_ns = host_.clock().WallNanos();
  const Status saved = SaveEnd(record);
  if (saved.ok()) return;
  host_.log().Error("the failure of a sandbox cannot be stored",
                    {{"sandbox", id.str()}, {"error", saved.message()}});
}

Status Engine::MakePod(const PodView& pod, std::string& cni_result, std::vector<std::string>& ips) {
  const Call call = Call::WithTimeout(kBringUp);
  const PodFolder& folder = pod.folder;
  runtime::v1::PodSandboxConfig config;
  if (!config.ParseFromString(pod.record.config)) return DataLoss("the pod's config is damaged");
  for (const std::string& path :
       {folder.Namespaces(), folder.SharedMemory(), folder.Containers(), folder.RuntimeRoot()}) {
    RETURN_IF_ERROR(MakeDirectories(path, 0711));
  }
  PinRequest pin;
  pin.folder = folder.Namespaces();
  pin.users = pod.record.users;
  pin.net = pod.record.own_network;
  pin.ipc = pod.record.own_ipc;
  pin.uts = true;
  pin.pid = pod.record.shared_pid;
  pin.proc = pod.record.shared_pid && options_.rootless;
  pin.hostname = config.hostname();
  pin.sysctls.assign(config.linux().sysctls().begin(), config.linux().sysctls().end());
  if (pin.pid) {
    ASSIGN_OR_RETURN(pin.cgroup_procs, cgroups_.Make(pod.record.init_cgroup));
  }
  const Status pinned = shim_.Pin(call, pin);
  // Pinned before a crash of ours: the same request made them.
  if (!pinned.ok() && pinned.code() != Code::kAlreadyExists) return pinned;
  if (pod.record.own_ipc) RETURN_IF_ERROR(MountTmpfs(folder.SharedMemory(), kSharedMemory));
  RETURN_IF_ERROR(GiveToRootOf(pod.record.users, folder.SharedMemory()));
  RETURN_IF_ERROR(WriteFiles(folder, config, pod.record.users));
  if (!pod.record.own_network) return {};
  RETURN_IF_ERROR(WriteShared(folder.NetworkBegun(), ""));
  ASSIGN_OR_RETURN(cni_result, cni_.Add(call, AttachmentOf(folder, pod.record, config)));
  ASSIGN_OR_RETURN(ips, CniAddresses(cni_result));
  return {};
}

Status Engine::TearDown(const Call& call, const PodView& pod) {
  const PodFolder& folder = pod.folder;
  runtime::v1::PodSandboxConfig config;
  if (!config.ParseFromString(pod.record.config)) return DataLoss("the pod's config is damaged");
  Status first;
  const auto keep = [&first](const Status& status) {
    if (first.ok() && !status.ok()) first = status;
  };
  if (!pod.record.conflist.empty()) {
    const Status removed =
        cni_.Delete(call, AttachmentOf(folder, pod.record, config), pod.record.cni_result);
    // The addresses of a namespace that still exists must not be given to another pod. Where ADD
    // never began there are none, whatever the plugins say.
    const bool begun =
        access(folder.NetworkBegun().c_str(), F_OK) == 0 || !pod.record.cni_result.empty();
    if (begun && !removed.ok()) return removed;
  }
  for (const std::string& pins : {folder.Namespaces(), folder.LatePidNamespaces()}) {
    if (access(pins.c_str(), F_OK) == 0) keep(shim_.Unpin(call, pins));
  }
  keep(Unmount(folder.SharedMemory()));
  // Also without shared_pid: a container may have asked for the shared namespace.
  keep(cgroups_.Kill(call, pod.record.init_cgroup));
  keep(cgroups_.Remove(call, pod.record.init_cgroup));
  return first;
}

}  // namespace interlink::engine
