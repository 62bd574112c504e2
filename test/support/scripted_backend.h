// A Backend whose world outlives it, as containers outlive a daemon; tests decide what it reports
// and what fails. It counts every start, so that a duplicate shows. Thread-safe.
#ifndef INTERLINK_TEST_SUPPORT_SCRIPTED_BACKEND_H_
#define INTERLINK_TEST_SUPPORT_SCRIPTED_BACKEND_H_

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "base/mutex.h"
#include "runtime/v1/api.pb.h"
#include "sdk/backend.h"
#include "sdk/host.h"
#include "sdk/merged_resources.h"

namespace interlink::test {

// The machine on which the work runs.
struct World {
  using State = sdk::Observation::State;
  struct Pod {
    NodeId node;
    State state = State::kPending;
    std::string config;
    std::map<std::string, std::string> node_options = {};
    std::string user = {};
  };
  struct Unit {
    NodeId node;
    SandboxId sandbox;
    State state = State::kCreated;
    int exit_code = 0;
    std::string config;
    std::map<std::string, std::string> volume_images = {};
    int stopped_code = 143;  // of a stop
    int64_t finished_ns = 9;
  };
  Mutex mutex;
  std::map<SandboxId, Pod> pods GUARDED_BY(mutex);
  std::map<ContainerId, Unit> units GUARDED_BY(mutex);
  std::map<std::string, int> starts GUARDED_BY(mutex);  // of sandboxes and containers, by id
  std::set<std::string> prepared GUARDED_BY(mutex);     // images
  bool takes_contents = false;
  bool runs_as_users = false;                                            // of the next backend
  std::map<ContainerId, sdk::MountContents> contents GUARDED_BY(mutex);  // as they came last
  std::map<ContainerId, runtime::v1::LinuxContainerResources> limits
      GUARDED_BY(mutex);                                 // of the last UpdateContainer
  int updates GUARDED_BY(mutex) = 0;                     // calls of UpdateContents
  bool silent GUARDED_BY(mutex) = false;                 // accepts and never reports
  std::map<std::string, Status> fail GUARDED_BY(mutex);  // method -> what it answers
  std::map<std::string, int> asked GUARDED_BY(mutex);    // method -> how often
  std::set<ContainerId> loses_stop GUARDED_BY(mutex);    // the next StopContainer does nothing
  SteadyTime session_deadline GUARDED_BY(mutex);         // of the last OpenSession
  // Runs in Recover, when its list is made. Set before the backend is used.
  std::function<void()> after_list;
  // What sessions and ports are made of; none: kUnimplemented. Set before the backend is used.
  std::function<Result<UniqueFd>(const sdk::SessionSpec&)> open_session;
  std::function<Result<UniqueFd>(uint16_t port)> dial;
  // What comes before the answer of Recover. Set before the backend is used.
  std::function<void()> before_recover;
  // What is measured; none: kUnimplemented. Set before the backend is used.
  std::function<Result<std::vector<runtime::v1::PodSandboxMetrics>>(const Call&)> metrics;

  int StartsOf(const std::string& id) {
    MutexLock lock(mutex);
    return starts[id];
  }
  int AskedFor(const std::string& method) {
    MutexLock lock(mutex);
    return asked[method];
  }
  void Fail(const std::string& method, Status status) {
    MutexLock lock(mutex);
    fail[method] = std::move(status);
  }
  void SetSilent(bool on) {
    MutexLock lock(mutex);
    silent = on;
  }
};

class ScriptedBackend final : public sdk::Backend {
 public:
  ScriptedBackend(World& world, sdk::Host& host, std::string handler = "test")
      : world_(world), host_(host), handler_(std::move(handler)) {
    description_.plugin = "scripted";
    description_.handlers = {{.name = handler_, .takes_contents = world_.takes_contents}};
    description_.runs_as_users = world_.runs_as_users;
    description_.node_options = {"SCRIPTED_QUEUE", "SCRIPTED_RANK"};
    description_.sandbox.honoured = {"metadata", "labels", "annotations"};
    description_.container.honoured = {"metadata", "image", "command", "mounts", "linux.resources"};
  }

  const sdk::Description& Describe() const override { return description_; }
  Result<std::vector<sdk::Observation>> Recover(const Call& call,
                                                const std::vector<sdk::Observation>&) override {
    if (world_.before_recover) world_.before_recover();
    RETURN_IF_ERROR(Failure("Recover"));
    auto list = Observe(call);
    if (world_.after_list) world_.after_list();
    return list;
  }
  Result<std::vector<sdk::Observation>> Observe(const Call&) override {
    std::vector<sdk::Observation> all;
    MutexLock lock(world_.mutex);
    for (const auto& [id, pod] : world_.pods) all.push_back(FactLocked(id, pod));
    for (const auto& [id, unit] : world_.units) all.push_back(FactLocked(id, unit));
    return all;
  }

  Status RunSandbox(const Call&, const sdk::SandboxSpec& spec) override {
    RETURN_IF_ERROR(Failure("RunSandbox"));
    std::vector<sdk::Observation> facts;
    {
      MutexLock lock(world_.mutex);
      if (world_.pods.contains(spec.id)) return {};
      ++world_.starts[spec.id.str()];
      World::Pod pod{spec.node, world_.silent ? World::State::kPending : World::State::kUp,
                     spec.config.SerializeAsString(), spec.node_options, spec.user};
      world_.pods[spec.id] = pod;
      if (!world_.silent) facts.push_back(FactLocked(spec.id, pod));
    }
    host_.Report(facts);
    return {};
  }
  Status StopSandbox(const Call&, const NodeId&, const SandboxId& id) override {
    RETURN_IF_ERROR(Failure("StopSandbox"));
    std::vector<sdk::Observation> facts;
    {
      MutexLock lock(world_.mutex);
      for (auto& [unit_id, unit] : world_.units) {
        if (unit.sandbox != id || unit.state == World::State::kDown) continue;
        unit.state = World::State::kDown;
        unit.exit_code = 137;
        facts.push_back(FactLocked(unit_id, unit));
      }
      if (const auto pod = world_.pods.find(id); pod != world_.pods.end()) {
        pod->second.state = World::State::kDown;
        facts.push_back(FactLocked(id, pod->second));
      }
      if (world_.silent) facts.clear();
    }
    host_.Report(facts);
    return {};
  }
  Status RemoveSandbox(const Call&, const NodeId&, const SandboxId& id) override {
    RETURN_IF_ERROR(Failure("RemoveSandbox"));
    MutexLock lock(world_.mutex);
    std::erase_if(world_.units, [&id](const auto& item) { return item.second.sandbox == id; });
    world_.pods.erase(id);
    return {};
  }
  Status UpdateSandbox(const Call&, const NodeId&, const SandboxId&,
                       const runtime::v1::LinuxContainerResources&,
                       const runtime::v1::LinuxContainerResources&) override {
    return {};
  }
  Status PrepareImage(const Call&, const SandboxId&, const std::string& image_id) override {
    RETURN_IF_ERROR(Failure("PrepareImage"));
    MutexLock lock(world_.mutex);
    world_.prepared.insert(image_id);
    return {};
  }
  Status CreateContainer(const Call&, const sdk::ContainerSpec& spec) override {
    RETURN_IF_ERROR(Failure("CreateContainer"));
    MutexLock lock(world_.mutex);
    world_.contents[spec.id] = spec.contents;
    world_.units.try_emplace(spec.id,
                             World::Unit{spec.node, spec.sandbox, World::State::kCreated, 0,
                                         spec.config.SerializeAsString(), spec.volume_images});
    return {};
  }
  Status StartContainer(const Call&, const SandboxId&, const ContainerId& id) override {
    RETURN_IF_ERROR(Failure("StartContainer"));
    return Move(id, World::State::kCreated, World::State::kUp, 0);
  }
  Status StopContainer(const Call&, const SandboxId&, const ContainerId& id,
                       std::chrono::seconds) override {
    RETURN_IF_ERROR(Failure("StopContainer"));
    int code = 143;
    {
      MutexLock lock(world_.mutex);
      if (world_.loses_stop.erase(id) != 0) return {};
      if (const auto unit = world_.units.find(id); unit != world_.units.end())
        code = unit->second.stopped_code;
    }
    return End(id, code);
  }
  Status RemoveContainer(const Call&, const SandboxId&, const ContainerId& id) override {
    RETURN_IF_ERROR(Failure("RemoveContainer"));
    MutexLock lock(world_.mutex);
    world_.units.erase(id);
    return {};
  }
  Status UpdateContainer(const Call&, const SandboxId&, const ContainerId& id,
                         const runtime::v1::LinuxContainerResources& resources) override {
    RETURN_IF_ERROR(Failure("UpdateContainer"));
    MutexLock lock(world_.mutex);
    world_.limits[id] = resources;
    if (const auto unit = world_.units.find(id); unit != world_.units.end())
      unit->second.config = sdk::ConfigWithResources(unit->second.config, resources);
    return {};
  }
  Status UpdateContents(const Call&, const SandboxId&, const ContainerId& id,
                        const sdk::MountContents& contents) override {
    {
      MutexLock lock(world_.mutex);
      ++world_.updates;
    }
    RETURN_IF_ERROR(Failure("UpdateContents"));
    MutexLock lock(world_.mutex);
    for (const auto& [host_path, content] : contents) world_.contents[id][host_path] = content;
    return {};
  }
  Result<UniqueFd> OpenSession(const Call& call, const sdk::SessionSpec& spec) override {
    RETURN_IF_ERROR(Failure("OpenSession"));
    {
      MutexLock lock(world_.mutex);
      world_.session_deadline = call.deadline();
    }
    return world_.open_session ? world_.open_session(spec) : Unimplemented("no sessions here");
  }
  Result<UniqueFd> Dial(const Call&, const SandboxId&, uint16_t port) override {
    RETURN_IF_ERROR(Failure("Dial"));
    return world_.dial ? world_.dial(port) : Unimplemented("no ports here");
  }
  Result<sdk::LogChunk> ReadLog(const Call&, const SandboxId&, const ContainerId&, uint64_t offset,
                                size_t) override {
    return sdk::LogChunk{"", offset, true};
  }
  Result<sdk::Usage> Stats(const Call&) override { return sdk::Usage{}; }
  Result<std::vector<runtime::v1::PodSandboxMetrics>> Metrics(const Call& call) override {
    RETURN_IF_ERROR(Failure("Metrics"));
    return world_.metrics ? world_.metrics(call) : Unimplemented("nothing is measured here");
  }
  Result<std::string> Inspect(const Call&, const SandboxId&, const ContainerId&) override {
    return std::string("{}");
  }

  // The container ends by itself.
  Status End(const ContainerId& id, int exit_code) {
    std::vector<sdk::Observation> facts;
    {
      MutexLock lock(world_.mutex);
      const auto unit = world_.units.find(id);
      if (unit == world_.units.end() || unit->second.state == World::State::kDown) return {};
      unit->second.state = World::State::kDown;
      unit->second.exit_code = exit_code;
      if (!world_.silent) facts.push_back(FactLocked(id, unit->second));
    }
    host_.Report(facts);
    return {};
  }

 private:
  Status Failure(const std::string& method) {
    MutexLock lock(world_.mutex);
    ++world_.asked[method];
    const auto it = world_.fail.find(method);
    return it == world_.fail.end() ? Status::Ok() : it->second;
  }
  Status Move(const ContainerId& id, World::State from, World::State to, int exit_code) {
    std::vector<sdk::Observation> facts;
    {
      MutexLock lock(world_.mutex);
      const auto unit = world_.units.find(id);
      if (unit == world_.units.end()) return NotFound("no such container");
      if (unit->second.state != from) return {};
      ++world_.starts[id.str()];
      unit->second.state = to;
      unit->second.exit_code = exit_code;
      if (!world_.silent) facts.push_back(FactLocked(id, unit->second));
    }
    host_.Report(facts);
    return {};
  }
  sdk::Observation FactLocked(const SandboxId& id, const World::Pod& pod) const
      REQUIRES_LOCK(world_.mutex) {
    sdk::Observation fact;
    fact.node = pod.node;
    fact.sandbox = id;
    fact.state = pod.state;
    fact.handler = handler_;
    fact.config = pod.config;
    fact.started_ns = 5;
    fact.finished_ns = pod.state == World::State::kDown ? 9 : 0;
    return fact;
  }
  sdk::Observation FactLocked(const ContainerId& id, const World::Unit& unit) const
      REQUIRES_LOCK(world_.mutex) {
    sdk::Observation fact;
    fact.node = unit.node;
    fact.sandbox = unit.sandbox;
    fact.container = id;
    fact.state = unit.state;
    fact.handler = handler_;
    fact.config = unit.config;
    fact.volume_images = unit.volume_images;
    fact.exit_code = unit.exit_code;
    fact.started_ns = unit.state >= World::State::kUp ? 6 : 0;
    fact.finished_ns = unit.state == World::State::kDown ? unit.finished_ns : 0;
    return fact;
  }

  World& world_;
  sdk::Host& host_;
  const std::string handler_;
  sdk::Description description_;
};

}  // namespace interlink::test

#endif  // INTERLINK_TEST_SUPPORT_SCRIPTED_BACKEND_H_
