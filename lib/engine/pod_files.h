// What the engine keeps of a pod on disk. An intent is written before its effect, so that a scan
// after a crash at any point settles what is there.
//
//   STATE/LINEAGE/SANDBOX/       0700
//     pod.json                   PodRecord: first thing made, last thing removed
//     ns/ pidns/                 pinned namespaces (interlink-shim pin)
//     shm/                       tmpfs, /dev/shm of the containers
//     cni                        ADD has begun: the network must be taken down
//     resolv.conf hostname       bound into the containers
//     empty/NAME                 emptyDirs of a kubelet on another machine
//     crun/                      the container engine's own state
//     c/CONTAINER/               0700
//       container.json           ContainerRecord
//       shim/                    lib/shim/layout.h: log, exit record, control socket
//       upper/ work/             of the overlay
//       mnt/N                    what it mounts, mounted there while the container is created
//       volumes/N                images that it mounts, whole, until mnt/N is there
//       layers/N                 an image's, with mapped owners, while its overlay is mounted
//       contents/N                 snapshots of that kubelet's volumes
//       termination-log            where it reads the termination message
//       bundle/config.json bundle/rootfs
//       bundle/launch            of an engine that reads no config.json
#ifndef INTERLINK_ENGINE_POD_FILES_H_
#define INTERLINK_ENGINE_POD_FILES_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/id.h"
#include "base/status.h"
#include "engine/cni_config.h"
#include "engine/user_namespace.h"
#include "engine/users.h"

namespace interlink::engine {

// kStarting -> kUp -> kStopping -> kDown      kStarting -> kFailed, kStopping
enum class PodPhase { kStarting, kUp, kStopping, kDown, kFailed };

struct PodRecord {
  SandboxId id;
  NodeId node;
  std::string handler;
  std::string config;  // serialised runtime.v1.PodSandboxConfig
  std::string boot_id;
  PodPhase phase = PodPhase::kStarting;
  std::string message;  // kFailed: why
  int64_t started_ns = 0;
  int64_t finished_ns = 0;
  bool own_network = false;
  bool shared_pid = false;  // ns/pid was pinned with the pod
  bool own_ipc = false;
  IdRange users;         // ns/user was pinned with the pod; empty: its ids are the machine's
  std::string conflist;  // CNI configuration as it was at ADD; empty: no CNI
  std::vector<HostPort> ports;
  std::string cni_result;  // JSON
  std::vector<std::string> ips;
  std::string cgroup;       // containers are CGROUP/ID
  std::string init_cgroup;  // of the shared pid namespace's first process
};

// An end that no exit record tells: a start that failed, a shim that was killed.
struct ForcedEnd {
  bool is_set = false;
  int exit_code = 0;
  std::string reason;
  std::string message;
  int64_t finished_ns = 0;
};

struct ContainerRecord {
  ContainerId id;
  std::string image_id;
  std::map<std::string, std::string> volume_images;  // of each image that a mount names: its id
  std::string config;                                // serialised runtime.v1.ContainerConfig
  std::string resources;  // serialised runtime.v1.LinuxContainerResources in force
  ResolvedUser user;
  int stop_signal = 15;
  bool tty = false;
  std::string cgroup;
  std::map<std::string, std::string>
      contents;  // of each snapshot, by host path: its N in contents/N
  ForcedEnd end;
};

// Paths of a pod. Pure.
class PodFolder {
 public:
  explicit PodFolder(std::string path) : path_(std::move(path)) {}

  const std::string& path() const { return path_; }
  std::string RecordFile() const { return path_ + "/pod.json"; }
  std::string Namespaces() const { return path_ + "/ns"; }
  std::string Namespace(const std::string& kind) const { return Namespaces() + "/" + kind; }
  std::string LatePidNamespaces() const { return path_ + "/pidns"; }
  std::string SharedMemory() const { return path_ + "/shm"; }
  std::string NetworkBegun() const { return path_ + "/cni"; }
  std::string ResolvConf() const { return path_ + "/resolv.conf"; }
  std::string Hostname() const { return path_ + "/hostname"; }
  std::string EmptyFolders() const { return path_ + "/empty"; }
  std::string RuntimeRoot() const { return path_ + "/crun"; }
  std::string Containers() const { return path_ + "/c"; }
  std::string Container(const ContainerId& id) const { return Containers() + "/" + id.str(); }
  std::string ContainerFile(const ContainerId& id) const {
    return Container(id) + "/container.json";
  }
  std::string Shim(const ContainerId& id) const { return Container(id) + "/shim"; }
  std::string HostMounts(const ContainerId& id) const { return Container(id) + "/mnt"; }
  std::string Contents(const ContainerId& id) const { return Container(id) + "/contents"; }
  std::string TerminationLog(const ContainerId& id) const {
    return Container(id) + "/termination-log";
  }
  std::string MappedLayers(const ContainerId& id) const { return Container(id) + "/layers"; }
  std::string Volumes(const ContainerId& id) const { return Container(id) + "/volumes"; }
  // Where something may be mounted while the container is created, and only then.
  std::vector<std::string> CreationMounts(const ContainerId& id) const {
    return {HostMounts(id), Volumes(id), MappedLayers(id)};
  }
  std::string Bundle(const ContainerId& id) const { return Container(id) + "/bundle"; }
  std::string Root(const ContainerId& id) const { return Bundle(id) + "/rootfs"; }

 private:
  std::string path_;
};

// Of an engine with that state folder and lineage. Pure.
inline PodFolder FolderOfPod(const std::string& state_folder, const Lineage& lineage,
                             const SandboxId& id) {
  return PodFolder(state_folder + "/" + lineage.str() + "/" + id.str());
}

// Durable when they return.
Status Save(const PodFolder& folder, const PodRecord& record);
Status Save(const PodFolder& folder, const ContainerRecord& record);
// kNotFound; kDataLoss: damaged, or of a version that this build does not know.
Result<PodRecord> LoadPod(const PodFolder& folder);
Result<ContainerRecord> LoadContainer(const PodFolder& folder, const ContainerId& id);

// The names in a folder that are full ids; none when the folder does not exist.
Result<std::vector<std::string>> FullIdsIn(const std::string& folder);

// The kernel's id of this boot.
Result<std::string> BootId();

}  // namespace interlink::engine

#endif  // INTERLINK_ENGINE_POD_FILES_H_
