#include "engine/engine.h"

#include <unistd.h>

#include <algorithm>
#include <exception>
#include <utility>

#include "base/file.h"
#include "engine/host_mounts.h"
#include "engine/idmapped_mounts.h"
#include "engine/user_namespace.h"
#include "runtime/v1/api.pb.h"
#include "sdk/merged_resources.h"

namespace interlink::engine {
namespace {

using State = sdk::Observation::State;

constexpr size_t kMaxQueued = 10'000;
constexpr auto kStepWait = std::chrono::seconds(9);  // a backend's method answers within 10 s

// How a step's end reaches the thread that waits for it.
struct Completion {
  Mutex mutex;
  CondVar done;
  bool is_done GUARDED_BY(mutex) = false;
  Status status GUARDED_BY(mutex);
};

State StateOf(PodPhase phase) {
  switch (phase) {
    case PodPhase::kStarting:
      return State::kPending;
    case PodPhase::kUp:
    case PodPhase::kStopping:
      return State::kUp;
    case PodPhase::kDown:
      return State::kDown;
    case PodPhase::kFailed:
      return State::kFailed;
  }
  return State::kPending;
}

EngineFeatures ProbeFeatures(sdk::Host& host, const EngineOptions& options,
                             const ContainerEngine& maker) {
  EngineFeatures features;
  features.recursive_read_only = CanMountRecursivelyReadOnly();
  if (options.rootless) {
    // A range of a pod's own would be one of somebody else's here.
    features.own_ids = OwnIds();
    return features;
  }
  const ShimClient shim(options.shim, maker, options.runtime);
  const Status users =
      ProbeUserNamespaces(shim, options.state_folder + "/" + host.lineage().str() + "/probe");
  features.user_namespaces = users.ok();
  if (!users.ok()) {
    host.log().Warning("pods cannot have user namespaces here", {{"why", users.ToString()}});
  }
  return features;
}

}  // namespace

Result<std::unique_ptr<sdk::Backend>> Engine::Create(sdk::Host& host, EngineOptions options) {
  if (geteuid() != 0) {
    return FailedPrecondition(
        options.rootless ? "running containers without root needs a user namespace of its own: "
                           "start it with interlink-shim supervise"
                         : "running containers needs root");
  }
  if (options.rootless && options.kubelet_host) {
    return InvalidArgument(
        "an engine without root cannot serve the pods of this machine's kubelet");
  }
  const ContainerEngine* maker = FindContainerEngine(options.engine);
  if (maker == nullptr) {
    return InvalidArgument("there is no container engine \"" + options.engine + "\": it is " +
                           ContainerEngineNames());
  }
  if (maker->rootless && !options.rootless) {
    return InvalidArgument("engine " + options.engine + " runs containers without root only");
  }
  if (access(options.shim.c_str(), X_OK) != 0) {
    return FailedPrecondition("interlink-shim is not at \"" + options.shim + "\"");
  }
  auto cgroups = options.rootless ? Result<Cgroups>(Cgroups::None()) : Cgroups::Find();
  if (!cgroups.ok()) return cgroups.status();
  ASSIGN_OR_RETURN(const CapabilitySet own, OwnBoundingSet());
  ASSIGN_OR_RETURN(const CapabilitySet effective, OwnEffectiveSet());
  const EngineFeatures features = ProbeFeatures(host, options, *maker);
  if (options.rootless && features.own_ids == 0) {
    return FailedPrecondition(
        "this user namespace has no id 0: start it with interlink-shim supervise");
  }
  if (features.own_ids > 1 && !maker->all_ids) {
    return FailedPrecondition("engine " + options.engine +
                              " gives a container one id only, and root's containers have all");
  }
  std::unique_ptr<Engine> engine(
      new Engine(host, std::move(options), *maker, *std::move(cgroups), own, effective, features));
  RETURN_IF_ERROR(engine->Begin());
  return std::unique_ptr<sdk::Backend>(std::move(engine));
}

Engine::Engine(sdk::Host& host, EngineOptions options, const ContainerEngine& maker,
               Cgroups cgroups, CapabilitySet own, CapabilitySet effective,
               const EngineFeatures& features)
    : host_(host),
      options_(std::move(options)),
      maker_(maker),
      features_(features),
      description_(DescribeEngine(options_, features_)),
      cgroups_(std::move(cgroups)),
      own_capabilities_(own),
      effective_capabilities_(effective),
      shim_(options_.shim, maker_, options_.runtime, !options_.rootless),
      cni_(options_.cni_conf_folder, options_.cni_bin_folders),
      root_(options_.state_folder + "/" + host.lineage().str()),
      steps_("engine", options_.threads, kMaxQueued) {}

Status Engine::Begin() {
  RETURN_IF_ERROR(MakeDirectories(root_, 0700));
  // An agent has one pod, and what it leaves goes with its job.
  if (!options_.rootless)
    trash_ = std::make_unique<Trash>(Trash::Options{.folder = root_ + "/trash"}, host_.log());
  ASSIGN_OR_RETURN(watch_, ShimWatch::Create());
  return {};
}

Engine::~Engine() {
  timer_.Stop();
  steps_.Stop(std::chrono::seconds(5));
  watch_.reset();  // last: steps use it
}

void Engine::Post(const SandboxId& sandbox, std::function<void()> step) {
  // Refused only at the end of the daemon: the next start scans.
  const Status posted = steps_.PostAlways(sandbox.str(), [this, sandbox, step = std::move(step)] {
    try {
      step();
    } catch (const std::exception& error) {
      // The last resort: a defect in one pod's step must not end what other pods need.
      host_.log().Error("a step ended by an exception",
                        {{"sandbox", sandbox.str()}, {"error", error.what()}});
    }
  });
  if (!posted.ok()) host_.log().Debug("a step was not taken", {{"why", posted.message()}});
}

Status Engine::RunInLane(const Call& call, const SandboxId& sandbox, std::function<Status()> step) {
  auto completion = std::make_shared<Completion>();  // owners: this thread and the step
  RETURN_IF_ERROR(steps_.PostAlways(sandbox.str(), [completion, step = std::move(step)] {
    Status status;
    try {
      status = step();
    } catch (const std::exception& error) {
      // The last resort, as in Post.
      status = InternalError(std::string("the step ended by an exception: ") + error.what());
    }
    MutexLock lock(completion->mutex);
    completion->status = std::move(status);
    completion->is_done = true;
    completion->done.NotifyAll();
  }));
  const Duration wait = std::min<Duration>(call.remaining(), kStepWait);
  MutexLock lock(completion->mutex);
  completion->done.WaitFor(completion->mutex, wait,
                           [&]() NO_LOCK_ANALYSIS { return completion->is_done; });
  if (completion->is_done) return completion->status;
  return Unavailable("the step is still under way, ask again");
}

Status Engine::Discard(const std::string& path) {
  if (trash_ == nullptr) return RemoveTree(path);
  const Status moved = trash_->Discard(path, 0, 0);
  if (moved.ok()) return moved;
  // A full disk gets no room by keeping what is to go.
  host_.log().Warning("cannot move to the trash what is to go: it is deleted at once",
                      {{"path", path}, {"error", moved.ToString()}});
  return RemoveTree(path);
}

PodFolder Engine::FolderOf(const SandboxId& id) const {
  return FolderOfPod(options_.state_folder, host_.lineage(), id);
}

std::optional<Engine::PodView> Engine::View(const SandboxId& id) {
  MutexLock lock(mutex_);
  const auto found = pods_.find(id);
  if (found == pods_.end()) return {};
  return PodView{found->second.folder, found->second.record};
}

std::optional<Engine::PodView> Engine::ViewOf(const NodeId& node, const SandboxId& id) {
  auto view = View(id);
  if (view && view->record.node != node) return {};
  return view;
}

Engine::Container* Engine::FindLocked(const SandboxId& sandbox, const ContainerId& id) {
  const auto pod = pods_.find(sandbox);
  if (pod == pods_.end()) return nullptr;
  const auto found = pod->second.containers.find(id);
  return found == pod->second.containers.end() ? nullptr : &found->second;
}

Result<ContainerRecord> Engine::RecordOf(const SandboxId& sandbox, const ContainerId& id) {
  MutexLock lock(mutex_);
  const Container* container = FindLocked(sandbox, id);
  if (container == nullptr) return NotFound("no container \"" + id.str() + "\"");
  return container->record;
}

sdk::Observation Engine::FactOf(const PodRecord& record) const {
  sdk::Observation fact;
  fact.node = record.node;
  fact.sandbox = record.id;
  fact.state = StateOf(record.phase);
  fact.started_ns = record.started_ns;
  fact.finished_ns = record.finished_ns;
  fact.message = record.message;
  if (record.phase == PodPhase::kFailed) fact.reason = "StartError";
  if (fact.state == State::kUp) fact.ips = record.ips;
  fact.config = record.config;
  fact.handler = record.handler;
  return fact;
}

sdk::Observation Engine::FactOf(const PodRecord& pod, const ContainerRecord& record) const {
  sdk::Observation fact;
  fact.node = pod.node;
  fact.sandbox = pod.id;
  fact.container = record.id;
  fact.state = State::kCreated;
  fact.user_known = true;
  fact.uid = record.user.uid;
  fact.gid = record.user.gid;
  fact.supplemental_groups.assign(record.user.groups.begin(), record.user.groups.end());
  fact.config = ConfigInForce(record);
  fact.handler = pod.handler;
  fact.image_id = record.image_id;
  fact.volume_images = record.volume_images;
  return fact;
}

std::string Engine::ConfigInForce(const ContainerRecord& record) {
  runtime::v1::LinuxContainerResources resources;
  if (!resources.ParseFromString(record.resources)) return record.config;
  return sdk::ConfigWithResources(record.config, resources);
}

Status Engine::SavePod(const PodRecord& record) {
  RETURN_IF_ERROR(Save(FolderOf(record.id), record));
  Show(record);
  return {};
}

Status Engine::SaveEnd(const PodRecord& record) {
  Status saved = Save(FolderOf(record.id), record);
  if (!saved.ok() && saved.code() != Code::kResourceExhausted) return saved;
  if (!saved.ok()) {
    host_.log().Warning("the end of a sandbox cannot be stored",
                        {{"sandbox", record.id.str()}, {"error", saved.message()}});
  }
  Show(record);
  return {};
}

void Engine::Show(const PodRecord& record) {
  sdk::Observation fact;
  {
    MutexLock lock(mutex_);
    const auto found = pods_.find(record.id);
    if (found == pods_.end()) return;
    found->second.record = record;
    found->second.fact = FactOf(record);
    found->second.fact.revision = ++revision_;
    fact = found->second.fact;
    changed_.NotifyAll();
  }
  host_.Report({fact});
}

void Engine::MoveContainer(const SandboxId& sandbox, const ContainerId& id,
                           const std::function<void(sdk::Observation&)>& change) {
  sdk::Observation fact;
  {
    MutexLock lock(mutex_);
    Container* container = FindLocked(sandbox, id);
    if (container == nullptr || container->fact.state >= State::kDown) return;
    sdk::Observation changed = container->fact;
    change(changed);
    if (changed.state < container->fact.state) return;
    changed.revision = ++revision_;
    container->fact = changed;
    fact = std::move(changed);
    changed_.NotifyAll();
  }
  host_.Report({fact});
  host_.LogGrew(id);
}

Result<std::vector<sdk::Observation>> Engine::Observe(const Call&) {
  MutexLock lock(mutex_);
  if (!recovered_) return Unavailable("the pod folders are not scanned yet");
  std::vector<sdk::Observation> facts;
  for (const auto& [id, pod] : pods_) {
    facts.push_back(pod.fact);
    for (const auto& [name, container] : pod.containers) facts.push_back(container.fact);
  }
  return facts;
}

Status Engine::PrepareImage(const Call&, const SandboxId&, const std::string& image_id) {
  // Layers are used where the site's store unpacked them; CreateContainer holds them.
  return image_id.empty() ? InvalidArgument("the image has no id") : Status::Ok();
}

Status Engine::UpdateSandbox(const Call&, const NodeId& node, const SandboxId& id,
                             const runtime::v1::LinuxContainerResources&,
                             const runtime::v1::LinuxContainerResources&) {
  if (!ViewOf(node, id)) return NotFound("no sandbox \"" + id.str() + "\"");
  // kubelet owns the pod's cgroup on its own machine and has changed it by itself.
  if (options_.kubelet_host) return {};
  return Unimplemented("limits of a whole pod are not supported: its containers have their own");
}

}  // namespace interlink::engine
