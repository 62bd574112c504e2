// StopSandbox and RemoveSandbox: idempotent, from the records on disk.
#include <unistd.h>

#include <csignal>
#include <utility>

#include "base/file.h"
#include "engine/engine.h"

namespace interlink::engine {
namespace {

using State = sdk::Observation::State;

constexpr auto kTearDown = std::chrono::minutes(1);
constexpr auto kTryAgain = std::chrono::seconds(2);

}  // namespace

Status Engine::StopSandbox(const Call&, const NodeId& node, const SandboxId& id) {
  const auto pod = ViewOf(node, id);
  if (!pod) return {};
  if (pod->record.phase == PodPhase::kDown || pod->record.phase == PodPhase::kFailed) {
    // Asked again: the report may have been lost.
    sdk::Observation fact;
    {
      MutexLock lock(mutex_);
      const auto found = pods_.find(id);
      if (found == pods_.end()) return {};
      fact = found->second.fact;
    }
    host_.Report({fact});
    return {};
  }
  StopLater(id, Duration::zero());
  return {};
}

void Engine::StopLater(const SandboxId& id, Duration delay) {
  {
    MutexLock lock(mutex_);
    const auto found = pods_.find(id);
    if (found == pods_.end() || std::exchange(found->second.stop_posted, true)) return;
  }
  const auto step = [this, id] {
    {
      MutexLock lock(mutex_);
      const auto found = pods_.find(id);
      if (found == pods_.end()) return;
      found->second.stop_posted = false;
    }
    const Status status = StopStep(Call::WithTimeout(kTearDown), id);
    if (status.ok()) return;
    host_.log().Warning("a sandbox could not be stopped yet",
                        {{"sandbox", id.str()}, {"error", status.ToString()}});
    StopLater(id, kTryAgain);
  };
  if (delay == Duration::zero()) return Post(id, step);
  timer_.After(delay, [this, id, step] { Post(id, step); });
}

Status Engine::StopStep(const Call& call, const SandboxId& id) {
  auto pod = View(id);
  if (!pod || pod->record.phase == PodPhase::kDown) return {};
  // A failed one stays failed: it never was up, and its fact must not go back.
  const bool failed = pod->record.phase == PodPhase::kFailed;
  if (!failed && pod->record.phase != PodPhase::kStopping) {
    pod->record.phase = PodPhase::kStopping;
    RETURN_IF_ERROR(SaveEnd(pod->record));
  }
  RETURN_IF_ERROR(EndContainers(call, id));
  RETURN_IF_ERROR(TearDown(call, *pod));
  if (failed) return {};
  pod->record.phase = PodPhase::kDown;
  pod->record.finished_ns = host_.clock().WallNanos();
  return SaveEnd(pod->record);
}

Status Engine::EndContainers(const Call& call, const SandboxId& id) {
  const auto pod = View(id);
  if (!pod) return {};
  std::vector<ContainerId> living;
  {
    MutexLock lock(mutex_);
    const auto found = pods_.find(id);
    if (found == pods_.end()) return {};
    for (const auto& [name, container] : found->second.containers) {
      if (container.fact.state < State::kDown) living.push_back(name);
    }
  }
  // All at once; their ends arrive through the watch.
  for (const ContainerId& name : living) {
    const Status killed = shim_.Signal(call, pod->folder.Shim(name), SIGKILL, true);
    if (!killed.ok() && killed.code() != Code::kNotFound) {
      host_.log().Warning("a container could not be killed",
                          {{"container", name.str()}, {"error", killed.ToString()}});
    }
  }
  for (const ContainerId& name : living) {
    if (!AwaitEnd(id, name, kKilled)) RETURN_IF_ERROR(SettleEnd(call, id, name));
  }
  return {};
}

Status Engine::RemoveSandbox(const Call& call, const NodeId& node, const SandboxId& id) {
  {
    MutexLock lock(mutex_);
    if (!recovered_) return Unavailable("the pod folders are not scanned yet");
  }
  if (!ViewOf(node, id)) return {};
  return RunInLane(call, id, [this, id] { return RemoveStep(id); });
}

Status Engine::RemoveStep(const SandboxId& id) {
  const Call call = Call::WithTimeout(kTearDown);
  auto pod = View(id);
  if (!pod) return {};
  RETURN_IF_ERROR(StopStep(call, id));
  // Those on disk: also what a creation left that could not be undone.
  ASSIGN_OR_RETURN(const auto names, FullIdsIn(pod->folder.Containers()));
  for (const std::string& name : names) {
    RETURN_IF_ERROR(RemoveContainerStep(call, id, ContainerId(name)));
  }
  const bool own_cgroup = pod->record.init_cgroup == pod->record.cgroup + "/init";
  if (own_cgroup) {
    RETURN_IF_ERROR(cgroups_.Kill(call, pod->record.cgroup));
    RETURN_IF_ERROR(cgroups_.Remove(call, pod->record.cgroup));
  }
  RETURN_IF_ERROR(Discard(pod->folder.path()));
  MutexLock lock(mutex_);
  pods_.erase(id);
  return {};
}

}  // namespace interlink::engine
