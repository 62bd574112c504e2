// Engine: a Backend that runs pods on this machine, through interlink-shim, an OCI runtime and CNI.
// Thread-safe. Its memory is a copy of the pod folders (pod_files.h): what it must not forget is on
// disk before it acts, and Recover is a scan.
//
// Every change of a pod is a step in the pod's lane (base/step_pool.h): first in, first out, one at
// a time. mutex_ guards the tables for moments only; nobody does I/O under it.
#ifndef INTERLINK_ENGINE_ENGINE_H_
#define INTERLINK_ENGINE_ENGINE_H_

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "base/step_pool.h"
#include "base/timer.h"
#include "base/trash.h"
#include "base/unique_fd.h"
#include "engine/capabilities.h"
#include "engine/cgroup.h"
#include "engine/cni.h"
#include "engine/container_engines.h"
#include "engine/image_volumes.h"
#include "engine/options.h"
#include "engine/pod_files.h"
#include "engine/process_usage.h"
#include "engine/shim_client.h"
#include "engine/shim_watch.h"
#include "engine/writable_walk.h"
#include "sdk/backend.h"
#include "sdk/host.h"

namespace runtime::v1 {
class ContainerMetrics;
}  // namespace runtime::v1

namespace interlink::engine {

class DeviceNames;

// From KILL to the exit record of the shim.
constexpr auto kKilled = std::chrono::seconds(5);

// What this machine can do for pods: tried once, at the start.
struct EngineFeatures {
  bool user_namespaces = false;
  bool recursive_read_only = false;
  uint32_t own_ids = 0;  // SpecInputs::own_ids
};

// The description of an engine with these options. Pure.
sdk::Description DescribeEngine(const EngineOptions& options, const EngineFeatures& features);

class Engine final : public sdk::Backend {
 public:
  // kFailedPrecondition: this machine cannot run containers (not root, no shim, no cgroups).
  static Result<std::unique_ptr<sdk::Backend>> Create(sdk::Host& host, EngineOptions options);
  ~Engine() override;

  const sdk::Description& Describe() const override { return description_; }
  Result<std::vector<sdk::Observation>> Recover(
      const Call& call, const std::vector<sdk::Observation>& last_known) override;
  Result<std::vector<sdk::Observation>> Observe(const Call& call) override;
  Status RunSandbox(const Call& call, const sdk::SandboxSpec& spec) override;
  Status StopSandbox(const Call& call, const NodeId& node, const SandboxId& id) override;
  Status RemoveSandbox(const Call& call, const NodeId& node, const SandboxId& id) override;
  Status UpdateSandbox(const Call& call, const NodeId& node, const SandboxId& id,
                       const runtime::v1::LinuxContainerResources& resources,
                       const runtime::v1::LinuxContainerResources& overhead) override;
  Status PrepareImage(const Call& call, const SandboxId& sandbox,
                      const std::string& image_id) override;
  Status CreateContainer(const Call& call, const sdk::ContainerSpec& spec) override;
  Status StartContainer(const Call& call, const SandboxId& sandbox, const ContainerId& id) override;
  Status StopContainer(const Call& call, const SandboxId& sandbox, const ContainerId& id,
                       std::chrono::seconds grace) override;
  Status RemoveContainer(const Call& call, const SandboxId& sandbox,
                         const ContainerId& id) override;
  Status UpdateContainer(const Call& call, const SandboxId& sandbox, const ContainerId& id,
                         const runtime::v1::LinuxContainerResources& resources) override;
  Status UpdateContents(const Call& call, const SandboxId& sandbox, const ContainerId& id,
                        const sdk::MountContents& contents) override;
  Result<UniqueFd> OpenSession(const Call& call, const sdk::SessionSpec& spec) override;
  Result<UniqueFd> Dial(const Call& call, const SandboxId& sandbox, uint16_t port) override;
  Result<sdk::LogChunk> ReadLog(const Call& call, const SandboxId& sandbox, const ContainerId& id,
                                uint64_t offset, size_t max) override;
  Result<sdk::Usage> Stats(const Call& call) override;
  Result<std::vector<runtime::v1::PodSandboxMetrics>> Metrics(const Call& call) override;
  Result<std::string> Inspect(const Call& call, const SandboxId& sandbox,
                              const ContainerId& container) override;

 private:
  struct WritableLayer {
    uint64_t bytes = 0;
    uint64_t files = 0;
    int64_t at_ns = 0;  // 0: not measured yet
  };
  struct Container {
    ContainerRecord record;
    sdk::Observation fact;
    uint64_t watch = 0;
    bool shim_lost = false;  // its shim was killed: its end must be forced
    std::optional<SteadyTime> kill_at;
    uint64_t last_cpu_nanos = 0;  // of the sample before
    int64_t last_cpu_at_ns = 0;
    WritableLayer writable;
    std::shared_ptr<WritableWalk> walk;  // not at its end; owners: this and who goes on with it
    int64_t walk_began_ns = 0;
  };
  struct Pod {
    explicit Pod(PodFolder where) : folder(std::move(where)) {}
    const PodFolder folder;
    PodRecord record;
    sdk::Observation fact;
    std::map<ContainerId, Container> containers;
    bool settled = true;       // false while Recover looks at it
    bool stop_posted = false;  // a stop waits for its turn, or for its next try
  };
  // What a step works with, copied out of the tables.
  struct PodView {
    PodFolder folder;
    PodRecord record;
  };

  Engine(sdk::Host& host, EngineOptions options, const ContainerEngine& maker, Cgroups cgroups,
         CapabilitySet own, CapabilitySet effective, const EngineFeatures& features);
  Status Begin();

  // Lanes.
  void Post(const SandboxId& sandbox, std::function<void()> step);
  // Runs `step` in the pod's lane and waits for it. kUnavailable: it is still under way.
  Status RunInLane(const Call& call, const SandboxId& sandbox, std::function<Status()> step);

  // Of what pods wrote: a million files must not hold a lane that other pods wait for.
  Status Discard(const std::string& path);

  // Tables.
  PodFolder FolderOf(const SandboxId& id) const;
  std::optional<PodView> View(const SandboxId& id);
  Result<UniqueFd> OpenInShim(const Call& call, const sdk::SessionSpec& spec, const PodView& pod);
  std::optional<PodView> ViewOf(const NodeId& node, const SandboxId& id);
  Container* FindLocked(const SandboxId& sandbox, const ContainerId& id) REQUIRES_LOCK(mutex_);
  Result<ContainerRecord> RecordOf(const SandboxId& sandbox, const ContainerId& id);
  // Stores the record, then shows it.
  Status SavePod(const PodRecord& record);
  // Of a pod that ends: a full disk does not hold it up. What could not be stored is shown all the
  // same; after a restart its owner asks for its end again.
  Status SaveEnd(const PodRecord& record);
  void Show(const PodRecord& record);
  sdk::Observation FactOf(const PodRecord& record) const;
  sdk::Observation FactOf(const PodRecord& pod, const ContainerRecord& record) const;
  // As the container was asked for, with the resources that it has now.
  static std::string ConfigInForce(const ContainerRecord& record);
  // Moves a container's fact forward, reports it and wakes who waits for it.
  void MoveContainer(const SandboxId& sandbox, const ContainerId& id,
                     const std::function<void(sdk::Observation&)>& change);

  // Sandboxes.
  // Takes the pod's host ports until it is in the table. kFailedPrecondition: another living pod
  // has one of them.
  Status TakePorts(const PodRecord& record);
  void BringUp(const SandboxId& id);
  Status MakePod(const PodView& pod, std::string& cni_result, std::vector<std::string>& ips);
  Status TearDown(const Call& call, const PodView& pod);
  Status StopStep(const Call& call, const SandboxId& id);
  Status RemoveStep(const SandboxId& id);
  // One try waits at a time, however often it is asked.
  void StopLater(const SandboxId& id, Duration delay);
  Status EndContainers(const Call& call, const SandboxId& id);

  // Containers.
  Status CreateStep(const sdk::ContainerSpec& spec);
  Status MakeContainer(const PodView& pod, const sdk::ContainerSpec& spec, ContainerRecord& record);
  Result<VolumeLayers> HoldVolumes(const sdk::ContainerSpec& spec);
  // The pid namespace that a container joins; an empty path: one of its own, or the machine's.
  struct PidNamespaceToJoin {
    std::string path;
    UniqueFd held;          // what `path` leads to, while this lives
    std::string proc = {};  // ContainerPlace::proc
  };
  Result<PidNamespaceToJoin> PidNamespace(const PodView& pod, const sdk::ContainerSpec& spec);
  // Of a container that runs in the same pod.
  Result<PidNamespaceToJoin> PidNamespaceOf(const PodView& pod, const ContainerId& target);
  Status StartStep(const SandboxId& sandbox, const ContainerId& id);
  Status RemoveContainerStep(const Call& call, const SandboxId& sandbox, const ContainerId& id);
  Status UpdateStep(const SandboxId& sandbox, const ContainerId& id, const std::string& resources);
  Status UpdateContentsStep(const SandboxId& sandbox, const ContainerId& id,
                            const sdk::MountContents& contents);
  void KillAt(const SandboxId& sandbox, const ContainerId& id, SteadyTime when);
  void WatchContainer(const SandboxId& sandbox, const ContainerId& id, uint64_t log_offset);
  void WatchLater(const SandboxId& sandbox, const ContainerId& id);
  void LogUnsettled(const ContainerId& id, const Status& why);
  void OnEnded(const SandboxId& sandbox, const ContainerId& id, bool recorded);
  // Shows the end that the exit record tells; false: there is none that can be read.
  Result<bool> TakeExit(const PodView& pod, const ContainerId& id);
  // Shows the end that its shim tells; false: it tells none.
  bool TakeEnd(const PodView& pod, const ContainerId& id, const shim::ContainerState& state);
  // From the exit record, or from its shim when that cannot write it, or else by killing what is
  // left. kUnavailable: its shim lives, and so does what it runs.
  Status SettleEnd(const Call& call, const SandboxId& sandbox, const ContainerId& id);
  Status ForceEnd(const Call& call, const SandboxId& sandbox, const ContainerId& id, ForcedEnd end);
  bool AwaitEnd(const SandboxId& sandbox, const ContainerId& id, Duration timeout);
  Status DeleteRemains(const Call& call, const PodView& pod, const ContainerId& id);

  // Recovery.
  Status RecoverPod(const Call& call, const SandboxId& id);
  Status RecoverContainer(const Call& call, const PodView& pod, const ContainerId& id);
  Status RecoverPhase(const Call& call, const PodView& pod);

  // Looking inside.
  struct RunningPod {
    SandboxId sandbox;
    bool own_network = false;
    std::vector<ContainerId> containers;
  };
  std::vector<RunningPod> RunningPods();
  // /proc/PID/net/dev of the pod; "" where it has no network of its own or nothing runs in it.
  std::string NetworkCounters(const RunningPod& pod);
  // As it was measured last; goes on with that at most until `until`.
  WritableLayer MeasureWritable(const SandboxId& sandbox, const ContainerId& id,
                                const std::string& upper, SteadyTime until);
  // The container's metrics; kNotFound: it has just ended.
  Status MeasureMetrics(const Call& call, const SandboxId& sandbox, const ContainerId& id,
                        DeviceNames& devices, runtime::v1::ContainerMetrics& metrics);
  std::optional<CgroupUsage> UsageOf(const PodView& pod, const ContainerRecord& record,
                                     const std::optional<ProcessTable>& processes) const;
  void MeasureContainer(const SandboxId& sandbox, const ContainerId& id, SteadyTime until,
                        const std::optional<ProcessTable>& processes, sdk::Usage& usage);

  // In a user namespace the capability is not one over the machine.
  bool MayLowerOomScore() const {
    return !options_.rootless && Has(effective_capabilities_, "CAP_SYS_RESOURCE");
  }

  sdk::Host& host_;
  const EngineOptions options_;
  const ContainerEngine& maker_;
  const EngineFeatures features_;
  const sdk::Description description_;
  const Cgroups cgroups_;
  const CapabilitySet own_capabilities_;
  const CapabilitySet effective_capabilities_;
  const ShimClient shim_;
  const Cni cni_;
  const std::string root_;        // of the pod folders
  std::unique_ptr<Trash> trash_;  // none: what goes is deleted at once

  Mutex mutex_;
  CondVar changed_;
  std::map<SandboxId, Pod> pods_ GUARDED_BY(mutex_);
  // Host ports of pods on their way into the table.
  std::map<SandboxId, std::vector<HostPort>> taken_ports_ GUARDED_BY(mutex_);
  uint64_t revision_ GUARDED_BY(mutex_) = 1;
  bool recovered_ GUARDED_BY(mutex_) = false;

  std::unique_ptr<ShimWatch> watch_;
  Timer timer_;
  StepPool steps_;
};

}  // namespace interlink::engine

#endif  // INTERLINK_ENGINE_ENGINE_H_
