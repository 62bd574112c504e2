// LiveSite: the one implementation of Site. Its use cases stand in a file each: run_sandbox.cc,
// stop_sandbox.cc, ...
//
// How it works. A request raises `wanted` of a record, durably, and posts Drive(sandbox); Drive
// looks at wanted and seen of the sandbox and its containers and does the next backend calls.
// Observations raise `seen`, durably, and post Drive too. So there is one place that acts, it may
// run any number of times, and a crash between any two lines is the same as a late Drive. Replies
// wait, without a thread, for the record to settle.
//
// Locks: one mutex guards all records. Store::Commit is called under it on purpose: it only
// enqueues, and the order of commits must be the order of changes in memory. What a change
// publishes (events, replies, Drive) happens in the commit's `done`, so nothing that is not durable
// leaves the process.
#ifndef INTERLINK_SITE_LIVE_SITE_H_
#define INTERLINK_SITE_LIVE_SITE_H_

#include <atomic>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/mutex.h"
#include "base/step_pool.h"
#include "base/timer.h"
#include "interlink/v1/site_store.pb.h"
#include "site/exec_sync.h"
#include "site/measured.h"
#include "site/pull.h"
#include "site/records.h"
#include "site/session_counts.h"
#include "site/site.h"
#include "site/state.h"

namespace interlink::site {

class LiveEventReader;

class LiveSite final : public Site {
 public:
  LiveSite(const Options& options, const Ports& ports);
  ~LiveSite() override;

  // Part of Create: fills the tables from the store and raises the epoch.
  Status Load();

  sdk::Host& HostFor(const std::string& plugin) override;
  Status AddBackend(const std::string& plugin, const std::vector<std::string>& handlers,
                    std::unique_ptr<sdk::Backend> backend) override;
  void AddMissing(const std::string& plugin, const std::vector<std::string>& handlers,
                  Status why) override;
  void Start() override;
  void Stop() override;

  void Link(const Call& call, const NodeId& node, const interlink::v1::LinkRequest& request,
            Reply<interlink::v1::LinkResponse> reply) override;
  interlink::v1::InfoResponse Info() const override;
  interlink::v1::SiteStatus StatusFor(const NodeId& node) const override;
  bool Ready() const override;

  void RunSandbox(const Call& call, const Caller& caller, const SandboxId& id,
                  const std::string& body, Duration wait,
                  Reply<Answer<SandboxRecord>> reply) override;
  void StopSandbox(const Call& call, const Caller& caller, const SandboxId& id,
                   const std::string& handler, Duration wait,
                   Reply<Answer<SandboxRecord>> reply) override;
  void RemoveSandbox(const Call& call, const Caller& caller, const SandboxId& id,
                     const std::string& handler, Duration wait,
                     Reply<Answer<SandboxRecord>> reply) override;
  void UpdateSandbox(const Call& call, const Caller& caller, const SandboxId& id,
                     const interlink::v1::UpdateSandboxRequest& request,
                     Reply<Answer<SandboxRecord>> reply) override;
  Result<SandboxRecord> GetSandbox(const NodeId& node, const SandboxId& id) const override;
  std::vector<SandboxRecord> ListSandboxes(const NodeId& node) const override;
  void InspectSandbox(const Call& call, const NodeId& node, const SandboxId& id,
                      Reply<interlink::v1::InspectResponse> reply) override;

  void CreateContainer(const Call& call, const Caller& caller, const SandboxId& sandbox,
                       const ContainerId& id, const std::string& body, Duration wait,
                       Reply<Answer<ContainerRecord>> reply) override;
  void StartContainer(const Call& call, const Caller& caller, const SandboxId& sandbox,
                      const ContainerId& id, const std::string& handler, Duration wait,
                      Reply<Answer<ContainerRecord>> reply) override;
  void StopContainer(const Call& call, const Caller& caller, const SandboxId& sandbox,
                     const ContainerId& id, const interlink::v1::StopContainerRequest& request,
                     Duration wait, Reply<Answer<ContainerRecord>> reply) override;
  void RemoveContainer(const Call& call, const Caller& caller, const SandboxId& sandbox,
                       const ContainerId& id, const std::string& handler, Duration wait,
                       Reply<Answer<ContainerRecord>> reply) override;
  void UpdateContainer(const Call& call, const Caller& caller, const SandboxId& sandbox,
                       const ContainerId& id, const interlink::v1::UpdateContainerRequest& request,
                       Reply<Answer<ContainerRecord>> reply) override;
  Result<ContainerRecord> GetContainer(const NodeId& node, const SandboxId& sandbox,
                                       const ContainerId& id) const override;
  void InspectContainer(const Call& call, const NodeId& node, const SandboxId& sandbox,
                        const ContainerId& id,
                        Reply<interlink::v1::InspectResponse> reply) override;
  void ExecSync(const Call& call, const Caller& caller, const SandboxId& sandbox,
                const ContainerId& id, const interlink::v1::ExecSyncRequest& request,
                Reply<interlink::v1::ExecSyncResponse> reply) override;

  void PullImage(const Call& call, const Caller& caller,
                 const interlink::v1::PullImageRequest& request, Duration wait,
                 Reply<Answer<interlink::v1::PullRecord>> reply) override;
  Status CancelPull(const Caller& caller, const std::string& pull_id) override;
  Status PutVolume(const Call& call, const Caller& caller, const std::string& digest,
                   const std::string& bytes) override;
  void RefreshVolumes(const Call& call, const Caller& caller, const SandboxId& sandbox,
                      const ContainerId& id, const interlink::v1::RefreshVolumesRequest& request,
                      Reply<interlink::v1::RefreshVolumesResponse> reply) override;
  void RemoveImage(const Call& call, const Caller& caller, const std::string& image,
                   Reply<std::string> reply) override;
  void OpenExec(const Call& call, const Caller& caller, const SandboxId& sandbox,
                const ContainerId& id, const interlink::v1::OpenExec& request,
                Reply<Session> reply) override;
  void OpenAttach(const Call& call, const Caller& caller, const SandboxId& sandbox,
                  const ContainerId& id, const interlink::v1::OpenAttach& request,
                  Reply<Session> reply) override;
  void OpenPort(const Call& call, const Caller& caller, const SandboxId& sandbox,
                const interlink::v1::OpenPortForward& request, Reply<Session> reply) override;
  std::vector<interlink::v1::ImageRecord> ListImages(const NodeId& node) const override;
  Result<std::vector<interlink::v1::ImageRecord>> FindImage(const NodeId& node,
                                                            const std::string& name) const override;
  Result<interlink::v1::ImageFilesystemsResponse> ImageFilesystems() const override;

  Result<std::unique_ptr<EventReader>> ReadEvents(const Caller& caller,
                                                  const interlink::v1::Position& after) override;
  void ReadLog(const Call& call, const NodeId& node, const SandboxId& sandbox,
               const ContainerId& id, uint64_t offset, size_t max,
               Reply<sdk::LogChunk> reply) override;
  std::unique_ptr<Watch> WatchLogs(const NodeId& node,
                                   std::function<void(const ContainerId&)> wake) override;
  void Stats(const Call& call, const NodeId& node,
             Reply<interlink::v1::StatsResponse> reply) override;
  void PodMetrics(const NodeId& node, Reply<interlink::v1::PodMetricsResponse> reply) override;

  interlink::v1::NodeList ListNodes() const override;
  void Takeover(const Call& call, const NodeId& node, Reply<std::string> reply) override;
  void DropNode(const Call& call, const NodeId& node, Reply<std::string> reply) override;
  void ForgetDead(const Call& call, const std::string& id, Reply<std::string> reply) override;

 private:
  friend class LiveEventReader;
  class PluginHost;
  class LogWatch;

  // One loaded plugin (or the reason why it is not).
  struct Plugin {
    std::string name;
    std::vector<std::string> handlers;
    std::unique_ptr<sdk::Backend> backend;  // null: missing
    Status missing;
    bool recovered = false;
    int recover_attempts = 0;
  };

  // A reply that waits for a record to settle, or for its time to pass.
  struct Waiter {
    uint64_t id;
    Wanted asked;
    Duration wait;
    bool durable;  // false: `wait` begins when the record is durable
    Timer::Key timer;
    // Under the lock: the answer with the record as it is now, to be run under no lock.
    std::function<std::function<void()>()> take;
  };

  // What a change did, to be published once it is durable.
  struct Change {
    std::vector<RecordKey> touched;
    std::vector<SandboxKey> drive;
    std::vector<ContainerId> released = {};  // their images are not needed any more
  };

  // --- plugins (plugins.cc)
  // OK and the plugin, or why the handler cannot take a change now.
  Result<Plugin*> PluginForChange(const std::string& handler) REQUIRES_LOCK(mutex_);
  Plugin* FindPlugin(const std::string& handler) const REQUIRES_LOCK(mutex_);
  // But for those that are missing.
  bool AllRecoveredLocked() const REQUIRES_LOCK(mutex_);
  std::string KnownHandlers() const REQUIRES_LOCK(mutex_);
  Status CheckLink(const Caller& caller) const REQUIRES_LOCK(mutex_);

  // --- changes (publish.cc)
  // Commits the records named and, once durable, publishes them: events, replies, Drive. Until then
  // they are `uncommitted` and nothing of them leaves. `done` (may be empty) runs after that with
  // the commit's status; when it fails nothing was published and memory is ahead of the store: it
  // is tried again, except for new work, whose caller forgets it.
  void CommitLocked(const Change& change, bool makes_new_work, std::function<void(Status)> done)
      REQUIRES_LOCK(mutex_);
  void TryCommitLocked(const Change& change, bool makes_new_work, std::function<void(Status)> done)
      REQUIRES_LOCK(mutex_);
  void Published(const Change& change);
  // Of that record; null: there is none, or it is of no table.
  const int* UncommittedLocked(const RecordKey& key) const REQUIRES_LOCK(mutex_);
  bool DurableLocked(const RecordKey& key) const REQUIRES_LOCK(mutex_);
  void OneCommitLessLocked(const RecordKey& key, std::set<SandboxKey>& drive) REQUIRES_LOCK(mutex_);
  void AppendPut(const RecordKey& key, Batch& batch) const REQUIRES_LOCK(mutex_);
  void StampLocked(Sandbox& sandbox) REQUIRES_LOCK(mutex_);
  void StampLocked(Container& container) REQUIRES_LOCK(mutex_);
  interlink::v1::Event EventOf(const RecordKey& key, bool with_request) const REQUIRES_LOCK(mutex_);
  void NoteChangedLocked(const RecordKey& key) REQUIRES_LOCK(mutex_);
  void WakeReaderLocked(const NodeId& node, std::vector<std::function<void()>>& wakes)
      REQUIRES_LOCK(mutex_);

  // --- waiting (waiting.cc)
  // Answers when the record has settled for `asked`, or with what it is after `wait`.
  void AnswerSandboxLocked(const SandboxKey& key, Wanted asked, Duration wait,
                           const Reply<Answer<SandboxRecord>>& reply) REQUIRES_LOCK(mutex_);
  void AnswerContainerLocked(const ContainerKey& key, Wanted asked, Duration wait,
                             const Reply<Answer<ContainerRecord>>& reply) REQUIRES_LOCK(mutex_);
  void AddWaiterLocked(const RecordKey& key, Wanted asked, Duration wait,
                       std::function<std::function<void()>()> take) REQUIRES_LOCK(mutex_);
  Timer::Key TimeWaiterLocked(const RecordKey& key, uint64_t id, Duration limit)
      REQUIRES_LOCK(mutex_);
  void WaiterTimedOut(const RecordKey& key, uint64_t id);
  bool SettledLocked(const RecordKey& key, Wanted asked) const REQUIRES_LOCK(mutex_);
  // The waiters that have settled; the others' time begins when the record has become durable.
  void TakeSettledLocked(const RecordKey& key, std::vector<std::function<void()>>& fires)
      REQUIRES_LOCK(mutex_);

  // --- contents of mounts (volumes.cc, refresh_volumes.cc)
  Status CheckSources(const NodeId& node,
                      const interlink::v1::CreateContainerRequest& request) const;
  using MountContents = sdk::MountContents;
  // kFailedPrecondition: a snapshot is not here any more.
  Result<MountContents> ContentsOf(const NodeId& node,
                                   const interlink::v1::CreateContainerRequest& request) const;
  // Lets go of what no container waits for, now and each hour.
  void SweepVolumes();
  Status TakeVolumesLocked(const Caller& caller, const ContainerKey& key,
                           const interlink::v1::RefreshVolumesRequest& request,
                           const std::set<std::string>& here,
                           interlink::v1::RefreshVolumesResponse& response, bool& is_news)
      REQUIRES_LOCK(mutex_);
  void DriveVolumes(const ContainerKey& key, sdk::Backend& backend);
  Status UpdateVolume(const ContainerKey& key, sdk::Backend& backend, const std::string& host_path,
                      const std::string& digest);
  bool EndVolume(const ContainerKey& key, const std::string& host_path, const std::string& digest,
                 const Status& status);

  // --- use cases, under the lock: an error means that nothing was changed and `reply` was not used
  Status RunSandboxLocked(const Call& call, const Caller& caller, const SandboxKey& key,
                          const interlink::v1::RunSandboxRequest& request, const std::string& body,
                          Duration wait, const Reply<Answer<SandboxRecord>>& reply)
      REQUIRES_LOCK(mutex_);
  void ForgetUnstored(const SandboxKey& key, const Status& why);
  void ForgetUnstored(const ContainerKey& key, const Status& why);
  void EndSandbox(const Caller& caller, const SandboxKey& key, const std::string& handler,
                  Wanted wanted, Duration wait, const Reply<Answer<SandboxRecord>>& reply);
  // An update of this link that a later one has overtaken.
  bool IsLateUpdate(const Caller& caller, const SandboxKey& key, uint64_t sequence);
  Status EndSandboxLocked(const Caller& caller, const SandboxKey& key, const std::string& handler,
                          Wanted wanted, Duration wait, const Reply<Answer<SandboxRecord>>& reply)
      REQUIRES_LOCK(mutex_);
  Status CreateContainerLocked(const ContainerKey& key,
                               const interlink::v1::CreateContainerRequest& request,
                               const std::string& body, Duration wait,
                               const Reply<Answer<ContainerRecord>>& reply) REQUIRES_LOCK(mutex_);
  Status StartContainerLocked(const Caller& caller, const ContainerKey& key, Duration wait,
                              const Reply<Answer<ContainerRecord>>& reply) REQUIRES_LOCK(mutex_);
  // A stop or remove of a container.
  struct End {
    ContainerKey key;
    std::string handler;
    Wanted wanted;
    int64_t grace_seconds;
  };
  void EndContainer(const Caller& caller, const End& end, Duration wait,
                    const Reply<Answer<ContainerRecord>>& reply);
  Status EndContainerLocked(const Caller& caller, const End& end, Duration wait,
                            const Reply<Answer<ContainerRecord>>& reply) REQUIRES_LOCK(mutex_);
  void UpdateContainerStep(const Call& call, const Caller& caller, const ContainerKey& key,
                           const interlink::v1::UpdateContainerRequest& request,
                           sdk::Backend& backend, const Reply<Answer<ContainerRecord>>& reply);
  void KeepResources(const ContainerKey& key, uint64_t sequence,
                     const runtime::v1::LinuxContainerResources& resources);
  void FillLinkLocked(Node& node, const interlink::v1::LinkRequest& request,
                      interlink::v1::LinkResponse& response) REQUIRES_LOCK(mutex_);
  std::pair<uint64_t, uint64_t> CountLocked(const NodeId& id) const REQUIRES_LOCK(mutex_);
  Status AdmitExecLocked(const Caller& caller, const ContainerKey& key,
                         const interlink::v1::ExecSyncRequest& request, sdk::Backend*& backend)
      REQUIRES_LOCK(mutex_);
  // OK: `id` runs now and never again.
  Status RunOnceLocked(const std::string& id) REQUIRES_LOCK(mutex_);
  // A session that may be opened, and where.
  struct Admitted {
    sdk::Backend* backend = nullptr;
    std::shared_ptr<void> counted;  // owners: the step, then the session
  };
  Result<Admitted> AdmitSession(const Caller& caller, Admission::Use use, const ContainerKey& key,
                                const std::string& session_id);
  Result<Admitted> AdmitSession(const Caller& caller, Admission::Use use, const SandboxKey& key,
                                const std::string& session_id);
  Result<Admitted> AdmitSessionLocked(const Caller& caller, Admission::Use use,
                                      const SandboxKey& sandbox, const std::string& handler,
                                      const std::string& session_id) REQUIRES_LOCK(mutex_);
  static interlink::v1::RunSandboxRequest PodOf(const Sandbox& sandbox);
  Status MayUseLocked(const Caller& caller, Admission::Use use, const SandboxKey& key,
                      const runtime::v1::LinuxContainerResources* resources = nullptr) const
      REQUIRES_LOCK(mutex_);
  Status AdmitPullLocked(const Caller& caller, const interlink::v1::PullImageRequest& request) const
      REQUIRES_LOCK(mutex_);
  Status AdmitContainerLocked(const Caller& caller, const ContainerKey& key,
                              const interlink::v1::CreateContainerRequest& request,
                              const std::vector<runtime::v1::Image>& images) const
      REQUIRES_LOCK(mutex_);
  void OpenStep(const std::string& session_id, const Call& call, Result<Admitted> admitted,
                std::function<Result<UniqueFd>(const Call&, sdk::Backend&)> open,
                Reply<Session> reply);
  // Whom to ask for the log, or why it cannot be read (kNotFound: never again).
  Result<sdk::Backend*> LogSourceLocked(const ContainerKey& key) const REQUIRES_LOCK(mutex_);
  void LogGrew(const ContainerId& id);
  void MeasureStats(const Call& call);
  interlink::v1::StatsResponse StatsOf(const NodeId& node) const;

  // --- pod metrics (pod_metrics.cc)
  void AnswerPodMetrics(const NodeId& node, Reply<interlink::v1::PodMetricsResponse> answer);
  void FailPodMetrics(const Status& why);
  std::vector<PodMetricsWaiter> TakePodMetricsWaiters();
  // Ids of sandboxes and containers that are up, of one node or of all (null).
  std::map<std::string, std::set<std::string>> UpByPluginLocked(const NodeId* only) const
      REQUIRES_LOCK(mutex_);
  // Plugins with something up that their numbers do not have, or not young enough.
  std::map<std::string, sdk::Backend*> PluginsToMeasureLocked(const NodeId* only,
                                                              Duration max_age) const
      REQUIRES_LOCK(mutex_);
  // A step. Answers all who wait.
  void MeasurePods(Duration max_age);
  interlink::v1::PodMetricsResponse PodMetricsOf(const NodeId& node) const;
  void PollPodMetrics();

  // --- pulls (image_calls.cc)
  void RunPull(const std::shared_ptr<Pull>& pull, const Caller& caller,
               const interlink::v1::PullImageRequest& request);
  // One lane of steps per node: what is told last of an image is what it is.
  static std::string ImagesLane(const NodeId& node);
  bool PullsLocked(const NodeId& node) const REQUIRES_LOCK(mutex_);
  // OK: it has none here any more, but its containers may hold some.
  Status RemoveImagesOf(const NodeId& node);
  // A step of the node's images: tells what has become of them, then the end of the pull.
  void EndPull(Pull& pull, const NodeId& node, const Result<Pulled>& pulled);
  // What is told of these images now.
  std::vector<interlink::v1::ImageRecord> ReadImages(const NodeId& node,
                                                     const std::vector<std::string>& ids) const;
  void AnswerPull(const std::shared_ptr<Pull>& pull, Duration wait,
                  const Reply<Answer<interlink::v1::PullRecord>>& reply);
  // An event that belongs to no table: images, pulls, handlers.
  void AddEventLocked(const NodeId& id, const std::function<void(interlink::v1::Event&)>& fill)
      REQUIRES_LOCK(mutex_);

  // --- driving (drive.cc, drive_container.cc)
  void PostDrive(const SandboxKey& key);
  void DriveLater(const SandboxKey& key, int attempt);
  // One Drive at or before now + delay; many callers make one.
  void DriveAfter(const SandboxKey& key, Duration delay);
  void Drive(const SandboxKey& key);
  // True: it is not durable; its Drive comes back when it is.
  bool DeferLocked(Sandbox& sandbox) REQUIRES_LOCK(mutex_);
  bool DeferLocked(const Container& container) REQUIRES_LOCK(mutex_);
  void DriveRun(const SandboxKey& key, sdk::Backend& backend);
  void DriveSandboxEnd(const SandboxKey& key, sdk::Backend& backend, Wanted wanted, Seen seen);
  void DriveContainer(const ContainerKey& key);
  void DriveCreate(const ContainerKey& key, sdk::Backend& backend);
  void DriveStart(const ContainerKey& key, sdk::Backend& backend);
  void DriveContainerEnd(const ContainerKey& key, sdk::Backend& backend, Wanted wanted);
  void PostPrepare(const ContainerKey& key);
  // The backend's call `what` has failed with `why`: tells its record so, and drives again later.
  void Retry(const SandboxKey& key, const std::string& what, const Status& why);
  void Retry(const ContainerKey& key, const std::string& what, const Status& why);
  void RetryLater(const SandboxKey& key, int attempt, const std::string& what, const Status& why);
  // What is told of a call that is repeated; "": none is.
  template <typename Entry>
  void TellRetryLocked(Entry& entry, const std::string& words) REQUIRES_LOCK(mutex_) {
    if (entry.record.retrying() == words) return;
    entry.record.set_retrying(words);
    StampLocked(entry);
    CommitLocked({{StoreKey(entry.key)}, {}}, false, {});
  }
  // A call has succeeded.
  template <typename Entry>
  void EndRetryLocked(Entry& entry) REQUIRES_LOCK(mutex_) {
    entry.attempts = 0;
    TellRetryLocked(entry, "");
  }
  // Raises `seen` by what the backend answered; does nothing when an observation was faster.
  void FinishContainer(const ContainerKey& key,
                       const std::function<void(ContainerRecord&)>& change);
  // The sandbox is gone, and by its proof all of its containers.
  void ContainersGoLocked(const Sandbox& sandbox, Change& change) REQUIRES_LOCK(mutex_);
  void FinishSandbox(const SandboxKey& key, const std::function<void(SandboxRecord&)>& change);

  // --- facts (observe.cc) and recovery (recover.cc)
  void Report(std::vector<sdk::Observation> facts);
  void ApplyFacts();
  void ApplySomeFactsLocked(std::set<SandboxKey>& to_drive) REQUIRES_LOCK(mutex_);
  bool IsBeingCreatedLocked(const sdk::Observation& fact) REQUIRES_LOCK(mutex_);
  bool IsKnownLocked(const sdk::Observation& fact) const REQUIRES_LOCK(mutex_);
  // True: it is of nothing known, and is applied when an inventory has imported that.
  bool KeepEarlyLocked(const sdk::Observation& fact) REQUIRES_LOCK(mutex_);
  void ApplyEarlyFactsLocked(Change& change) REQUIRES_LOCK(mutex_);
  bool ApplyFactLocked(const sdk::Observation& fact, Change& change) REQUIRES_LOCK(mutex_);
  bool ApplyAbsentLocked(const sdk::Observation& fact, Change& change) REQUIRES_LOCK(mutex_);
  bool SettleAbsentLocked(Sandbox& sandbox, const std::string& why, Change& change)
      REQUIRES_LOCK(mutex_);
  bool SettleAbsentLocked(Container& container, const std::string& why, Change& change)
      REQUIRES_LOCK(mutex_);
  void Recover(const std::string& name);
  void MergeInventory(Plugin& plugin, const std::vector<sdk::Observation>& found);
  void NoteAskedLocked(const sdk::Observation& fact, Change& change) REQUIRES_LOCK(mutex_);
  void NoteResourcesLocked(const sdk::Observation& fact, Change& change) REQUIRES_LOCK(mutex_);
  void ImportLocked(const Plugin& plugin, const sdk::Observation& fact, Change& change)
      REQUIRES_LOCK(mutex_);
  void OpenHandlers(Plugin& plugin);
  void AfterAllRecovered();
  static bool Serves(const Plugin& plugin, const std::string& handler);

  // --- retention and administration (administration.cc)
  void Sweep();
  void ScheduleSweep();
  // Nodes that are dropped and have no records; one whose images do not go stays until they do.
  void ForgetNodes(const std::vector<NodeId>& dropped);
  // A tombstone whose node has seen it, or never will, and whose retention is over.
  bool ExpiredLocked(const NodeId& id, bool linked_since, SteadyTime gone_since) const
      REQUIRES_LOCK(mutex_);
  void EndAllLocked(const NodeId& id, Wanted wanted, Change& change) REQUIRES_LOCK(mutex_);
  void ForgetContainerLocked(const ContainerKey& key, const std::string& why, Change& change)
      REQUIRES_LOCK(mutex_);

  // --- helpers of use cases
  Node& NodeLocked(const NodeId& node) REQUIRES_LOCK(mutex_);
  int64_t Now() const { return ports_.clock.WallNanos(); }
  Status LoadRecordLocked(const StoredRecord& record, interlink::v1::StoredSite& site)
      REQUIRES_LOCK(mutex_);
  template <typename T>
  void PostOrFail(const std::string& key, Reply<T> reply, std::function<void(Reply<T>)> step) {
    auto shared = std::make_shared<Reply<T>>(std::move(reply));
    const Status posted =
        steps_.Post(key, [shared, step = std::move(step)] { step(std::move(*shared)); });
    if (!posted.ok()) (*shared)(posted);
  }

  // Commits that the store has not answered: Stop waits for them. Owners: this object and those
  // commits.
  struct Commits {
    Mutex mutex;
    CondVar none;
    int count GUARDED_BY(mutex) = 0;
  };

  const Options options_;
  const Ports ports_;
  const std::shared_ptr<Commits> commits_ = std::make_shared<Commits>();
  const std::shared_ptr<SessionCounts> session_counts_ = std::make_shared<SessionCounts>();
  uint64_t epoch_ = 0;  // set by Load, constant after

  mutable Mutex mutex_;
  std::vector<std::unique_ptr<Plugin>> plugins_ GUARDED_BY(mutex_);
  std::map<std::string, std::unique_ptr<sdk::Host>> hosts_ GUARDED_BY(mutex_);
  Tables tables_ GUARDED_BY(mutex_);
  std::multimap<RecordKey, Waiter> waiters_ GUARDED_BY(mutex_);
  uint64_t next_waiter_ GUARDED_BY(mutex_) = 1;
  std::map<std::string, std::shared_ptr<Pull>> pulls_ GUARDED_BY(mutex_);  // by node "/" pull id
  std::map<NodeId, std::shared_ptr<std::function<void(const ContainerId&)>>> log_watches_
      GUARDED_BY(mutex_);
  std::deque<sdk::Observation> facts_ GUARDED_BY(mutex_);
  bool facts_posted_ GUARDED_BY(mutex_) = false;
  std::deque<sdk::Observation> early_facts_ GUARDED_BY(mutex_);  // see KeepEarlyLocked
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::set<SandboxKey> drive_posted_ GUARDED_BY(mutex_);
  std::set<std::string> exec_ids_ GUARDED_BY(mutex_);
  std::deque<std::string> exec_order_ GUARDED_BY(mutex_);
  std::map<NodeId, size_t> execs_ GUARDED_BY(mutex_);  // from admission to reply
  SteadyTime measured_at_ GUARDED_BY(mutex_);
  std::map<std::string, Numbers> numbers_ GUARDED_BY(mutex_);         // by plugin
  std::map<std::string, PodNumbers> pod_numbers_ GUARDED_BY(mutex_);  // by plugin
  std::vector<PodMetricsWaiter> pod_metrics_waiting_ GUARDED_BY(mutex_);
  bool pod_metrics_posted_ GUARDED_BY(mutex_) = false;  // a measurement for those who wait
  bool pod_metrics_polled_ GUARDED_BY(mutex_) = false;  // a next poll is arranged
  SteadyTime pod_metrics_asked_at_ GUARDED_BY(mutex_);

  Timer timer_;
  ExecSyncCollector exec_sync_;
  StepPool pull_pool_;
  StepPool prepare_pool_;
  StepPool steps_;
};

}  // namespace interlink::site

#endif  // INTERLINK_SITE_LIVE_SITE_H_
