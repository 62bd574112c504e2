// node::Site over a site::Site in the same process, with a network between them that loses, delays
// and cuts. Thread-safe.
#ifndef INTERLINK_TEST_INTEGRATION_TWO_STORES_DIRECT_SITE_H_
#define INTERLINK_TEST_INTEGRATION_TWO_STORES_DIRECT_SITE_H_

#include <functional>
#include <future>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "base/timer.h"
#include "node/site.h"
#include "site/site.h"
#include "support/memory_site_store.h"
#include "support/memory_volumes.h"
#include "support/no_images.h"
#include "support/scripted_backend.h"

namespace interlink::test {

// One image for everybody.
class OneImage final : public NoImages {
 public:
  Result<std::vector<site::Image>> Find(const NodeId& node, const std::string&) const override {
    return List(node);
  }
  std::vector<site::Image> List(const NodeId&) const override {
    site::Image image;
    image.image.set_id("sha256:busybox");
    image.image.add_repo_tags("docker.io/library/busybox:latest");
    return {image};
  }
};

// One run of interlink-api. Owners: the lab and calls that are in it.
struct SiteProcess {
  SiteProcess(SiteDisk& disk, World& world);
  ~SiteProcess();
  // kill -9: from here on nothing becomes durable and no answer leaves.
  void Kill();
  bool dead() const { return dead_.load(); }

  OneImage images;
  MemoryVolumes volumes;
  NullLog log;
  NullMetrics metrics;
  SystemClock clock;
  MemorySiteStore store;
  std::unique_ptr<site::Site> site;
  ScriptedBackend* backend = nullptr;

 private:
  std::atomic<bool> dead_ = false;
};

// What goes wrong on the way, in percent of the requests.
struct Weather {
  int lost_requests = 0;
  int lost_answers = 0;
  int late_requests = 0;  // the caller gives up, the request arrives up to 300 ms later
  int late_events = 0;    // of the records that have changed: behind others, in any order
  int repeated_events = 0;
};

class DirectSite final : public node::Site {
 public:
  explicit DirectSite(uint32_t seed) : random_(seed) {}

  void Connect(std::shared_ptr<SiteProcess> process);  // null: connection refused
  void SetWeather(Weather weather);
  void CutStreams();
  // Streams are open and bring nothing.
  void HoldEvents(bool hold);
  // Late requests that have not arrived yet never will.
  void DropLate();

  Result<interlink::v1::LinkResponse> Link(const Call& call,
                                           const interlink::v1::LinkRequest& request) override;
  Result<interlink::v1::InfoResponse> Info(const Call& call) override;
  Result<interlink::v1::SandboxRecord> RunSandbox(const Call& call, node::LinkNumber link,
                                                  const SandboxId& id, const std::string& body,
                                                  Duration wait) override;
  Result<interlink::v1::SandboxRecord> StopSandbox(const Call& call, node::LinkNumber link,
                                                   const SandboxId& id, const std::string& handler,
                                                   Duration wait) override;
  Result<interlink::v1::SandboxRecord> RemoveSandbox(const Call& call, node::LinkNumber link,
                                                     const SandboxId& id,
                                                     const std::string& handler) override;
  Status UpdateSandbox(const Call&, node::LinkNumber, const SandboxId&,
                       const interlink::v1::UpdateSandboxRequest&) override {
    return Unimplemented("not a part of this test");
  }
  Status PutVolume(const Call&, node::LinkNumber, const std::string&, const std::string&) override {
    return Unimplemented("not a part of this test");
  }
  Result<interlink::v1::ContainerRecord> CreateContainer(const Call& call, node::LinkNumber link,
                                                         const SandboxId& sandbox,
                                                         const ContainerId& id,
                                                         const std::string& body) override;
  Result<interlink::v1::ContainerRecord> StartContainer(const Call& call, node::LinkNumber link,
                                                        const SandboxId& sandbox,
                                                        const ContainerId& id,
                                                        const std::string& handler,
                                                        Duration wait) override;
  Result<interlink::v1::ContainerRecord> StopContainer(
      const Call& call, node::LinkNumber link, const SandboxId& sandbox, const ContainerId& id,
      const interlink::v1::StopContainerRequest& request, Duration wait) override;
  Result<interlink::v1::ContainerRecord> RemoveContainer(const Call& call, node::LinkNumber link,
                                                         const SandboxId& sandbox,
                                                         const ContainerId& id,
                                                         const std::string& handler,
                                                         Duration wait) override;
  Result<interlink::v1::ContainerRecord> UpdateContainer(
      const Call&, node::LinkNumber, const SandboxId&, const ContainerId&,
      const interlink::v1::UpdateContainerRequest&) override {
    return Unimplemented("not a part of this test");
  }
  Result<interlink::v1::RefreshVolumesResponse> RefreshVolumes(
      const Call&, node::LinkNumber, const SandboxId&, const ContainerId&,
      const interlink::v1::RefreshVolumesRequest&) override {
    return Unimplemented("not a part of this test");
  }
  Result<interlink::v1::InspectResponse> InspectSandbox(const Call&, const SandboxId&) override {
    return Unimplemented("not a part of this test");
  }
  Result<interlink::v1::InspectResponse> InspectContainer(const Call&, const SandboxId&,
                                                          const ContainerId&) override {
    return Unimplemented("not a part of this test");
  }
  Result<interlink::v1::PullRecord> PullImage(const Call&, node::LinkNumber,
                                              const interlink::v1::PullImageRequest&) override {
    return Unimplemented("not a part of this test");
  }
  Status CancelPull(const Call&, node::LinkNumber, const std::string&) override {
    return Unimplemented("not a part of this test");
  }
  Status RemoveImage(const Call&, node::LinkNumber, const std::string&) override {
    return Unimplemented("not a part of this test");
  }
  Result<interlink::v1::ImageFilesystemsResponse> ImageFilesystems(const Call&) override {
    return Unimplemented("not a part of this test");
  }
  Result<interlink::v1::StatsResponse> Stats(const Call&) override {
    return interlink::v1::StatsResponse();
  }
  Result<interlink::v1::PodMetricsResponse> PodMetrics(const Call&) override {
    return interlink::v1::PodMetricsResponse();
  }
  void ExecSync(const Call&, node::LinkNumber, const SandboxId&, const ContainerId&,
                const interlink::v1::ExecSyncRequest&,
                node::Reply<interlink::v1::ExecSyncResponse> reply) override {
    reply(Unimplemented("not a part of this test"));
  }
  void OpenSession(const Call&, node::LinkNumber, const SessionId&, const node::StreamRequest&,
                   node::Reply<node::SessionPtr> reply) override {
    reply(Unimplemented("not a part of this test"));
  }
  void Dial(const Call&, node::LinkNumber, const SessionId&, const SandboxId&, uint16_t,
            node::Reply<node::SessionPtr> reply) override {
    reply(Unimplemented("not a part of this test"));
  }
  Status ReadEvents(const Call& call, node::LinkNumber link, const interlink::v1::Position& after,
                    node::EventSink& sink) override;
  std::unique_ptr<LogStream> OpenLogs(node::LogSink& sink) override;
  void SetReachable(Status) override {}

  static NodeId Node() { return NodeId("n1"); }

 private:
  using ProcessPtr = std::shared_ptr<SiteProcess>;
  // One run of ReadEvents.
  struct Stream {
    node::EventSink& sink;
    bool listing = false;
    std::vector<interlink::v1::Event> late;
  };
  void Deliver(const interlink::v1::Event& event, Stream& stream);
  void DeliverLate(Stream& stream);
  ProcessPtr Process();
  bool Chance(int percent) REQUIRES_LOCK(mutex_);
  // Carries one request: `send` gives it to the site with a reply.
  template <typename T>
  Result<T> Carry(const Call& call,
                  std::function<void(site::Site&, const Call&, site::Reply<site::Answer<T>>)> send);

  Mutex mutex_;
  CondVar wake_;
  std::mt19937 random_ GUARDED_BY(mutex_);
  ProcessPtr process_ GUARDED_BY(mutex_);
  Weather weather_ GUARDED_BY(mutex_);
  uint64_t cuts_ GUARDED_BY(mutex_) = 0;
  bool held_ GUARDED_BY(mutex_) = false;
  uint64_t late_round_ GUARDED_BY(mutex_) = 0;
  Timer timer_;
};

}  // namespace interlink::test

#endif  // INTERLINK_TEST_INTEGRATION_TWO_STORES_DIRECT_SITE_H_
