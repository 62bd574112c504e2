// A site over a disk and a world that outlive it: Crash() is kill -9.
#ifndef INTERLINK_TEST_UNIT_SITE_SITE_LAB_H_
#define INTERLINK_TEST_UNIT_SITE_SITE_LAB_H_

#include <atomic>
#include <catch2/catch.hpp>
#include <filesystem>
#include <future>

#include "site/site.h"
#include "support/eventually.h"
#include "support/memory_site_store.h"
#include "support/memory_volumes.h"
#include "support/no_images.h"
#include "support/scripted_backend.h"

namespace interlink::test {

using interlink::v1::ContainerRecord;
using interlink::v1::SandboxRecord;
using SandboxAnswer = site::Answer<SandboxRecord>;
using ContainerAnswer = site::Answer<ContainerRecord>;

// Has every image for every node, but those that are named as missing or were removed. Lists what
// was pulled, with its tags: a pulled name is the tag of what the registry has by it.
class AnyImages final : public NoImages {
 public:
  Result<site::Pulled> Pull(const Call&, const NodeId& node, const runtime::v1::ImageSpec& spec,
                            const runtime::v1::AuthConfig&,
                            std::function<void(uint64_t)>) override {
    const std::string& tag = spec.image();
    site::Pulled pulled;
    {
      MutexLock lock(mutex_);
      const auto known = registry_.find(tag);
      const std::string id = known == registry_.end() ? "sha256:" + tag : known->second;
      auto& images = pulled_[node];
      for (auto& [other, tags] : images) {
        if (other != id && tags.erase(tag) != 0) pulled.losers.push_back(other);
      }
      images[id].insert(tag);
      missing_.erase({node, id});
      pulled.image = ImageLocked(node, id);
    }
    if (after_pull) after_pull(tag);
    return pulled;
  }
  Result<std::vector<site::Image>> Find(const NodeId& node,
                                        const std::string& name) const override {
    MutexLock lock(mutex_);
    if (missing_.contains({node, name})) return std::vector<site::Image>{};
    return std::vector<site::Image>{ImageLocked(node, name)};
  }
  std::vector<site::Image> List(const NodeId& node) const override {
    MutexLock lock(mutex_);
    std::vector<site::Image> all;
    const auto images = pulled_.find(node);
    if (images == pulled_.end()) return all;
    for (const auto& [id, tags] : images->second) all.push_back(ImageLocked(node, id));
    return all;
  }
  Result<std::string> Remove(const NodeId& node, const std::string& name) override {
    MutexLock lock(mutex_);
    pulled_[node].erase(name);
    missing_.insert({node, name});
    return name;
  }

  void SetMissing(const NodeId& node, const std::string& name) {
    MutexLock lock(mutex_);
    missing_.insert({node, name});
  }
  void SetRegistry(const std::string& tag, const std::string& id) {
    MutexLock lock(mutex_);
    registry_[tag] = id;
  }

  // Runs at the end of Pull, with its tag. Set before the first one.
  std::function<void(const std::string&)> after_pull;

 private:
  site::Image ImageLocked(const NodeId& node, const std::string& id) const REQUIRES_LOCK(mutex_) {
    site::Image image;
    image.image.set_id(id);
    if (const auto images = pulled_.find(node); images != pulled_.end()) {
      if (const auto tags = images->second.find(id); tags != images->second.end()) {
        for (const std::string& tag : tags->second) image.image.add_repo_tags(tag);
      }
    }
    return image;
  }

  mutable Mutex mutex_;
  std::set<std::pair<NodeId, std::string>> missing_ GUARDED_BY(mutex_);
  std::map<std::string, std::string> registry_ GUARDED_BY(mutex_);  // by tag
  std::map<NodeId, std::map<std::string, std::set<std::string>>> pulled_ GUARDED_BY(mutex_);
};

// A disk that can be stopped: what is committed meanwhile becomes durable when it goes on.
class StoppableStore final : public site::Store {
 public:
  explicit StoppableStore(site::Store& disk) : disk_(disk) {}

  Result<std::vector<site::StoredRecord>> Load() override { return disk_.Load(); }
  void Commit(site::Batch batch, std::function<void(Status)> done) override {
    MutexLock lock(mutex_);
    if (std::exchange(refuse_next_, false)) {
      done(Unavailable("the disk does not answer"));
    } else if (stopped_) {
      waiting_.emplace_back(std::move(batch), std::move(done));
    } else {
      disk_.Commit(std::move(batch), std::move(done));
    }
  }
  Status CommitAndWait(const Call& call, site::Batch batch) override {
    return disk_.CommitAndWait(call, std::move(batch));
  }
  const Lineage& lineage() const override { return disk_.lineage(); }

  void RefuseNext() {
    MutexLock lock(mutex_);
    refuse_next_ = true;
  }
  bool HasRefused() {
    MutexLock lock(mutex_);
    return !refuse_next_;
  }
  void StopDisk() {
    MutexLock lock(mutex_);
    stopped_ = true;
  }
  void GoOn() {
    MutexLock lock(mutex_);
    stopped_ = false;
    for (auto& [batch, done] : waiting_) disk_.Commit(std::move(batch), std::move(done));
    waiting_.clear();
  }

 private:
  site::Store& disk_;
  Mutex mutex_;
  bool stopped_ GUARDED_BY(mutex_) = false;
  bool refuse_next_ GUARDED_BY(mutex_) = false;
  std::vector<std::pair<site::Batch, std::function<void(Status)>>> waiting_ GUARDED_BY(mutex_);
};

// The system's clock, and what tests add to it. Thread-safe.
class ShiftedClock final : public Clock {
 public:
  int64_t WallNanos() const override { return system_.WallNanos(); }
  SteadyTime Steady() const override { return system_.Steady() + Duration(shift_.load()); }
  void Advance(Duration by) { shift_ += by.count(); }

 private:
  SystemClock system_;
  std::atomic<Duration::rep> shift_ = 0;
};

struct SiteLab {
  SiteLab() { Boot(); }
  // `other`: the world of a second plugin, with handler "other"; it outlives the lab.
  explicit SiteLab(World& other, Duration metrics_poll = std::chrono::seconds(10))
      : other_world(&other), poll(metrics_poll) {
    Boot();
  }
  ~SiteLab() {
    site->Stop();
    std::filesystem::remove_all(folder);
  }

  void Boot() {
    store = std::make_unique<MemorySiteStore>(disk);
    writer = std::make_unique<StoppableStore>(*store);
    site::Options options;
    options.name = "lab";
    options.data_folder = folder;
    options.artefact_lineage = artefact_lineage;
    options.pod_metrics_poll = poll;
    auto made = site::Site::Create(options,
                                   {*writer, images, volumes, *told_to, metrics, clock, admission});
    REQUIRE(made.ok());
    site = *std::move(made);
    auto made_backend = std::make_unique<ScriptedBackend>(world, site->HostFor("scripted"));
    backend = made_backend.get();
    REQUIRE(site->AddBackend("scripted", {"test"}, std::move(made_backend)).ok());
    if (other_world != nullptr) {
      REQUIRE(site->AddBackend("other", {"other"},
                               std::make_unique<ScriptedBackend>(*other_world,
                                                                 site->HostFor("other"), "other"))
                  .ok());
    }
    if (missing_plugin) site->AddMissing("missing", {"missing"}, Unavailable("it is not loaded"));
    if (refuse_inventory) writer->RefuseNext();
    site->Start();
  }
  void WaitReady() {
    REQUIRE(Eventually([this] { return site->Ready(); }));
  }

  void Crash() {
    site->Stop();
    site.reset();
    writer.reset();
    store.reset();
  }
  void Restart() {
    Crash();
    Boot();
    WaitReady();
  }

  // The node's side of a link.
  Status LinkNode(const std::string& name = "n1") {
    interlink::v1::LinkRequest request;
    request.set_node_lineage(node_lineage);
    request.set_node_counter(++node_counter);
    request.set_secret(secret);
    request.set_site_lineage(site_lineage);
    request.set_site_counter(site_counter);
    auto answer = Wait<interlink::v1::LinkResponse>(
        [&](auto reply) { site->Link(call(), NodeId(name), request, reply); });
    if (!answer.ok()) return answer.status();
    last_link = *answer;
    secret = answer->next_secret();
    site_lineage = answer->site_lineage();
    site_counter = answer->site_counter();
    caller = {NodeId(name), answer->link()};
    return {};
  }

  // What a node keeps of its link. Taking it leaves the state of a node that never linked.
  struct Peer {
    std::string lineage = MintLineage().str();
    uint64_t counter = 0;
    std::string secret;
    uint64_t site_counter = 0;
    site::Caller caller;
  };
  Peer KeepPeer() const { return {node_lineage, node_counter, secret, site_counter, caller}; }
  Peer TakePeer() {
    Peer taken = KeepPeer();
    SetPeer({});
    return taken;
  }
  void SetPeer(const Peer& peer) {
    node_lineage = peer.lineage;
    node_counter = peer.counter;
    secret = peer.secret;
    site_counter = peer.site_counter;
    caller = peer.caller;
  }

  template <typename T, typename Start>
  Result<T> Wait(Start start) {
    auto promise = std::make_shared<std::promise<Result<T>>>();
    auto future = promise->get_future();
    start([promise](Result<T> result) { promise->set_value(std::move(result)); });
    REQUIRE(future.wait_for(std::chrono::seconds(30)) == std::future_status::ready);
    return future.get();
  }

  // The site answers after 2 s whatever is asked, so a request that has not come to its end is
  // asked again, as a node does: for kSettles, far more than it takes on a busy machine. kShort:
  // asked once, by a test whose step does not come to an end.
  static constexpr Duration kSettles = std::chrono::seconds(20);
  static constexpr Duration kShort = std::chrono::milliseconds(50);
  template <typename T, typename Start>
  Result<T> Settle(Duration wait, Start start) {
    const auto until = std::chrono::steady_clock::now() + kSettles;
    for (;;) {
      Result<T> answer = Wait<T>(start);
      if (wait != kSettles || !answer.ok() || answer->settled) return answer;
      if (std::chrono::steady_clock::now() > until) return answer;
    }
  }

  static Call call() { return Call::WithTimeout(std::chrono::seconds(10)); }

  std::string PodBody(const std::string& name, const std::string& uid = "u",
                      const std::string& handler = "test") const {
    interlink::v1::RunSandboxRequest request;
    request.set_handler(handler);
    request.set_created_ns(1);
    request.mutable_config()->mutable_metadata()->set_name(name);
    request.mutable_config()->mutable_metadata()->set_namespace_("default");
    request.mutable_config()->mutable_metadata()->set_uid(uid);
    return request.SerializeAsString();
  }
  std::string UnitBody(const std::string& name) const {
    interlink::v1::CreateContainerRequest request;
    request.set_handler("test");
    request.set_created_ns(2);
    request.set_image_id("sha256:x");
    request.mutable_config()->mutable_metadata()->set_name(name);
    return request.SerializeAsString();
  }

  Result<SandboxAnswer> Run(const SandboxId& id, const std::string& body,
                            Duration wait = kSettles) {
    return Settle<SandboxAnswer>(
        wait, [&](auto reply) { site->RunSandbox(call(), caller, id, body, wait, reply); });
  }
  Result<SandboxAnswer> StopPod(const SandboxId& id, Duration wait = kSettles) {
    return Settle<SandboxAnswer>(
        wait, [&](auto reply) { site->StopSandbox(call(), caller, id, "test", wait, reply); });
  }
  Result<SandboxAnswer> RemovePod(const SandboxId& id, Duration wait = kSettles) {
    return Settle<SandboxAnswer>(
        wait, [&](auto reply) { site->RemoveSandbox(call(), caller, id, "test", wait, reply); });
  }
  Result<ContainerAnswer> Create(const SandboxId& pod, const ContainerId& id,
                                 const std::string& body, Duration wait = kSettles) {
    return Settle<ContainerAnswer>(wait, [&](auto reply) {
      site->CreateContainer(call(), caller, pod, id, body, wait, reply);
    });
  }
  Result<ContainerAnswer> StartUnit(const SandboxId& pod, const ContainerId& id,
                                    Duration wait = kSettles) {
    return Settle<ContainerAnswer>(wait, [&](auto reply) {
      site->StartContainer(call(), caller, pod, id, "test", wait, reply);
    });
  }
  Result<ContainerAnswer> StopUnit(const SandboxId& pod, const ContainerId& id,
                                   Duration wait = kSettles) {
    interlink::v1::StopContainerRequest request;
    request.set_handler("test");
    return Settle<ContainerAnswer>(wait, [&](auto reply) {
      site->StopContainer(call(), caller, pod, id, request, wait, reply);
    });
  }
  Result<ContainerAnswer> RemoveUnit(const SandboxId& pod, const ContainerId& id,
                                     Duration wait = kSettles) {
    return Settle<ContainerAnswer>(wait, [&](auto reply) {
      site->RemoveContainer(call(), caller, pod, id, "test", wait, reply);
    });
  }
  Result<site::Answer<interlink::v1::PullRecord>> Pull(const std::string& tag,
                                                       Duration wait = kSettles) {
    interlink::v1::PullImageRequest request;
    request.set_pull_id(MintSandboxId().str());
    request.mutable_image()->set_image(tag);
    return Settle<site::Answer<interlink::v1::PullRecord>>(
        wait, [&](auto reply) { site->PullImage(call(), caller, request, wait, reply); });
  }
  Result<sdk::LogChunk> ReadLog(const SandboxId& pod, const ContainerId& id) {
    return Wait<sdk::LogChunk>(
        [&](auto reply) { site->ReadLog(call(), NodeId("n1"), pod, id, 0, 1024, reply); });
  }
  // A running container in a running pod.
  void RunAll(const SandboxId& pod, const ContainerId& unit) {
    REQUIRE(Run(pod, PodBody("p-" + pod.str().substr(0, 6))).ok());
    REQUIRE(Create(pod, unit, UnitBody("c")).ok());
    REQUIRE(StartUnit(pod, unit).ok());
  }

  std::string folder = std::filesystem::temp_directory_path() / ("interlink-site-" + RandomHex(6));
  World* other_world = nullptr;
  Duration poll = std::chrono::seconds(10);
  const site::Admission* admission = nullptr;  // of the next Boot; outlives the lab
  bool missing_plugin = false;                 // of the next Boot: it has one more plugin
  bool refuse_inventory = false;               // the commit of the next Boot's inventory fails
  SiteDisk disk;
  Lineage artefact_lineage = MintLineage();
  World world;
  AnyImages images;
  MemoryVolumes volumes;
  NullLog log;
  Log* told_to = &log;  // of the next Boot
  NullMetrics metrics;
  ShiftedClock clock;
  std::unique_ptr<MemorySiteStore> store;
  std::unique_ptr<StoppableStore> writer;
  std::unique_ptr<site::Site> site;
  ScriptedBackend* backend = nullptr;

  std::string node_lineage = MintLineage().str();
  uint64_t node_counter = 0;
  std::string secret;
  std::string site_lineage;
  uint64_t site_counter = 0;
  interlink::v1::LinkResponse last_link;
  site::Caller caller;
};

}  // namespace interlink::test

#endif  // INTERLINK_TEST_UNIT_SITE_SITE_LAB_H_
