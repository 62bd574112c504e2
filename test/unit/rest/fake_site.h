// A site::Site that records what the edge asks of it and answers as a test says. Thread-safe where
// the edge needs it.
#ifndef INTERLINK_TEST_UNIT_REST_FAKE_SITE_H_
#define INTERLINK_TEST_UNIT_REST_FAKE_SITE_H_

#include <atomic>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "site/site.h"

namespace interlink::test {

using interlink::v1::ContainerRecord;
using interlink::v1::SandboxRecord;

class FakeSite final : public site::Site {
 public:
  template <typename T>
  using Reply = site::Reply<T>;

  // --- what the edge has asked
  struct Asked {
    std::string what;  // the method
    site::Caller caller;
    std::string id;    // of the sandbox, with "/" and the container's
    std::string body;  // as it came, or the handler
    Duration wait{};
    Duration remaining{};
    RequestId request;
  };
  std::vector<Asked> asked() const {
    MutexLock lock(mutex_);
    return asked_;
  }
  // --- how it answers
  void FailWith(Status why) {
    MutexLock lock(mutex_);
    failure_ = std::move(why);
  }
  std::atomic<bool> settled = true;
  std::atomic<bool> ready = true;
  std::atomic<bool> park = false;  // changing requests are not answered before AnswerParked
  void AnswerParked() {
    std::vector<std::function<void()>> parked;
    {
      MutexLock lock(mutex_);
      parked.swap(parked_);
    }
    for (const auto& answer : parked) answer();
  }
  size_t parked() const {
    MutexLock lock(mutex_);
    return parked_.size();
  }
  std::atomic<int> cancelled = 0;  // calls whose caller left while they were parked

  // --- events: what the reader in force gives
  void Push(interlink::v1::Event event) {
    std::function<void()> wake;
    {
      MutexLock lock(mutex_);
      events_.push_back(std::move(event));
      wake = std::exchange(wake_, nullptr);
    }
    if (wake) wake();
  }
  std::atomic<int> readers = 0;
  interlink::v1::Position after() const {
    MutexLock lock(mutex_);
    return after_;
  }

  // --- logs
  struct Log {
    std::string bytes;
    uint64_t acknowledged = 0;  // the highest offset that a read began at
    bool end = false;
    int unavailable = 0;  // so many reads fail first
  };
  void Append(const ContainerId& id, const std::string& bytes, bool end = false) {
    std::function<void(const ContainerId&)> wake;
    {
      MutexLock lock(mutex_);
      logs_[id].bytes += bytes;
      logs_[id].end = end;
      wake = log_wake_;
    }
    if (wake) wake(id);
  }
  void FailReads(const ContainerId& id, int times) {
    MutexLock lock(mutex_);
    logs_[id].unavailable = times;
  }
  uint64_t Acknowledged(const ContainerId& id) {
    MutexLock lock(mutex_);
    return logs_[id].acknowledged;
  }

  // --- site::Site
  sdk::Host& HostFor(const std::string&) override { std::abort(); }
  Status AddBackend(const std::string&, const std::vector<std::string>&,
                    std::unique_ptr<sdk::Backend>) override {
    return Unimplemented("not in this fake");
  }
  void AddMissing(const std::string&, const std::vector<std::string>&, Status) override {}
  void Start() override {}
  void Stop() override {}

  void Link(const Call& call, const NodeId& node, const interlink::v1::LinkRequest& request,
            Reply<interlink::v1::LinkResponse> reply) override {
    interlink::v1::LinkResponse response;
    response.set_link(7);
    response.set_node(node.str());
    Take<interlink::v1::LinkResponse>({"Link", {node, 0}, "", request.node_lineage(), {}, {}, {}},
                                      call, response, std::move(reply));
  }
  interlink::v1::InfoResponse Info() const override {
    interlink::v1::InfoResponse info;
    info.set_site("here");
    return info;
  }
  interlink::v1::SiteStatus StatusFor(const NodeId& node) const override {
    interlink::v1::SiteStatus status;
    status.set_node(node.str());
    return status;
  }
  bool Ready() const override { return ready; }

  void RunSandbox(const Call& call, const site::Caller& caller, const SandboxId& id,
                  const std::string& body, Duration wait,
                  Reply<site::Answer<SandboxRecord>> reply) override {
    TakeSandbox({"RunSandbox", caller, id.str(), body, wait, {}, {}}, call, std::move(reply));
  }
  void StopSandbox(const Call& call, const site::Caller& caller, const SandboxId& id,
                   const std::string& handler, Duration wait,
                   Reply<site::Answer<SandboxRecord>> reply) override {
    TakeSandbox({"StopSandbox", caller, id.str(), handler, wait, {}, {}}, call, std::move(reply));
  }
  void RemoveSandbox(const Call& call, const site::Caller& caller, const SandboxId& id,
                     const std::string& handler, Duration wait,
                     Reply<site::Answer<SandboxRecord>> reply) override {
    TakeSandbox({"RemoveSandbox", caller, id.str(), handler, wait, {}, {}}, call, std::move(reply));
  }
  void UpdateSandbox(const Call& call, const site::Caller& caller, const SandboxId& id,
                     const interlink::v1::UpdateSandboxRequest& request,
                     Reply<site::Answer<SandboxRecord>> reply) override {
    TakeSandbox({"UpdateSandbox", caller, id.str(), request.handler(), {}, {}, {}}, call,
                std::move(reply));
  }
  Result<SandboxRecord> GetSandbox(const NodeId& node, const SandboxId& id) const override {
    if (node != NodeId("node-1")) return NotFound("no sandbox \"" + id.str() + "\"");
    SandboxRecord record;
    record.set_id(id.str());
    return record;
  }
  std::vector<SandboxRecord> ListSandboxes(const NodeId& node) const override {
    SandboxRecord record;
    record.set_id("of " + node.str());
    return {record};
  }
  void InspectSandbox(const Call& call, const NodeId& node, const SandboxId& id,
                      Reply<interlink::v1::InspectResponse> reply) override {
    interlink::v1::InspectResponse response;
    response.set_info("{}");
    Take<interlink::v1::InspectResponse>({"InspectSandbox", {node, 0}, id.str(), "", {}, {}, {}},
                                         call, response, std::move(reply));
  }

  void CreateContainer(const Call& call, const site::Caller& caller, const SandboxId& sandbox,
                       const ContainerId& id, const std::string& body, Duration wait,
                       Reply<site::Answer<ContainerRecord>> reply) override {
    TakeContainer({"CreateContainer", caller, sandbox.str() + "/" + id.str(), body, wait, {}, {}},
                  call, std::move(reply));
  }
  void StartContainer(const Call& call, const site::Caller& caller, const SandboxId& sandbox,
                      const ContainerId& id, const std::string& handler, Duration wait,
                      Reply<site::Answer<ContainerRecord>> reply) override {
    TakeContainer({"StartContainer", caller, sandbox.str() + "/" + id.str(), handler, wait, {}, {}},
                  call, std::move(reply));
  }
  void StopContainer(const Call& call, const site::Caller& caller, const SandboxId& sandbox,
                     const ContainerId& id, const interlink::v1::StopContainerRequest& request,
                     Duration wait, Reply<site::Answer<ContainerRecord>> reply) override {
    TakeContainer({"StopContainer",
                   caller,
                   sandbox.str() + "/" + id.str(),
                   request.handler() + " " + std::to_string(request.grace_seconds()),
                   wait,
                   {},
                   {}},
                  call, std::move(reply));
  }
  void RemoveContainer(const Call& call, const site::Caller& caller, const SandboxId& sandbox,
                       const ContainerId& id, const std::string& handler, Duration wait,
                       Reply<site::Answer<ContainerRecord>> reply) override {
    TakeContainer(
        {"RemoveContainer", caller, sandbox.str() + "/" + id.str(), handler, wait, {}, {}}, call,
        std::move(reply));
  }
  void UpdateContainer(const Call& call, const site::Caller& caller, const SandboxId& sandbox,
                       const ContainerId& id, const interlink::v1::UpdateContainerRequest& request,
                       Reply<site::Answer<ContainerRecord>> reply) override {
    TakeContainer({"UpdateContainer",
                   caller,
                   sandbox.str() + "/" + id.str(),
                   request.handler() + " " + std::to_string(request.sequence()),
                   {},
                   {},
                   {}},
                  call, std::move(reply));
  }
  Result<ContainerRecord> GetContainer(const NodeId&, const SandboxId& sandbox,
                                       const ContainerId& id) const override {
    ContainerRecord record;
    record.set_id(id.str());
    record.set_sandbox_id(sandbox.str());
    return record;
  }
  void InspectContainer(const Call& call, const NodeId& node, const SandboxId& sandbox,
                        const ContainerId& id,
                        Reply<interlink::v1::InspectResponse> reply) override {
    Take<interlink::v1::InspectResponse>(
        {"InspectContainer", {node, 0}, sandbox.str() + "/" + id.str(), "", {}, {}, {}}, call, {},
        std::move(reply));
  }
  void ExecSync(const Call& call, const site::Caller& caller, const SandboxId& sandbox,
                const ContainerId& id, const interlink::v1::ExecSyncRequest& request,
                Reply<interlink::v1::ExecSyncResponse> reply) override {
    interlink::v1::ExecSyncResponse response;
    response.set_stdout("out");
    response.set_exit_code(3);
    Take<interlink::v1::ExecSyncResponse>(
        {"ExecSync", caller, sandbox.str() + "/" + id.str(), request.cmd(0), {}, {}, {}}, call,
        response, std::move(reply));
  }

  void OpenExec(const Call&, const site::Caller&, const SandboxId&, const ContainerId&,
                const interlink::v1::OpenExec&, Reply<site::Session> reply) override {
    reply(Unimplemented("no sessions here: see test/integration/sessions"));
  }
  void OpenAttach(const Call&, const site::Caller&, const SandboxId&, const ContainerId&,
                  const interlink::v1::OpenAttach&, Reply<site::Session> reply) override {
    reply(Unimplemented("no sessions here: see test/integration/sessions"));
  }
  void OpenPort(const Call&, const site::Caller&, const SandboxId&,
                const interlink::v1::OpenPortForward&, Reply<site::Session> reply) override {
    reply(Unimplemented("no sessions here: see test/integration/sessions"));
  }

  void PullImage(const Call& call, const site::Caller& caller,
                 const interlink::v1::PullImageRequest& request, Duration wait,
                 Reply<site::Answer<interlink::v1::PullRecord>> reply) override {
    interlink::v1::PullRecord record;
    record.set_pull_id(request.pull_id());
    Take<site::Answer<interlink::v1::PullRecord>>(
        {"PullImage", caller, "", request.image().image(), wait, {}, {}}, call,
        {record, settled.load()}, std::move(reply));
  }
  Status CancelPull(const site::Caller& caller, const std::string& pull_id) override {
    Record({"CancelPull", caller, pull_id, "", {}, {}, {}});
    return {};
  }
  Status PutVolume(const Call&, const site::Caller& caller, const std::string& digest,
                   const std::string& bytes) override {
    Record({"PutVolume", caller, digest, bytes, {}, {}, {}});
    return {};
  }
  void RefreshVolumes(const Call& call, const site::Caller& caller, const SandboxId& sandbox,
                      const ContainerId& id, const interlink::v1::RefreshVolumesRequest& request,
                      Reply<interlink::v1::RefreshVolumesResponse> reply) override {
    interlink::v1::RefreshVolumesResponse response;
    for (const auto& [host_path, digest] : request.snapshots()) response.add_missing(digest);
    Take<interlink::v1::RefreshVolumesResponse>({"RefreshVolumes",
                                                 caller,
                                                 sandbox.str() + "/" + id.str(),
                                                 std::to_string(request.sequence()),
                                                 {},
                                                 {},
                                                 {}},
                                                call, response, std::move(reply));
  }
  void RemoveImage(const Call& call, const site::Caller& caller, const std::string& image,
                   Reply<std::string> reply) override {
    Take<std::string>({"RemoveImage", caller, "", image, {}, {}, {}}, call, "sha256:gone",
                      std::move(reply));
  }
  std::vector<interlink::v1::ImageRecord> ListImages(const NodeId& node) const override {
    interlink::v1::ImageRecord record;
    record.mutable_image()->set_id("sha256:of-" + node.str());
    return {record};
  }
  Result<std::vector<interlink::v1::ImageRecord>> FindImage(
      const NodeId&, const std::string& name) const override {
    interlink::v1::ImageRecord record;
    record.mutable_image()->set_id("sha256:found-" + name);
    return std::vector<interlink::v1::ImageRecord>{record};
  }
  Result<interlink::v1::ImageFilesystemsResponse> ImageFilesystems() const override {
    return interlink::v1::ImageFilesystemsResponse();
  }

  Result<std::unique_ptr<site::EventReader>> ReadEvents(
      const site::Caller& caller, const interlink::v1::Position& after) override;
  void ReadLog(const Call&, const NodeId&, const SandboxId&, const ContainerId& id, uint64_t offset,
               size_t max, Reply<sdk::LogChunk> reply) override {
    Result<sdk::LogChunk> result = NotFound("no log of container \"" + id.str() + "\"");
    {
      MutexLock lock(mutex_);
      const auto it = logs_.find(id);
      if (it != logs_.end() && it->second.unavailable > 0) {
        --it->second.unavailable;
        result = Unavailable("not now");
      } else if (it != logs_.end()) {
        Log& log = it->second;
        log.acknowledged = std::max(log.acknowledged, offset);
        sdk::LogChunk chunk;
        chunk.bytes = log.bytes.substr(std::min<size_t>(offset, log.bytes.size()), max);
        chunk.next = offset + chunk.bytes.size();
        chunk.end = log.end && chunk.next == log.bytes.size();
        result = std::move(chunk);
      }
    }
    reply(std::move(result));
  }
  std::unique_ptr<site::Watch> WatchLogs(const NodeId&,
                                         std::function<void(const ContainerId&)> wake) override {
    class Nothing final : public site::Watch {};
    MutexLock lock(mutex_);
    log_wake_ = std::move(wake);
    return std::make_unique<Nothing>();
  }
  void Stats(const Call& call, const NodeId& node,
             Reply<interlink::v1::StatsResponse> reply) override {
    Take<interlink::v1::StatsResponse>({"Stats", {node, 0}, "", "", {}, {}, {}}, call, {},
                                       std::move(reply));
  }
  void PodMetrics(const NodeId& node, Reply<interlink::v1::PodMetricsResponse> reply) override {
    interlink::v1::PodMetricsResponse response;
    response.add_pods()->set_pod_sandbox_id(node.str());
    reply(std::move(response));
  }

  interlink::v1::NodeList ListNodes() const override {
    interlink::v1::NodeList list;
    list.add_nodes()->set_node("node-1");
    return list;
  }
  void Takeover(const Call& call, const NodeId& node, Reply<std::string> reply) override {
    Take<std::string>({"Takeover", {node, 0}, "", "", {}, {}, {}}, call, "taken over",
                      std::move(reply));
  }
  void DropNode(const Call& call, const NodeId& node, Reply<std::string> reply) override {
    Take<std::string>({"DropNode", {node, 0}, "", "", {}, {}, {}}, call, "dropped",
                      std::move(reply));
  }
  void ForgetDead(const Call& call, const std::string& id, Reply<std::string> reply) override {
    Take<std::string>({"ForgetDead", {}, id, "", {}, {}, {}}, call, "forgotten", std::move(reply));
  }

 private:
  class Reader;

  void Record(Asked asked) {
    MutexLock lock(mutex_);
    asked_.push_back(std::move(asked));
  }
  template <typename T>
  void Take(Asked asked, const Call& call, T value, Reply<T> reply) {
    asked.remaining = call.remaining();
    asked.request = call.request_id();
    Status failure;
    {
      MutexLock lock(mutex_);
      asked_.push_back(std::move(asked));
      failure = failure_;
      if (park) {
        registrations_.push_back(call.OnCancel([this] { ++cancelled; }));
        parked_.push_back([value, reply] { reply(value); });
        return;
      }
    }
    failure.ok() ? reply(std::move(value)) : reply(failure);
  }
  void TakeSandbox(Asked asked, const Call& call, Reply<site::Answer<SandboxRecord>> reply) {
    SandboxRecord record;
    record.set_id(asked.id);
    Take<site::Answer<SandboxRecord>>(std::move(asked), call, {record, settled.load()},
                                      std::move(reply));
  }
  void TakeContainer(Asked asked, const Call& call, Reply<site::Answer<ContainerRecord>> reply) {
    ContainerRecord record;
    record.set_id(asked.id);
    Take<site::Answer<ContainerRecord>>(std::move(asked), call, {record, settled.load()},
                                        std::move(reply));
  }

  mutable Mutex mutex_;
  std::vector<Asked> asked_ GUARDED_BY(mutex_);
  Status failure_ GUARDED_BY(mutex_);
  std::vector<std::function<void()>> parked_ GUARDED_BY(mutex_);
  std::vector<Call::Registration> registrations_ GUARDED_BY(mutex_);
  std::deque<interlink::v1::Event> events_ GUARDED_BY(mutex_);
  std::function<void()> wake_ GUARDED_BY(mutex_);
  int reader_ GUARDED_BY(mutex_) = 0;
  interlink::v1::Position after_ GUARDED_BY(mutex_);
  std::map<ContainerId, Log> logs_ GUARDED_BY(mutex_);
  std::function<void(const ContainerId&)> log_wake_ GUARDED_BY(mutex_);
};

class FakeSite::Reader final : public site::EventReader {
 public:
  Reader(FakeSite& site, int id) : site_(site), id_(id) { ++site_.readers; }
  ~Reader() override { --site_.readers; }
  Result<std::vector<interlink::v1::Event>> Next(size_t max) override {
    MutexLock lock(site_.mutex_);
    if (site_.reader_ != id_) return Aborted("another event stream has taken over");
    std::vector<interlink::v1::Event> events;
    while (!site_.events_.empty() && events.size() < max) {
      events.push_back(std::move(site_.events_.front()));
      site_.events_.pop_front();
    }
    return events;
  }
  void OnReady(std::function<void()> wake) override {
    {
      MutexLock lock(site_.mutex_);
      if (site_.reader_ == id_ && site_.events_.empty()) {
        site_.wake_ = std::move(wake);
        return;
      }
    }
    wake();
  }

 private:
  FakeSite& site_;
  const int id_;
};

inline Result<std::unique_ptr<site::EventReader>> FakeSite::ReadEvents(
    const site::Caller& caller, const interlink::v1::Position& after) {
  std::function<void()> old;
  std::unique_ptr<site::EventReader> reader;
  {
    MutexLock lock(mutex_);
    if (caller.link != 7) return Aborted("stale-link: link again");
    after_ = after;
    old = std::exchange(wake_, nullptr);
    reader = std::make_unique<Reader>(*this, ++reader_);
  }
  if (old) old();
  return reader;
}

}  // namespace interlink::test

#endif  // INTERLINK_TEST_UNIT_REST_FAKE_SITE_H_
