// Queue: at-start. The sandbox is shown as up at once and has no allocation; its containers are
// recorded, and the first start asks for the allocation. They are shown as running, queued, until
// the agent has them. What the agent does not have yet is carried to it here, in the lane of the
// pod.
#include "agent_backend/agent_backend.h"
#include "agent_backend/refusal.h"
#include "base/utf8.h"
#include "interlink/v1/volume.pb.h"
#include "runtime/v1/api.pb.h"

namespace interlink::agent_backend {
namespace {

using agent::v1::Fact;
using interlink::v1::StoredAgentContainer;

constexpr auto kCarry = std::chrono::seconds(10);

Status BeingCarried() {
  return Unavailable("the container is on its way to its allocation: ask again");
}

}  // namespace

bool AgentBackend::IsAtStart(const std::string& handler) const {
  for (const auto& item : provisioner_->Describe().handlers) {
    if (item.name == handler) return item.queue_at_start;
  }
  return false;
}

// Recorded, to be carried. REQUIRES: the pod waits for its agent.
Status AgentBackend::KeepForAgent(const EntryPtr& entry, const sdk::ContainerSpec& spec) {
  // Its contents first: a container without them could not be carried.
  RETURN_IF_ERROR(files_.SaveContents(spec.sandbox, spec.id, spec.contents));
  Observations news;
  {
    MutexLock lock(entry->mutex);
    AgentPod kept = entry->pod;
    if (kept.Find(spec.id) == nullptr) return NotFound("the container was removed");
    kept.Keep(spec.id);
    RETURN_IF_ERROR(files_.Save(kept.stored()));
    entry->pod = std::move(kept);
    news.push_back(entry->pod.FactOf(*entry->pod.Find(spec.id)));
  }
  host_.Report(std::move(news));
  // Its agent may have come meanwhile.
  Post(spec.sandbox, [this, id = spec.sandbox] { Drive(id); });
  return {};
}

// True: the stop is done, or to be asked for again (`answer`), without an agent.
bool AgentBackend::StopQueued(const EntryPtr& entry, const ContainerId& id, Status& answer) {
  Observations news;
  {
    MutexLock lock(entry->mutex);
    const auto* container = entry->pod.Find(id);
    if (!entry->pod.IsOnlyHere(id) || container->fact().state() >= Fact::DOWN) return false;
    if (entry->carried.contains(id)) {
      answer = BeingCarried();
      return true;
    }
    AgentPod stopped = entry->pod;
    news = stopped.StopQueued(id, host_.clock().WallNanos());
    answer = files_.Save(stopped.stored());
    if (!answer.ok()) return true;
    entry->pod = std::move(stopped);
  }
  host_.Report(std::move(news));
  return true;
}

// True: nobody but us knows it, and now nobody does; or `answer` says to ask again.
bool AgentBackend::RemoveQueued(const EntryPtr& entry, const ContainerId& id, Status& answer) {
  SandboxId sandbox;
  {
    MutexLock lock(entry->mutex);
    // A repeat: before its agent has brought the pod up nobody else can have it.
    const bool unknown = entry->pod.Find(id) == nullptr && entry->pod.WaitsAtStart();
    if (!unknown && !entry->pod.IsOnlyHere(id)) return false;
    if (entry->carried.contains(id)) {
      answer = BeingCarried();
      return true;
    }
    sandbox = entry->pod.id();
    AgentPod left = entry->pod;
    left.Remove(id);
    answer = files_.Save(left.stored());
    if (answer.ok()) entry->pod = std::move(left);
  }
  if (answer.ok()) answer = files_.RemoveContents(sandbox, id);
  return true;
}

// What the agent lacks, and what was started meanwhile. True: it must come again.
bool AgentBackend::CarryContainers(const EntryPtr& entry) {
  std::vector<ContainerId> all;
  {
    MutexLock lock(entry->mutex);
    if (!entry->pod.stored().at_start()) return false;
    for (const auto& container : entry->pod.stored().containers()) all.emplace_back(container.id());
  }
  bool again = false;
  for (const ContainerId& id : all) {
    again |= CarryContainer(entry, id);
    again |= StartCarried(entry, id);
  }
  return again;
}

// Under the lock nobody else may take a container away while it is carried.
std::optional<StoredAgentContainer> AgentBackend::TakeToCarry(const EntryPtr& entry,
                                                              const ContainerId& id, bool start) {
  MutexLock lock(entry->mutex);
  const auto* container = entry->pod.Find(id);
  if (container == nullptr || !entry->connected || !entry->told) return std::nullopt;
  const bool to_start = container->started() && container->fact().state() == Fact::CREATED &&
                        !entry->start_asked.contains(id);
  const bool due = start ? to_start : entry->pod.IsQueued(id) && !container->carried();
  if (!due) return std::nullopt;
  entry->carried.insert(id);
  return *container;
}

bool AgentBackend::CarryContainer(const EntryPtr& entry, const ContainerId& id) {
  const auto container = TakeToCarry(entry, id, false);
  if (!container) return false;
  return EndCarry(entry, id, BringToAgent(entry, *container), true);
}

Status AgentBackend::BringToAgent(const EntryPtr& entry, const StoredAgentContainer& container) {
  const Call call = Call::WithTimeout(kCarry);
  interlink::v1::StoredAgentPod pod;
  {
    MutexLock lock(entry->mutex);
    pod = entry->pod.stored();
  }
  const ContainerId id(container.id());
  const SandboxId sandbox(pod.id());
  runtime::v1::ContainerConfig config;
  runtime::v1::PodSandboxConfig pod_config;
  if (!config.ParseFromString(container.config()) || !pod_config.ParseFromString(pod.config())) {
    return DataLoss("the stored container cannot be read");
  }
  sdk::ContainerSpec spec{
      id, sandbox, NodeId(pod.node_id()), container.image_id(), config, pod_config, {}, {}};
  spec.volume_images = {container.volume_images().begin(), container.volume_images().end()};
  ASSIGN_OR_RETURN(spec.contents, files_.LoadContents(sandbox, id));
  RETURN_IF_ERROR(CreateAtAgent(call, entry, spec));
  // An earlier try may have made it, with what its volumes had then.
  sdk::MountContents snapshots = spec.contents;
  std::erase_if(snapshots, [](const auto& item) { return !item.second->has_snapshot(); });
  if (snapshots.empty()) return {};
  const Status updated = agents_->UpdateContents(call, sandbox, id, snapshots);
  return updated.code() == Code::kUnimplemented ? Status() : updated;  // an agent before this
}

bool AgentBackend::StartCarried(const EntryPtr& entry, const ContainerId& id) {
  const auto container = TakeToCarry(entry, id, true);
  if (!container) return false;
  SandboxId sandbox;
  {
    MutexLock lock(entry->mutex);
    sandbox = entry->pod.id();
  }
  return EndCarry(entry, id, agents_->StartContainer(Call::WithTimeout(kCarry), sandbox, id),
                  false);
}

// True: it must be tried again.
bool AgentBackend::EndCarry(const EntryPtr& entry, const ContainerId& id, const Status& done,
                            bool created) {
  // What has ended, or was stopped, is refused a start: its end is told by itself.
  const bool over =
      !created && (done.code() == Code::kFailedPrecondition || done.code() == Code::kNotFound);
  const bool refused =
      !over && (RefusalOf(done.code()) != Refusal::kNone || done.code() == Code::kDataLoss);
  SandboxId sandbox;
  Observations news;
  {
    MutexLock lock(entry->mutex);
    sandbox = entry->pod.id();
    entry->carried.erase(id);
    // Its report tells the rest.
    if (!created && (over || done.ok())) {
      entry->start_asked.insert(id);
      return false;
    }
    if (!done.ok() && !refused) {
      const auto* container = entry->pod.Find(id);
      if (container == nullptr) return true;
      entry->pod.SetHeldUp(id, "its agent does not " + std::string(created ? "take" : "start") +
                                   " it yet: " + OneLine(done.message(), kMaxAgentWords));
      host_.Report({entry->pod.FactOf(*container)});
      return true;
    }
    AgentPod changed = entry->pod;
    changed.SetHeldUp(id, "");
    if (refused) news = changed.FailStart(id, done.message(), host_.clock().WallNanos());
    if (done.ok() && created) {
      auto* container = changed.Find(id);
      if (container != nullptr) container->set_carried(true);
    }
    // Carried again it is the same: an id is made once.
    if (const Status saved = files_.Save(changed.stored()); !saved.ok()) return true;
    entry->pod = std::move(changed);
  }
  host_.Report(std::move(news));
  if (!created) return false;
  const Status gone = files_.RemoveContents(sandbox, id);
  if (!gone.ok()) {
    host_.log().Warning("contents of a container stay at the site",
                        {{"container", id.str()}, {"error", gone.ToString()}});
  }
  return false;
}

}  // namespace interlink::agent_backend
