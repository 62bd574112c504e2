// StartContainer, StopContainer.
#include <algorithm>
#include <csignal>

#include "engine/engine.h"

namespace interlink::engine {
namespace {

using State = sdk::Observation::State;

constexpr auto kStartStep = std::chrono::seconds(10);
constexpr int kStartError = 128;

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
  const Call call = Call::WithTimeout(kStartStep);
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
          shim_.Signal(Call::WithTimeout(kStartStep), pod->folder.Shim(id), signal, false);
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
    const Call call = Call::WithTimeout(kStartStep);
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
        const Status settled = SettleEnd(Call::WithTimeout(kStartStep), sandbox, id);
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

}  // namespace interlink::engine
