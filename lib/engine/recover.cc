// Recover: a scan of the pod folders. Each pod is settled in its lane, in parallel.
#include <unistd.h>

#include <memory>

#include "base/file.h"
#include "engine/engine.h"
#include "engine/host_mounts.h"
#include "shim/layout.h"

namespace interlink::engine {
namespace {

using State = sdk::Observation::State;

constexpr auto kPodTime = std::chrono::seconds(50);
constexpr auto kRecoverAgain = std::chrono::seconds(2);

struct Progress {
  Mutex mutex;
  CondVar done;
  size_t open GUARDED_BY(mutex) = 0;
  Status first GUARDED_BY(mutex);
};

}  // namespace

Result<std::vector<sdk::Observation>> Engine::Recover(
    const Call& call, const std::vector<sdk::Observation>& /*last_known*/) {
  ASSIGN_OR_RETURN(const auto names, FullIdsIn(root_));
  auto progress = std::make_shared<Progress>();  // owners: this thread and the steps
  for (const std::string& name : names) {
    const SandboxId id(name);
    {
      MutexLock lock(mutex_);
      const auto found = pods_.find(id);
      if (found != pods_.end() && found->second.settled) continue;
    }
    {
      MutexLock lock(progress->mutex);
      ++progress->open;
    }
    Post(id, [this, id, progress] {
      const Status status = RecoverPod(Call::WithTimeout(kPodTime), id);
      MutexLock lock(progress->mutex);
      if (!status.ok() && progress->first.ok()) {
        progress->first = status.WithContext("sandbox \"" + id.str() + "\"");
      }
      --progress->open;
      progress->done.NotifyAll();
    });
  }
  {
    MutexLock lock(progress->mutex);
    progress->done.WaitFor(progress->mutex, call.remaining(),
                           [&]() NO_LOCK_ANALYSIS { return progress->open == 0; });
    if (progress->open > 0) return Unavailable("the pods are still being settled");
    if (!progress->first.ok()) return Unavailable(progress->first.message());
  }
  {
    MutexLock lock(mutex_);
    recovered_ = true;
  }
  return Observe(call);
}

Status Engine::RecoverPod(const Call& call, const SandboxId& id) {
  const PodFolder folder = FolderOf(id);
  auto record = LoadPod(folder);
  if (record.status().code() == Code::kNotFound) {
    // The record is the first thing in the folder: nothing was made.
    return RemoveTree(folder.path());
  }
  if (!record.ok()) return record.status();
  {
    MutexLock lock(mutex_);
    Pod pod(folder);
    pod.record = *record;
    pod.fact = FactOf(*record);
    pod.fact.revision = ++revision_;
    pod.settled = false;
    pods_.erase(id);
    pods_.emplace(id, std::move(pod));
  }
  const PodView view{folder, *record};
  ASSIGN_OR_RETURN(const auto names, FullIdsIn(folder.Containers()));
  for (const std::string& name : names) {
    RETURN_IF_ERROR(RecoverContainer(call, view, ContainerId(name)));
  }
  const Status status = RecoverPhase(call, view);
  if (!status.ok()) {
    // What is there is known. That it does not go away is this pod's trouble, not the others'.
    host_.log().Warning("a sandbox could not be stopped yet",
                        {{"sandbox", id.str()}, {"error", status.ToString()}});
    StopLater(id, kRecoverAgain);
  }
  MutexLock lock(mutex_);
  const auto found = pods_.find(id);
  if (found != pods_.end()) found->second.settled = true;
  return {};
}

Status Engine::RecoverContainer(const Call& call, const PodView& pod, const ContainerId& id) {
  const SandboxId& sandbox = pod.record.id;
  auto record = LoadContainer(pod.folder, id);
  const bool never_made = record.status().code() == Code::kNotFound;
  if (!record.ok() && !never_made) return record.status();
  const std::string folder = pod.folder.Shim(id);
  const bool created = access((folder + "/" + shim::kPidFile).c_str(), F_OK) == 0;
  // Created = its creator was answered OK, or could have been; before that nothing has run and the
  // remains of the try are removed.
  if (never_made || !created) {
    // What does not go now goes with its pod, or before it is created again.
    const Status removed = DeleteRemains(call, pod, id);
    if (!removed.ok()) LogUnsettled(id, removed);
    return {};
  }
  {
    MutexLock lock(mutex_);
    const auto found = pods_.find(sandbox);
    if (found == pods_.end()) return {};
    Container container;
    container.record = *record;
    container.fact = FactOf(pod.record, *record);
    container.fact.revision = ++revision_;
    found->second.containers[id] = std::move(container);
  }
  for (const std::string& mounts : pod.folder.CreationMounts(id)) {
    const Status detached = DetachHostMounts(mounts);
    if (!detached.ok()) LogUnsettled(id, detached);
  }
  // The site's list of holders may be lost, and then its collector would take the layers.
  std::vector<std::string> images = {record->image_id};
  for (const auto& [name, image] : record->volume_images) images.push_back(image);
  for (const std::string& image : images) {
    const auto held = host_.HoldImage(id, image);
    if (held.ok()) continue;
    host_.log().Warning("an image of a container is not held",
                        {{"container", id.str()}, {"error", held.status().ToString()}});
  }
  const auto settle = [&]() {
    const Status settled = SettleEnd(call, sandbox, id);
    if (settled.ok()) return;
    LogUnsettled(id, settled);
    WatchLater(sandbox, id);
  };
  if (record->end.is_set) {
    settle();
    return {};
  }
  ASSIGN_OR_RETURN(const bool ended, TakeExit(pod, id));
  if (ended) return {};
  const auto state = shim_.State(call, folder);
  const bool ends = state.ok() && state->phase == shim::Phase::kExited;
  if (ends || state.status().code() == Code::kNotFound) {
    settle();
    return {};
  }
  if (!state.ok()) return state.status();
  if (state->phase == shim::Phase::kRunning) {
    MoveContainer(sandbox, id, [&](sdk::Observation& fact) {
      fact.state = State::kUp;
      fact.started_ns = static_cast<int64_t>(state->started_ns);
    });
  }
  WatchContainer(sandbox, id, 0);
  return {};
}

Status Engine::RecoverPhase(const Call& call, const PodView& pod) {
  const SandboxId& id = pod.record.id;
  ASSIGN_OR_RETURN(const std::string boot_id, BootId());
  const bool rebooted = pod.record.boot_id != boot_id;
  switch (pod.record.phase) {
    case PodPhase::kStarting: {
      // Unfinished: undone, so that nothing is left; only its owner knows whether it is still
      // wanted, and asks again.
      PodRecord record = pod.record;
      record.phase = PodPhase::kFailed;
      record.message = "the site was restarted while the sandbox was started";
      record.finished_ns = host_.clock().WallNanos();
      RETURN_IF_ERROR(SaveEnd(record));
      return RemoveStep(id);
    }
    case PodPhase::kUp:
      if (!rebooted) return {};
      return StopStep(call, id);
    case PodPhase::kStopping:
      return StopStep(call, id);
    case PodPhase::kDown:
    case PodPhase::kFailed:
      return {};
  }
  return {};
}

}  // namespace interlink::engine
