// StartContainer, StopContainer, UpdateContainer.
#include <algorithm>
#include <csignal>

#include "engine/engine.h"
#include "engine/oci_spec.h"
#include "runtime/v1/api.pb.h"

namespace interlink::engine {
namespace {

using State = sdk::Observation::State;

constexpr auto kStep = std::chrono::seconds(10);
constexpr auto kKilled = std::chrono::seconds(5);  // from KILL to the exit record
constexpr int kStartError = 128;

// What takes `change` back: `before`, and the kernel's own value where nothing was set before (a
// zero would leave what the change has brought). A cpuset that was free stays as it was changed.
runtime::v1::LinuxContainerResources UndoOf(const runtime::v1::LinuxContainerResources& change,
                                            const runtime::v1::LinuxContainerResources& before) {
  constexpr int64_t kShares = 1024;
  constexpr int64_t kPeriod = 100'000;
  constexpr int64_t kNoLimit = -1;
  runtime::v1::LinuxContainerResources undo = before;
  if (change.memory_limit_in_bytes() != 0 && before.memory_limit_in_bytes() == 0)
    undo.set_memory_limit_in_bytes(kNoLimit);
  if (change.memory_swap_limit_in_bytes() != 0 && before.memory_swap_limit_in_bytes() == 0)
    undo.set_memory_swap_limit_in_bytes(kNoLimit);
  if (change.cpu_quota() != 0 && before.cpu_quota() == 0) undo.set_cpu_quota(kNoLimit);
  if (change.cpu_period() != 0 && before.cpu_period() == 0) undo.set_cpu_period(kPeriod);
  if (change.cpu_shares() != 0 && before.cpu_shares() == 0) undo.set_cpu_shares(kShares);
  return undo;
}

}  // namespace

Status Engine::StartContainer(const Call& call, const SandboxId& sandbox, const ContainerId& id) {
  return RunInLane(call, sandbox, [this, sandbox, id] { return StartStep(sandbox, id); });
}

Status Engine::StartStep(const SandboxId& sandbox, const ContainerId& id) {
  const auto pod = View(sandbox);
  State state = State::kAbsent;
  {
    MutexLock lock(mutex_);
    if (const Container* container = FindLocked(sandbox, id)) state = container->fact.state;
  }
  if (!pod || state == State::kAbsent) return NotFound("no container \"" + id.str() + "\"");
  if (state == State::kUp) return {};
  if (state != State::kCreated) {
    return FailedPrecondition("container \"" + id.str() + "\" has ended: it runs at most once");
  }
  if (pod->record.phase != PodPhase::kUp) {
    return FailedPrecondition("sandbox \"" + sandbox.str() + "\" is not up");
  }
  const Call call = Call::WithTimeout(kStep);
  const Status started = shim_.Start(call, pod->folder.Shim(id));
  if (started.ok()) {
    const int64_t now = host_.clock().WallNanos();
    MoveContainer(sandbox, id, [now](sdk::Observation& fact) {
      fact.state = State::kUp;
      fact.started_ns = now;
    });
    return {};
  }
  if (started.code() == Code::kUnavailable) return started;
  if (started.code() == Code::kNotFound) return SettleEnd(call, sandbox, id);
  return ForceEnd(call, sandbox, id,
                  {true, kStartError, "StartError", started.message(), host_.clock().WallNanos()});
}

Status Engine::StopContainer(const Call& call, const SandboxId& sandbox, const ContainerId& id,
                             std::chrono::seconds grace) {
  return RunInLane(call, sandbox, [this, sandbox, id, grace]() -> Status {
    const auto pod = View(sandbox);
    sdk::Observation fact;
    int signal = SIGTERM;
    {
      MutexLock lock(mutex_);
      const Container* container = FindLocked(sandbox, id);
      if (!pod || container == nullptr) return {};
      fact = container->fact;
      signal = container->record.stop_signal;
    }
    if (fact.state >= State::kDown) {
      // Asked again: the report may have been lost.
      host_.Report({fact});
      return {};
    }
    // What was never started has nobody who would hear a signal.
    const bool at_once = grace.count() <= 0 || fact.state == State::kCreated;
    const SteadyTime kill_at = host_.clock().Steady() + (at_once ? std::chrono::seconds(0) : grace);
    if (!at_once) {
      const Status sent =
          shim_.Signal(Call::WithTimeout(kStep), pod->folder.Shim(id), signal, false);
      if (!sent.ok() && sent.code() != Code::kNotFound) return sent;
    }
    KillAt(sandbox, id, kill_at);
    return {};
  });
}

void Engine::KillAt(const SandboxId& sandbox, const ContainerId& id, SteadyTime when) {
  {
    MutexLock lock(mutex_);
    Container* container = FindLocked(sandbox, id);
    if (container == nullptr || (container->kill_at && *container->kill_at <= when)) return;
    container->kill_at = when;
  }
  const auto kill = [this, sandbox, id] {
    const auto pod = View(sandbox);
    {
      MutexLock lock(mutex_);
      if (Container* container = FindLocked(sandbox, id)) container->kill_at.reset();
    }
    if (!pod || AwaitEnd(sandbox, id, Duration::zero())) return;
    const Call call = Call::WithTimeout(kStep);
    const Status sent = shim_.Signal(call, pod->folder.Shim(id), SIGKILL, true);
    if (!sent.ok() && sent.code() != Code::kNotFound) {
      host_.log().Warning("a container could not be killed",
                          {{"container", id.str()}, {"error", sent.ToString()}});
    }
    // Its end arrives through the watch; if not, it is settled by force.
    timer_.After(kKilled, [this, sandbox, id] {
      if (AwaitEnd(sandbox, id, Duration::zero())) return;
      Post(sandbox, [this, sandbox, id] {
        if (AwaitEnd(sandbox, id, Duration::zero())) return;
        const Status settled = SettleEnd(Call::WithTimeout(kStep), sandbox, id);
        if (settled.ok()) return;
        LogUnsettled(id, settled);
        KillAt(sandbox, id, host_.clock().Steady() + kKilled);
      });
    });
  };
  const Duration delay = when - host_.clock().Steady();
  if (delay <= Duration::zero()) return kill();
  timer_.After(delay, [this, sandbox, kill] { Post(sandbox, kill); });
}

Status Engine::UpdateContainer(const Call& call, const SandboxId& sandbox, const ContainerId& id,
                               const runtime::v1::LinuxContainerResources& resources) {
  return RunInLane(call, sandbox, [this, sandbox, id, bytes = resources.SerializeAsString()] {
    return UpdateStep(sandbox, id, bytes);
  });
}

Status Engine::UpdateStep(const SandboxId& sandbox, const ContainerId& id,
                          const std::string& resources) {
  const auto pod = View(sandbox);
  ASSIGN_OR_RETURN(ContainerRecord record, RecordOf(sandbox, id));
  if (!pod) return NotFound("no sandbox \"" + sandbox.str() + "\"");
  if (AwaitEnd(sandbox, id, Duration::zero())) {
    return FailedPrecondition("container \"" + id.str() + "\" has ended");
  }
  runtime::v1::LinuxContainerResources before;
  runtime::v1::LinuxContainerResources change;
  if (!before.ParseFromString(record.resources) || !change.ParseFromString(resources)) {
    return DataLoss("the resources of container \"" + id.str() + "\" are damaged");
  }
  if (change.oom_score_adj() != 0 && change.oom_score_adj() != before.oom_score_adj()) {
    return Unimplemented("oom_score_adj of a living container cannot be changed");
  }
  // Zero means "as it is" in every field; lists are replaced.
  runtime::v1::LinuxContainerResources after = before;
  if (change.hugepage_limits_size() > 0) after.clear_hugepage_limits();
  after.MergeFrom(change);
  const CgroupFeatures& features = cgroups_.features();
  ASSIGN_OR_RETURN(const std::string wanted, OciResources(features, after));
  ASSIGN_OR_RETURN(const std::string old, OciResources(features, UndoOf(change, before)));
  const Call call = Call::WithTimeout(kStep);
  const std::string root = pod->folder.RuntimeRoot();
  record.resources = after.SerializeAsString();
  Status status = shim_.UpdateContainer(call, root, id.str(), wanted);
  if (status.ok()) status = Save(pod->folder, record);
  if (!status.ok()) {
    const Status undone = shim_.UpdateContainer(call, root, id.str(), old);
    return undone.ok() ? status : status.WithContext("and not undone: " + undone.message());
  }
  MutexLock lock(mutex_);
  if (Container* container = FindLocked(sandbox, id)) container->record = record;
  return {};
}

}  // namespace interlink::engine
