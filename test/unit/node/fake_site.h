// A node::Site whose every answer and event the test decides. It keeps records as a site does, so
// that a repeated request joins and one container of a name lives at a time; it counts what
// arrives. Thread-safe.
#ifndef INTERLINK_TEST_UNIT_NODE_FAKE_SITE_H_
#define INTERLINK_TEST_UNIT_NODE_FAKE_SITE_H_

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "base/timer.h"
#include "node/site.h"
#include "support/fake_session.h"

namespace interlink::test {

using interlink::v1::ContainerRecord;
using interlink::v1::Event;
using interlink::v1::SandboxRecord;

class FakeSite final : public node::Site {
 public:
  FakeSite();
  ~FakeSite() override;

  // --- the script
  // `method` answers `why` and does nothing; OK: works again.
  void Fail(const std::string& method, Status why);
  // The next `method` is carried out and its answer is lost.
  void LoseAnswer(const std::string& method);
  // Connections are refused and streams break.
  void SetDown(bool down);
  // Requests are taken; what comes of them is told by Tell only.
  void SetSilent(bool silent);
  // RunSandbox answers only when its caller has gone.
  void SetHanging(bool hanging);
  void SetKubeletHost(bool yes);
  void SetTakesContents(bool yes);
  // By digest.
  std::map<std::string, std::string> Volumes();
  // What RefreshVolumes has told last, by host path.
  std::map<std::string, std::string> Told(const ContainerId& id);
  // The site has an older store: neither what was put nor what was told.
  void ForgetVolumes();
  // Another handler, without features; "": none.
  void SetSecondHandler(const std::string& name);
  // Keys of a node's PluginConfig that the handler takes.
  void SetNodeOptions(std::vector<std::string> keys);
  // Why the handler's plugin is not loaded; "": it is.
  void SetUnavailable(const std::string& why);
  // The handler's work is not inventoried: the list says so.
  void SetRecovered(bool yes);
  void SetEpoch(uint64_t epoch);
  // Stats answers OK and has nothing of what runs.
  void SetUnmeasured(bool yes);
  // What PodMetrics answers; it may block. Null: the site has no such route.
  void SetMetrics(std::function<Result<interlink::v1::PodMetricsResponse>()> answer);
  // The next link answers that the node's store is older than what was seen of it.
  void SetNodeRestored(bool yes);
  // As an event; epoch and revision are stamped; replaces the record.
  void Tell(SandboxRecord record);
  void Tell(ContainerRecord record);
  void TellImage(const std::string& id, const std::string& tag, bool gone = false);
  // Exactly as it is, without touching the records: late, repeated or made-up facts.
  void Send(const Event& event);
  // The record goes without a word, as from a store that was lost.
  void Forget(const std::string& id);
  void Put(const SandboxRecord& record, const std::string& body);
  void Put(const ContainerRecord& record, const std::string& body);
  // Another store, which knows nothing: a new lineage, and its numbers begin anew.
  void LoseStore();
  void SetLog(const ContainerId& id, std::string text, bool end);
  // Subscriptions of it end with `why`; OK: it can be read again.
  void FailLog(const ContainerId& id, Status why);

  // --- what happened
  int Calls(const std::string& method);  // with effect or without
  int Calls(const std::string& method, const std::string& id);
  Duration LastWait();                       // of RunSandbox
  Duration LastWait(const ContainerId& id);  // of its stop or removal
  std::vector<std::string> Bodies(const std::string& id);
  int Links();
  int ListsTaken();  // complete lists that the node has merged
  SandboxRecord RecordOf(const SandboxId& id);
  ContainerRecord RecordOf(const ContainerId& id);
  std::set<std::string> Ids();
  interlink::v1::LinkRequest LastLink();
  uint64_t Acknowledged(const ContainerId& id);
  uint64_t Credited(const ContainerId& id);  // after the subscription's own credit
  // A session that was opened or dialled: what was asked, and its other end.
  struct Opened {
    SessionId id;
    node::StreamRequest request;
    std::shared_ptr<FakeSessionState> state;
  };
  std::vector<Opened> Sessions();
  // Creations that may wait are answered when this is over.
  void HoldWaits(bool hold);
  // The link is another's now, and none is made while links are held.
  void BreakLink();
  void HoldLinks(bool hold);
  // A link's list does not come until it is let go.
  void HoldList(bool hold);
  // Openings are answered by AnswerOpenings only.
  void HoldOpenings(bool hold);
  void AnswerOpenings();

  // --- node::Site
  Result<interlink::v1::LinkResponse> Link(const Call& call,
                                           const interlink::v1::LinkRequest& request) override;
  Result<interlink::v1::InfoResponse> Info(const Call& call) override;
  Result<SandboxRecord> RunSandbox(const Call& call, node::LinkNumber link, const SandboxId& id,
                                   const std::string& body, Duration wait) override;
  Result<SandboxRecord> StopSandbox(const Call& call, node::LinkNumber link, const SandboxId& id,
                                    const std::string& handler, Duration wait) override;
  Result<SandboxRecord> RemoveSandbox(const Call& call, node::LinkNumber link, const SandboxId& id,
                                      const std::string& handler) override;
  Status UpdateSandbox(const Call& call, node::LinkNumber link, const SandboxId& id,
                       const interlink::v1::UpdateSandboxRequest& request) override;
  Status PutVolume(const Call& call, node::LinkNumber link, const std::string& digest,
                   const std::string& bytes) override;
  Result<ContainerRecord> CreateContainer(const Call& call, node::LinkNumber link,
                                          const SandboxId& sandbox, const ContainerId& id,
                                          const std::string& body) override;
  Result<ContainerRecord> StartContainer(const Call& call, node::LinkNumber link,
                                         const SandboxId& sandbox, const ContainerId& id,
                                         const std::string& handler, Duration wait) override;
  Result<ContainerRecord> StopContainer(const Call& call, node::LinkNumber link,
                                        const SandboxId& sandbox, const ContainerId& id,
                                        const interlink::v1::StopContainerRequest& request,
                                        Duration wait) override;
  Result<ContainerRecord> RemoveContainer(const Call& call, node::LinkNumber link,
                                          const SandboxId& sandbox, const ContainerId& id,
                                          const std::string& handler, Duration wait) override;
  Result<ContainerRecord> UpdateContainer(
      const Call& call, node::LinkNumber link, const SandboxId& sandbox, const ContainerId& id,
      const interlink::v1::UpdateContainerRequest& request) override;
  Result<interlink::v1::RefreshVolumesResponse> RefreshVolumes(
      const Call& call, node::LinkNumber link, const SandboxId& sandbox, const ContainerId& id,
      const interlink::v1::RefreshVolumesRequest& request) override;
  Result<interlink::v1::InspectResponse> InspectSandbox(const Call& call,
                                                        const SandboxId& id) override;
  Result<interlink::v1::InspectResponse> InspectContainer(const Call& call,
                                                          const SandboxId& sandbox,
                                                          const ContainerId& id) override;
  Result<interlink::v1::PullRecord> PullImage(
      const Call& call, node::LinkNumber link,
      const interlink::v1::PullImageRequest& request) override;
  Status CancelPull(const Call& call, node::LinkNumber link, const std::string& pull_id) override;
  Status RemoveImage(const Call& call, node::LinkNumber link, const std::string& image) override;
  Result<interlink::v1::ImageFilesystemsResponse> ImageFilesystems(const Call& call) override;
  Result<interlink::v1::StatsResponse> Stats(const Call& call) override;
  Result<interlink::v1::PodMetricsResponse> PodMetrics(const Call& call) override;
  void ExecSync(const Call& call, node::LinkNumber link, const SandboxId& sandbox,
                const ContainerId& id, const interlink::v1::ExecSyncRequest& request,
                node::Reply<interlink::v1::ExecSyncResponse> reply) override;
  void OpenSession(const Call& call, node::LinkNumber link, const SessionId& id,
                   const node::StreamRequest& request,
                   node::Reply<node::SessionPtr> reply) override;
  void Dial(const Call& call, node::LinkNumber link, const SessionId& id, const SandboxId& sandbox,
            uint16_t port, node::Reply<node::SessionPtr> reply) override;
  Status ReadEvents(const Call& call, node::LinkNumber link, const interlink::v1::Position& after,
                    node::EventSink& sink) override;
  std::unique_ptr<LogStream> OpenLogs(node::LogSink& sink) override;
  void SetReachable(Status why_not) override;

 private:
  class Logs;
  struct Log {
    std::string text;
    bool end = false;
    Status fail;
    bool subscribed = false;
    uint64_t offset = 0;
    uint64_t acknowledged = 0;
    uint64_t credited = 0;
  };
  struct Sandbox {
    SandboxRecord record;
    std::string body;
  };
  struct Container {
    ContainerRecord record;
    std::string body;
  };

  // Counts the call; an error: do nothing and answer it.
  Status Admit(const std::string& method, node::LinkNumber link, const std::string& id)
      REQUIRES_LOCK(mutex_);
  Status Answered(const std::string& method) REQUIRES_LOCK(mutex_);
  Status OtherLife(const SandboxId& sandbox, const std::string& body) REQUIRES_LOCK(mutex_);
  void Stamp(SandboxRecord& record) REQUIRES_LOCK(mutex_);
  void Stamp(ContainerRecord& record) REQUIRES_LOCK(mutex_);
  void Queue(Event event) REQUIRES_LOCK(mutex_);
  void EndAllOf(const SandboxId& id, interlink::v1::Seen seen) REQUIRES_LOCK(mutex_);
  std::vector<Event> List() REQUIRES_LOCK(mutex_);
  Result<SandboxRecord> EndSandbox(const std::string& method, node::LinkNumber link,
                                   const SandboxId& id, interlink::v1::Wanted wanted);
  Result<ContainerRecord> EndContainer(const std::string& method, node::LinkNumber link,
                                       const SandboxId& sandbox, const ContainerId& id,
                                       Duration wait);

  Mutex mutex_;
  CondVar wake_;
  std::map<std::string, Status> fail_ GUARDED_BY(mutex_);
  std::set<std::string> lose_ GUARDED_BY(mutex_);
  bool down_ GUARDED_BY(mutex_) = false;
  bool silent_ GUARDED_BY(mutex_) = false;
  bool hanging_ GUARDED_BY(mutex_) = false;
  bool hold_waits_ GUARDED_BY(mutex_) = false;
  bool hold_links_ GUARDED_BY(mutex_) = false;
  bool hold_list_ GUARDED_BY(mutex_) = false;
  Duration last_wait_ GUARDED_BY(mutex_){};
  std::map<ContainerId, Duration> end_waits_ GUARDED_BY(mutex_);
  void Open(const std::string& method, node::LinkNumber link, const SessionId& id,
            const node::StreamRequest& request, node::Reply<node::SessionPtr> reply);
  std::vector<Opened> sessions_ GUARDED_BY(mutex_);
  bool hold_openings_ GUARDED_BY(mutex_) = false;
  std::vector<std::function<void()>> openings_ GUARDED_BY(mutex_);
  bool takes_contents_ GUARDED_BY(mutex_) = false;
  std::map<std::string, std::string> volumes_ GUARDED_BY(mutex_);
  std::map<ContainerId, std::map<std::string, std::string>> told_ GUARDED_BY(mutex_);
  // The last of each link.
  std::map<std::pair<ContainerId, node::LinkNumber>, uint64_t> sequences_ GUARDED_BY(mutex_);
  bool kubelet_host_ GUARDED_BY(mutex_) = true;
  std::string second_handler_ GUARDED_BY(mutex_);
  std::vector<std::string> node_options_ GUARDED_BY(mutex_);
  std::string unavailable_ GUARDED_BY(mutex_);
  bool recovered_ GUARDED_BY(mutex_) = true;
  bool node_restored_ GUARDED_BY(mutex_) = false;
  int stores_ GUARDED_BY(mutex_) = 1;
  uint64_t epoch_ GUARDED_BY(mutex_) = 1;
  uint64_t link_ GUARDED_BY(mutex_) = 0;
  uint64_t revision_ GUARDED_BY(mutex_) = 0;
  uint64_t number_ GUARDED_BY(mutex_) = 0;
  int links_ GUARDED_BY(mutex_) = 0;
  int lists_taken_ GUARDED_BY(mutex_) = 0;
  interlink::v1::LinkRequest last_link_ GUARDED_BY(mutex_);
  std::map<SandboxId, Sandbox> sandboxes_ GUARDED_BY(mutex_);
  std::map<ContainerId, Container> containers_ GUARDED_BY(mutex_);
  std::map<std::string, interlink::v1::ImageRecord> images_ GUARDED_BY(mutex_);
  std::map<std::string, int> calls_ GUARDED_BY(mutex_);
  std::map<std::string, std::vector<std::string>> bodies_ GUARDED_BY(mutex_);
  std::deque<Event> events_ GUARDED_BY(mutex_);
  std::map<ContainerId, Log> logs_ GUARDED_BY(mutex_);
  std::function<Result<interlink::v1::PodMetricsResponse>()> metrics_ GUARDED_BY(mutex_);
  bool unmeasured_ GUARDED_BY(mutex_) = false;
  Timer timer_;
};

}  // namespace interlink::test

#endif  // INTERLINK_TEST_UNIT_NODE_FAKE_SITE_H_
