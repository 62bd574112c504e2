// AgentBackend: an sdk::Backend whose pods run in allocations. Its provisioner gets them and proves
// their ends; each pod's agent, which calls the hub, does everything else. Thread-safe.
//
// How it works. What is asked for is stored first (pod_files.h), then posted as Drive(sandbox),
// which does what is due at the provisioner and at the agent, and comes again until it is done.
// What agent and provisioner say goes through AgentPod, is stored, and only then told to the site.
//
// Locks: mutex_ guards the table; each pod has its own, under which its record is written, so that
// the order of records is that of changes. No agent or provisioner is asked under any lock.
#ifndef INTERLINK_AGENT_BACKEND_AGENT_BACKEND_H_
#define INTERLINK_AGENT_BACKEND_AGENT_BACKEND_H_

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent_backend/agent_directory.h"
#include "agent_backend/agent_pod.h"
#include "agent_backend/agents.h"
#include "agent_backend/layer_sender.h"
#include "agent_backend/pod_files.h"
#include "base/mutex.h"
#include "base/step_pool.h"
#include "base/timer.h"
#include "sdk/backend.h"
#include "sdk/host.h"
#include "sdk/provisioner.h"

namespace interlink::agent_backend {

inline constexpr size_t kMaxAgentWords = 1024;  // of an agent's error, in what is told of a pod

// How agents reach the site.
struct AgentBackendOptions {
  std::string hub;                      // "host:port"
  std::string server_name;              // in the site's certificate
  std::function<std::string()> ca_pem;  // of now, for who starts; must not block for long
  Duration idle_timeout{};              // idle_pods.cc; zero: none
  // Of the hub.
  Duration lease{};
  Duration heartbeat{};
  int threads = 16;
  Duration try_again = std::chrono::seconds(2);
  LayerSenderOptions layers = {};
};

class AgentBackend final : public sdk::Backend, public sdk::AgentDesk, private AgentListener {
 public:
  // `host`, `agents` and `directory` outlive it. kDataLoss, kFailedPrecondition: a record cannot be
  // read; it is named.
  static Result<std::unique_ptr<AgentBackend>> Create(sdk::Host& host,
                                                      std::shared_ptr<Agents> agents,
                                                      AgentDirectory& directory,
                                                      AgentBackendOptions options);
  ~AgentBackend() override;

  // Once, before anything else is called but TicketFor and Report.
  void SetProvisioner(std::unique_ptr<sdk::Provisioner> provisioner);

  // sdk::Backend
  const sdk::Description& Describe() const override { return provisioner_->Describe(); }
  Result<Observations> Recover(const Call& call, const Observations& last_known) override;
  Result<Observations> Observe(const Call& call) override;
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

  // sdk::AgentDesk
  sdk::AgentTicket TicketFor(const SandboxId& id) override;
  void Report(std::vector<sdk::AllocationFact> facts) override;
  Result<sdk::AgentBinding> CloseTo(const SandboxId& id) override;
  Result<sdk::AgentBinding> BoundTo(const SandboxId& id) override;
  Result<bool> HasLeft(const SandboxId& id) override;
  Duration Lease() const override { return options_.lease; }
  Duration Heartbeat() const override { return options_.heartbeat; }
  std::optional<Duration> Silence(const SandboxId& id) override;
  Status Carry(UniqueFd relay, std::function<void()> over) override;

 private:
  struct Entry {
    explicit Entry(AgentPod p) : pod(std::move(p)) {}
    Mutex mutex;
    AgentPod pod GUARDED_BY(mutex);
    bool asked GUARDED_BY(mutex) = false;      // the provisioner may know it
    bool stored GUARDED_BY(mutex) = false;     // its file is there
    bool removed GUARDED_BY(mutex) = false;    // its file is gone: nothing is stored any more
    bool connected GUARDED_BY(mutex) = false;  // its agent is here
    bool told GUARDED_BY(mutex) = false;       // and has said what there is
    bool stopping GUARDED_BY(mutex) = false;   // and was asked to stop and leave
    std::string host GUARDED_BY(mutex);        // of the agent, for words
    uint64_t visit GUARDED_BY(mutex) = 0;      // counts its agent's connections
    bool again GUARDED_BY(mutex) = false;      // Drive comes by itself
    bool settling GUARDED_BY(mutex) = false;   // TakeEnd comes by itself
    int unsettled GUARDED_BY(mutex) = 0;       // how often it could not be settled
    std::set<ContainerId> carried GUARDED_BY(mutex);      // on their way to the agent
    std::set<ContainerId> start_asked GUARDED_BY(mutex);  // of those, in this visit
    std::optional<SteadyTime> idle_since GUARDED_BY(mutex);
    std::optional<SteadyTime> not_before GUARDED_BY(mutex);  // it is not submitted yet
    bool watched GUARDED_BY(mutex) = false;                  // a timer looks at these two again
  };
  using EntryPtr = std::shared_ptr<Entry>;  // owners: the table, and steps that work with it

  AgentBackend(sdk::Host& host, std::shared_ptr<Agents> agents, AgentDirectory& directory,
               AgentBackendOptions options);

  // AgentListener: on the hub's steps.
  bool Knows(const SandboxId& id) const override;
  Status MayCome(const SandboxId& id, const agent_hub::AgentPlace& place) override;
  void CameIn(const SandboxId& id, const agent_hub::AgentPlace& place) override;
  void WentAway(const SandboxId& id, const Status& why) override;
  Status Reported(const SandboxId& id, std::vector<sdk::Observation> facts, bool complete) override;
  void LogGrew(const SandboxId& id, const ContainerId& container) override;

  EntryPtr Find(const SandboxId& id) const;
  // Of that node; another node's is none.
  EntryPtr FindOf(const NodeId& node, const SandboxId& id) const;
  EntryPtr AddTombstone(const NodeId& node, const SandboxId& id);
  static void AddFacts(Entry& entry, Observations& all);
  Status SaveLocked(Entry& entry) REQUIRES_LOCK(entry.mutex);
  // OK: its agent can be asked now. Else why not, in words for kubelet.
  Status CheckAgent(const SandboxId& id, const EntryPtr& entry) const;
  // Of a container that is known: else OK to ask is kNotFound.
  Status CheckContainer(const SandboxId& sandbox, const ContainerId& id) const;
  Status WantEnd(const EntryPtr& entry, interlink::v1::Wanted wanted);

  // Steps of a sandbox, one at a time (drive_pod.cc).
  void Post(const SandboxId& id, std::function<void()> step);
  void Drive(const SandboxId& id);
  void DriveLater(const SandboxId& id);
  // True: it must come again.
  bool DriveRun(const EntryPtr& entry);
  bool DriveSubmit(const EntryPtr& entry);
  bool DriveEnd(const EntryPtr& entry);
  void PostFact(sdk::AllocationFact fact);
  void TakeFact(const sdk::AllocationFact& fact);
  bool TakeEnd(const EntryPtr& entry, const sdk::AllocationFact& fact);
  void SettleLater(const EntryPtr& entry, const sdk::AllocationFact& fact);
  void ReleaseStranger(const sdk::AllocationFact& fact);

  // Queue: at-start (queued_containers.cc).
  bool IsAtStart(const std::string& handler) const;
  Status KeepForAgent(const EntryPtr& entry, const sdk::ContainerSpec& spec);
  bool KeepContents(const EntryPtr& entry, const ContainerId& id,
                    const sdk::MountContents& contents, Status& answer);
  bool StopQueued(const EntryPtr& entry, const ContainerId& id, Status& answer);
  bool RemoveQueued(const EntryPtr& entry, const ContainerId& id, Status& answer);
  bool CarryContainers(const EntryPtr& entry);
  std::optional<interlink::v1::StoredAgentContainer> TakeToCarry(const EntryPtr& entry,
                                                                 const ContainerId& id, bool start);
  bool CarryContainer(const EntryPtr& entry, const ContainerId& id);
  Status BringToAgent(const EntryPtr& entry, const interlink::v1::StoredAgentContainer& container);
  bool StartCarried(const EntryPtr& entry, const ContainerId& id);
  bool EndCarry(const EntryPtr& entry, const ContainerId& id, const Status& done, bool created);

  // Images (containers.cc).
  std::string UserOf(const SandboxId& sandbox) const;
  Result<sdk::UnpackedImage> HoldForAgent(const Call& call, const std::string& user,
                                          const ContainerId& holder, const std::string& image_id);
  // All that the container needs, held for it until ReleaseImages.
  Result<agent_hub::AgentImages> HoldImages(const Call& call, const sdk::ContainerSpec& spec);
  // As its agent reads them. kUnavailable: they are on their way to it.
  Result<agent_hub::AgentImages> BringImages(const Call& call, const EntryPtr& entry,
                                             const sdk::ContainerSpec& spec);
  // What is on its way no more is collected at once.
  void LayersSettled(const SandboxId& id);
  Status CreateAtAgent(const Call& call, const EntryPtr& entry, const sdk::ContainerSpec& spec);

  // Allocations that are used for nothing (idle_pods.cc).
  uint32_t IdleTriesBefore(const sdk::SandboxSpec& spec) const;
  bool IsDelayed(Entry& entry) REQUIRES_LOCK(entry.mutex);
  bool GiveBackIfIdle(const EntryPtr& entry);
  void LookAgainAt(const EntryPtr& entry, SteadyTime when) REQUIRES_LOCK(entry->mutex);

  sdk::Host& host_;
  const std::shared_ptr<Agents> agents_;
  AgentDirectory& directory_;
  const AgentBackendOptions options_;
  const PodFiles files_;
  std::unique_ptr<sdk::Provisioner> provisioner_;

  mutable Mutex mutex_;
  std::map<SandboxId, EntryPtr> pods_ GUARDED_BY(mutex_);
  bool recovered_ GUARDED_BY(mutex_) = false;
  std::vector<sdk::AllocationFact> early_ GUARDED_BY(mutex_);  // told before Recover was done

  Timer timer_;
  StepPool steps_;
  StepPool questions_;  // to many agents at once, for one answer
  LayerSender layers_;  // where agents cannot read the site's
};

}  // namespace interlink::agent_backend

#endif  // INTERLINK_AGENT_BACKEND_AGENT_BACKEND_H_
