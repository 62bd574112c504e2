// LiveNode: the one implementation of Node. Its use cases stand in a file each: run_sandbox.cc,
// end_sandbox.cc, ...
//
// How it works. A request raises `wanted`, durably, and posts Drive(sandbox); Drive looks at wanted
// and at the newest fact of the sandbox and its containers and sends the next requests. Answers and
// events both go through Apply, which raises the fact, durably, and then publishes: list items,
// parked replies, Drive. So one place acts, it may run any number of times, and a crash between any
// two lines is the same as a late Drive.
//
// Locks: one mutex guards all records. Store::Commit is called under it on purpose: it only
// enqueues, and the order of commits must be the order of changes. What kubelet sees changes in the
// commit's callback, never before, and Drive leaves a record alone while a change of it is not
// durable: nothing is shown and nothing leaves that a crash could take back.
#ifndef INTERLINK_NODE_LIVE_NODE_H_
#define INTERLINK_NODE_LIVE_NODE_H_

#include <deque>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "base/step_pool.h"
#include "base/timer.h"
#include "interlink/v1/node_store.pb.h"
#include "node/event_feed.h"
#include "node/node.h"
#include "node/open_sessions.h"
#include "node/records.h"

namespace interlink::node {

struct PodFacts;

class LiveNode final : public Node, private EventSink, private LogSink {
 public:
  LiveNode(const Options& options, const Ports& ports);
  ~LiveNode() override;
  Status Load();
  void Resume();

  void Start() override;
  void Stop() override;
  Runtime& runtime() override { return *runtime_; }
  Sandboxes& sandboxes() override { return *sandboxes_; }
  Containers& containers() override { return *containers_; }
  Images& images() override { return *images_; }
  Stats& stats() override { return *stats_; }
  Sessions& sessions() override { return *sessions_; }
  Events& events() override { return *events_; }
  NodeSummary Summary() const override;
  void Wipe(const Call& call, const std::string& forget_site, Reply<std::string> reply) override;

 private:
  class RuntimeCalls;
  class SandboxCalls;
  class ContainerCalls;
  class ImageCalls;
  class StatsCalls;
  class SessionCalls;
  class EventCalls;

  // What a parked reply waits for.
  enum class Until { kReady, kCreated, kStarted, kEnded, kGone };

  // A reply that waits for a record. `outcome` OK: reached; else why it never will be, or the
  // time-out's text.
  struct Waiter {
    uint64_t number;
    std::string key;  // sandbox or container id
    bool container;
    Until until;
    Timer::Key timer;
    Call::Registration cancelled;
    std::function<void(Status outcome)> fire;
  };
  using Fires = std::vector<std::function<void()>>;

  struct Change {
    std::vector<SandboxId> sandboxes;
    std::vector<ContainerId> containers;
    std::vector<std::string> images;
    bool meta = false;
    std::vector<SandboxId> drive;
  };

  // --- changes (publish.cc)
  void CommitLocked(const Change& change, bool makes_new_work, std::function<void(Status)> done)
      REQUIRES_LOCK(mutex_);
  void TryCommitLocked(const Change& change, bool makes_new_work, std::function<void(Status)> done)
      REQUIRES_LOCK(mutex_);
  // Every commit goes through here: Stop waits for the answers. `done` runs at once, under the
  // lock, when the store refuses to queue it.
  void StoreLocked(Batch batch, std::function<void(Status)> done) REQUIRES_LOCK(mutex_);
  Batch BatchOf(const Change& change) const REQUIRES_LOCK(mutex_);
  void Published(const Change& change);
  void PublishSandboxLocked(const SandboxId& id, Fires& fires) REQUIRES_LOCK(mutex_);
  void PublishContainerLocked(const ContainerId& id, Fires& fires) REQUIRES_LOCK(mutex_);
  void EraseGoneLocked(const Change& change, Change& erased, Fires& fires) REQUIRES_LOCK(mutex_);

  // --- events (event_calls.cc)
  // Tells how what is shown differs from what was told. `fires` deliver it.
  void TellLocked(Sandbox& sandbox, Fires& fires) REQUIRES_LOCK(mutex_);
  void TellLocked(Container& container, Fires& fires) REQUIRES_LOCK(mutex_);
  // Takes it from the lists first: EXITED is shown until the record goes.
  void TellGoneLocked(Container& container, Fires& fires) REQUIRES_LOCK(mutex_);
  void SendLocked(const std::string& id, const Sandbox& sandbox,
                  const std::vector<runtime::v1::ContainerEventType>& types, Fires& fires)
      REQUIRES_LOCK(mutex_);
  // Of every container of it that is listed.
  google::protobuf::RepeatedPtrField<runtime::v1::ContainerStatus> StatusesLocked(
      const Sandbox& sandbox) const REQUIRES_LOCK(mutex_);
  // Strictly rising: of events and of what PodSandboxStatus says.
  int64_t EventTimeLocked() REQUIRES_LOCK(mutex_);

  // --- facts (apply.cc)
  void OnEvent(const interlink::v1::Event& event) override;
  void Apply(const interlink::v1::SandboxRecord& record);
  void Apply(const interlink::v1::ContainerRecord& record);
  void DriveOtherTriesLocked(const Sandbox& ended, Change& change) REQUIRES_LOCK(mutex_);
  // A sandbox has ended: containers whose end is not told in time are lost. The time counts only
  // while the site tells: from its last complete list on.
  void EndContainersLater(const SandboxId& id, Duration delay);
  void EndContainersLocked(const SandboxId& id) REQUIRES_LOCK(mutex_);
  bool ApplyLocked(const interlink::v1::SandboxRecord& record, Change& change)
      REQUIRES_LOCK(mutex_);
  bool ApplyLocked(const interlink::v1::ContainerRecord& record, Change& change)
      REQUIRES_LOCK(mutex_);
  void ImportLocked(const interlink::v1::SandboxRecord& record, Change& change)
      REQUIRES_LOCK(mutex_);
  void ImportLocked(const interlink::v1::ContainerRecord& record, Change& change)
      REQUIRES_LOCK(mutex_);
  void ApplyImageLocked(const interlink::v1::ImageRecord& record, Change& change, Fires& fires)
      REQUIRES_LOCK(mutex_);
  void ApplyPullLocked(const interlink::v1::PullRecord& record, Fires& fires) REQUIRES_LOCK(mutex_);
  void EndOfListLocked(const interlink::v1::EndOfList& end, Change& change) REQUIRES_LOCK(mutex_);
  void WriteTerminationMessage(const ContainerId& id);

  // --- waiting (waiting.cc)
  void WaitLocked(const Call& call, const std::string& key, bool container, Until until,
                  std::function<void(Status)> fire) REQUIRES_LOCK(mutex_);
  // Nothing: go on waiting.
  std::optional<Status> OutcomeLocked(const Waiter& waiter) const REQUIRES_LOCK(mutex_);
  Status TimeoutTextLocked(const Waiter& waiter) const REQUIRES_LOCK(mutex_);
  // How far the start is of a sandbox that is not up.
  std::string StartTextLocked(const Sandbox* sandbox) const REQUIRES_LOCK(mutex_);
  // Why it is not yet what it was asked to be; empty: it is.
  std::string WaitTextLocked(const Sandbox& sandbox) const REQUIRES_LOCK(mutex_);
  std::string AwayTextLocked() const REQUIRES_LOCK(mutex_);
  // What is tried again for it: the site's words, or why the site did not take the last request.
  // Empty: nothing. Of a sandbox also what is tried again for a container of it.
  std::string TroubleLocked(const Sandbox& sandbox) const REQUIRES_LOCK(mutex_);
  std::string TroubleLocked(const Container& container) const REQUIRES_LOCK(mutex_);
  std::string TroubleLocked(const Waiter& waiter) const REQUIRES_LOCK(mutex_);
  void TakeDecidedLocked(const std::string& key, Fires& fires) REQUIRES_LOCK(mutex_);
  // A failure is told to this waiter: no later call need hear of it.
  void ToldLocked(const Waiter& waiter) REQUIRES_LOCK(mutex_);
  void Expire(uint64_t number, bool cancelled);
  void NotePodOf(uint64_t waiter);

  // --- driving (drive.cc, drive_container.cc)
  void PostDrive(const SandboxId& id);
  void DriveLater(const SandboxId& id, int attempt);
  // One Drive at or before now + delay; many callers make one.
  void DriveAfter(const SandboxId& id, Duration delay);
  void Drive(const SandboxId& id);
  // True: a change of it is not durable yet, so nothing of it may leave; Drive comes again. Asked
  // in the same critical section in which a request is put together.
  bool DeferLocked(Sandbox* sandbox) REQUIRES_LOCK(mutex_);
  bool DeferLocked(Container* container) REQUIRES_LOCK(mutex_);
  // How long the site may keep a request for an end of the work: not at all while many steps run.
  // A step that waits has a thread, and what comes later comes as an event.
  Duration StepWait();
  void DriveRun(const SandboxId& id);
  void DriveSandboxEnd(const SandboxId& id);
  void DriveContainer(const ContainerId& id);
  void DriveCreate(const ContainerId& id);
  Status PutVolumes(LinkNumber link, const std::map<std::string, std::string>& snapshots);
  void DriveStart(const ContainerId& id);
  bool HasOthersDueLocked(const Container& container) const REQUIRES_LOCK(mutex_);
  void DriveContainerEnd(const ContainerId& id);
  void SettleMissing(const SandboxId& id);
  void SettleMissing(const ContainerId& id);
  // Decides what an error of the site means for a sandbox's step.
  void StepFailed(const SandboxId& id, LinkNumber link, const Status& why, int attempts);
  void GiveUpSandbox(const SandboxId& id, const Status& why);
  void GiveUpContainer(const ContainerId& id, const Status& why);
  void FailWaitersLocked(const std::string& key, const Status& why, Fires& fires)
      REQUIRES_LOCK(mutex_);

  // --- the site (reconciler.cc)
  void Reconcile();
  Status LinkOnce(const Call& call);
  Status StoreLink(const interlink::v1::LinkResponse& response);
  void ForgetAskedLocked() REQUIRES_LOCK(mutex_);
  void ForgetAcknowledgedLocked(Change& change) REQUIRES_LOCK(mutex_);
  // Ends the link `stale` (0: whatever is in force) and makes a new one.
  void Relink(LinkNumber stale);
  // What was waited for is answered when the site stays away: unless it was back since that loss.
  void AnswerForUnreachable(uint64_t loss);
  Status ReachableLocked() const REQUIRES_LOCK(mutex_);
  void SetReachable(const Status& why_not);
  void DriveAll();

  // --- logs (log_pump.cc)
  void OnLogStreamOpen() override;
  void OnLogStreamLost(const Status& why) override;
  void OnLogChunk(const ContainerId& id, uint64_t offset, std::string bytes,
                  uint64_t next) override;
  void OnLogEnd(const ContainerId& id, uint64_t offset) override;
  void OnLogFailed(const ContainerId& id, const Status& why) override;
  Status OpenLog(const ContainerId& id, bool resume);
  // Of a container that runs already: opens its file where it is not, and subscribes.
  void ReadLog(const ContainerId& id);
  void OnLogDurable(const ContainerId& id, LogPosition position);
  void SubscribeLog(const ContainerId& id);
  // Shows exits whose logs are complete or overdue; arranges the next look.
  void ShowExitLocked(const ContainerId& id) REQUIRES_LOCK(mutex_);
  bool LogCompleteLocked(const Container& container) const REQUIRES_LOCK(mutex_);
  // The container's last step towards EXITED: its termination message, then the commit that shows
  // it.
  void TellExit(const ContainerId& id);
  // Null before Start and from Stop on. The stream dies last in Stop, when only its own threads may
  // still be in here: it waits for those.
  Site::LogStream* LogStream();

  // --- metrics of pods (pod_metrics.cc)
  // A step: one request to the site for all who wait.
  void AskForMetrics();
  std::vector<Reply<Slices>> TakeMetricsWaiters();
  static void AnswerMetrics(const std::vector<Reply<Slices>>& waiting,
                            const Result<Slices>& answer);
  std::vector<PodFacts> PodsForMetrics() const;

  // --- volumes that kubelet changes (refresh_volumes.cc)
  // One container's, on their way to the site.
  struct Refresh {
    ContainerId id;
    SandboxId sandbox;
    std::string uid;  // of the pod
    LinkNumber link = 0;
    std::vector<std::string> host_paths;
    VolumeRefresh volumes;                     // as they will be known when the site has accepted
    std::map<std::string, std::string> bytes;  // of what was taken, by digest
  };
  bool HasVolumesToRefreshLocked(const Container& container) const REQUIRES_LOCK(mutex_);
  static void NoteCreatedVolumesLocked(Container& container, LinkNumber link);
  bool IsLookDueLocked() REQUIRES_LOCK(mutex_);
  void LookAtVolumes();
  bool PostRefreshLocked() REQUIRES_LOCK(mutex_);
  void RefreshNext();
  void RefreshVolumes(const ContainerId& id);
  Status TakeVolumes(Refresh& refresh, bool all);
  Status TellVolumes(Refresh& refresh);
  void EndRefresh(const Refresh& refresh, const Status& status, bool is_news);
  void WarnOfVolume(const Refresh& refresh, const std::string& host_path, const Status& why);

  // --- housekeeping (housekeeping.cc)
  void Tick();
  // Finds unfinished creations whose pod kubelet has finished with.
  void LookForGonePods();
  bool IsUnaskedLocked(const Sandbox& sandbox, const std::set<std::string>& waited) const
      REQUIRES_LOCK(mutex_);
  std::set<std::string> WaitedLocked() const REQUIRES_LOCK(mutex_);
  void UndoUnaskedLocked(double seconds, Change& change) REQUIRES_LOCK(mutex_);
  void ForgetUntoldLocked(double seconds, Change& change) REQUIRES_LOCK(mutex_);
  void PollStats();
  void ForgetAllLocked(Change& change) REQUIRES_LOCK(mutex_);
  // A step: at the site, then here.
  Status RemoveImage(const Call& call, const std::string& id);
  void RemoveImages(const std::vector<std::string>& ids);
  int64_t MintCreatedLocked() REQUIRES_LOCK(mutex_);
  Result<std::string> HandlerLocked(const std::string& asked) const REQUIRES_LOCK(mutex_);
  // What of the node's PluginConfig goes with a pod of that handler.
  Result<NodeOptions> PluginConfigLocked(const std::string& handler) const REQUIRES_LOCK(mutex_);
  // Logs, when it has changed, which keys of PluginConfig no handler takes.
  void TellUntakenKeysLocked() REQUIRES_LOCK(mutex_);
  bool KubeletHostLocked(const std::string& handler) const REQUIRES_LOCK(mutex_);
  bool TakesContentsLocked(const std::string& handler) const REQUIRES_LOCK(mutex_);
  Status ListsReadyLocked() const REQUIRES_LOCK(mutex_);
  void NoteListed();
  template <typename T>
  void PostOrFail(const std::string& key, Reply<T> reply, std::function<void(Reply<T>)> step) {
    const auto answer =
        std::make_shared<Answer<T>>(std::move(reply));  // owners: step and its reply
    const Status posted = steps_.Post(key, [answer, step = std::move(step)] {
      step([answer](Result<T> result) { answer->Give(std::move(result)); });
    });
    if (!posted.ok()) answer->Give(posted);
  }
  // A step's request. It is given up when Stop has waited long enough for the steps.
  struct Request {
    Call call;
    Call::Registration drained;
  };
  Request RequestOf(const Call& call) const {
    return {call, drained_.OnCancel([call] { call.Cancel(); })};
  }
  Request NewRequest() const;
  int64_t Now() const { return ports_.clock.WallNanos(); }
  SteadyTime Steady() const { return ports_.clock.Steady(); }

  // Commits that the store has not answered. Owners: this object and those commits.
  struct Commits {
    Mutex mutex;
    CondVar none;
    int count GUARDED_BY(mutex) = 0;
    int running GUARDED_BY(mutex) = 0;         // answers that are being taken
    bool abandoned GUARDED_BY(mutex) = false;  // no answer is taken any more
  };

  const Options options_;
  const Ports ports_;
  const std::shared_ptr<Commits> commits_ = std::make_shared<Commits>();
  // Cancelled when Stop begins (sessions, links), and when it has waited for the steps.
  const Call stopped_;
  const Call drained_;

  mutable Mutex mutex_;
  Tables tables_ GUARDED_BY(mutex_);
  interlink::v1::StoredNodeMeta meta_ GUARDED_BY(mutex_);
  std::list<Waiter> waiters_ GUARDED_BY(mutex_);
  uint64_t next_waiter_ GUARDED_BY(mutex_) = 1;
  std::set<SandboxId> drive_posted_ GUARDED_BY(mutex_);
  bool stopping_ GUARDED_BY(mutex_) = false;
  LinkNumber link_ GUARDED_BY(mutex_) = 0;  // in force; 0: none
  Status unreachable_ GUARDED_BY(mutex_);
  uint64_t losses_ GUARDED_BY(mutex_) = 0;  // how often it has become unreachable
  // Cancelled, and made anew, when calls are answered because the site is out of reach: commands.
  Call site_away_ GUARDED_BY(mutex_);
  Status link_refused_ GUARDED_BY(mutex_);       // a person must act
  std::string told_untaken_ GUARDED_BY(mutex_);  // what TellUntakenKeysLocked has logged
  std::shared_ptr<const Call> stream_call_
      GUARDED_BY(mutex_);  // ends the event stream to link anew
  bool lists_ready_ GUARDED_BY(mutex_) = false;
  // A resync list in progress: what it has named, and what we knew to be acknowledged when it was
  // asked for.
  bool listing_ GUARDED_BY(mutex_) = false;
  SteadyTime listed_at_ GUARDED_BY(mutex_);  // when this link's list was complete; zero: not yet
  std::set<std::string> recovered_ GUARDED_BY(mutex_);  // handlers, by that list
  std::set<std::string> listed_ GUARDED_BY(mutex_);
  std::set<std::string> acknowledged_ GUARDED_BY(mutex_);
  SteadyTime last_list_call_ GUARDED_BY(mutex_);
  SteadyTime last_tick_ GUARDED_BY(mutex_);

  struct PullWaiter {
    std::function<void(Result<interlink::v1::PullRecord>)> fire;
    uint64_t bytes_done = 0;
    SteadyTime progress_at;
    Timer::Key deadline;
    Call call;
    Call::Registration cancelled;
    // It has ended well; the image itself is not told yet.
    std::optional<interlink::v1::PullRecord> ended;
    int failures = 0;  // tries in a row that could not be made, or that the site could not answer
  };
  std::map<std::string, std::shared_ptr<PullWaiter>> pulls_ GUARDED_BY(mutex_);

  std::map<std::string, runtime::v1::ContainerStats> container_stats_ GUARDED_BY(mutex_);
  std::map<std::string, runtime::v1::PodSandboxStats> sandbox_stats_ GUARDED_BY(mutex_);
  SteadyTime stats_wanted_until_ GUARDED_BY(mutex_);
  SteadyTime stats_polled_at_ GUARDED_BY(mutex_);
  bool stats_polling_ GUARDED_BY(mutex_) = false;

  bool volumes_looking_ GUARDED_BY(mutex_) = false;   // a look is posted
  SteadyTime volumes_look_at_ GUARDED_BY(mutex_);     // when the next one is due
  ContainerId volumes_looked_at_ GUARDED_BY(mutex_);  // last
  std::deque<ContainerId> volumes_due_ GUARDED_BY(mutex_);
  size_t refreshers_ GUARDED_BY(mutex_) = 0;  // steps that take from it
  uint64_t refresh_lane_ GUARDED_BY(mutex_) = 0;

  std::vector<Reply<Slices>> metrics_waiting_ GUARDED_BY(mutex_);
  bool metrics_posted_ GUARDED_BY(mutex_) = false;  // a request for those who wait

  std::vector<std::shared_ptr<EventFeed>> feeds_ GUARDED_BY(mutex_);  // owners: this, the readers
  int64_t last_event_ns_ GUARDED_BY(mutex_) = 0;

  std::unique_ptr<Runtime> runtime_;
  std::unique_ptr<Sandboxes> sandboxes_;
  std::unique_ptr<Containers> containers_;
  std::unique_ptr<Images> images_;
  std::unique_ptr<Stats> stats_;
  std::unique_ptr<Sessions> sessions_;
  const std::shared_ptr<OpenSessions> open_sessions_;  // owners: this and open sessions
  std::unique_ptr<Events> events_;

  CondVar wake_reconciler_;
  bool reconcile_now_ GUARDED_BY(mutex_) = false;
  Timer timer_;
  StepPool steps_;
  std::unique_ptr<Site::LogStream> log_stream_ GUARDED_BY(mutex_);
  std::jthread reconciler_;
};

}  // namespace interlink::node

#endif  // INTERLINK_NODE_LIVE_NODE_H_
