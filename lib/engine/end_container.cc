// How a container's end becomes known: from its shim's exit record, or by force when the shim was
// killed. And RemoveContainer.
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>

#include "engine/engine.h"
#include "engine/mount_contents.h"
#include "shim/layout.h"

namespace interlink::engine {
namespace {

using State = sdk::Observation::State;

constexpr auto kEndStep = std::chrono::seconds(30);
constexpr auto kWatchAgain = std::chrono::seconds(1);
constexpr int kLost = 255;
constexpr int kKilledCode = 137;

// Bytes of log that there are. After a crash of the machine the file may be shorter than the exit
// record says.
uint64_t LogSize(const PodFolder& folder, const ContainerId& id) {
  struct stat about {};
  const std::string path = folder.Shim(id) + "/" + shim::kLogFile;
  return stat(path.c_str(), &about) == 0 ? static_cast<uint64_t>(about.st_size) : 0;
}

void FillEnd(const ContainerExit& exit, sdk::Observation& fact) {
  fact.state = State::kDown;
  fact.exit_code = exit.code;
  if (exit.started_ns != 0) fact.started_ns = exit.started_ns;
  fact.finished_ns = exit.finished_ns;
  fact.message = exit.reason;
  const bool oom = exit.oom_kills > 0 && exit.code == kKilledCode;
  fact.reason = oom ? "OOMKilled" : exit.code == 0 ? "Completed" : "Error";
}

void FillEnd(const ForcedEnd& end, sdk::Observation& fact) {
  fact.state = State::kDown;
  fact.exit_code = end.exit_code;
  fact.finished_ns = end.finished_ns;
  fact.reason = end.reason;
  fact.message = end.message;
}

}  // namespace

void Engine::WatchContainer(const SandboxId& sandbox, const ContainerId& id, uint64_t log_offset) {
  const auto pod = View(sandbox);
  if (!pod || AwaitEnd(sandbox, id, Duration::zero())) return;
  const auto again = [&](const Status& why) {
    host_.log().Warning("a container cannot be watched yet",
                        {{"container", id.str()}, {"error", why.ToString()}});
    WatchLater(sandbox, id);
  };
  auto connection = shim_.Watch(Call::WithTimeout(kEndStep), pod->folder.Shim(id));
  // Only a shim that is gone has ended: one that is slow, or a machine without descriptors, says
  // nothing about the container.
  if (connection.status().code() == Code::kNotFound) return OnEnded(sandbox, id, false);
  if (!connection.ok()) return again(connection.status());
  ShimWatch::Callbacks callbacks;
  callbacks.log_grew = [this, id] { host_.LogGrew(id); };
  callbacks.ended = [this, sandbox, id](bool recorded) { OnEnded(sandbox, id, recorded); };
  const auto watch = watch_->Add(*std::move(connection), std::move(callbacks));
  if (!watch.ok()) return again(watch.status());
  {
    MutexLock lock(mutex_);
    if (Container* container = FindLocked(sandbox, id)) {
      container->watch = *watch;
      container->shim_lost = false;
    }
  }
  watch_->Arm(*watch, log_offset);
}

void Engine::LogUnsettled(const ContainerId& id, const Status& why) {
  host_.log().Warning("a container is not settled yet",
                      {{"container", id.str()}, {"error", why.ToString()}});
}

void Engine::WatchLater(const SandboxId& sandbox, const ContainerId& id) {
  timer_.After(kWatchAgain, [this, sandbox, id] {
    Post(sandbox, [this, sandbox, id] { WatchContainer(sandbox, id, 0); });
  });
}

void Engine::OnEnded(const SandboxId& sandbox, const ContainerId& id, bool recorded) {
  const auto pod = View(sandbox);
  if (!pod) return;
  const auto exit = ReadExit(pod->folder.Shim(id));
  const bool has_record = exit.ok() && exit->has_value();
  bool forced = false;  // its end is decided, and under way in another step or not finished
  {
    MutexLock lock(mutex_);
    Container* container = FindLocked(sandbox, id);
    if (container == nullptr || container->fact.state >= State::kDown) return;
    forced = container->record.end.is_set;
    if (!has_record) container->shim_lost = true;
    changed_.NotifyAll();
  }
  if (has_record && !forced) {
    const uint64_t log_end = LogSize(pod->folder, id);
    const std::string message = TerminationMessage(pod->folder, id);
    MoveContainer(sandbox, id, [&](sdk::Observation& fact) {
      FillEnd(**exit, fact);
      fact.log_end = log_end;
      fact.termination_message = message;
    });
    return;
  }
  if (recorded && !has_record) {
    host_.log().Error("an exit record cannot be read",
                      {{"container", id.str()}, {"error", exit.status().ToString()}});
  }
  Post(sandbox, [this, sandbox, id] {
    const Status settled = SettleEnd(Call::WithTimeout(kEndStep), sandbox, id);
    if (settled.ok()) return;
    LogUnsettled(id, settled);
    // Watched again if its shim lives after all, else this comes again.
    WatchLater(sandbox, id);
  });
}

Status Engine::SettleEnd(const Call& call, const SandboxId& sandbox, const ContainerId& id) {
  const auto pod = View(sandbox);
  if (!pod || AwaitEnd(sandbox, id, Duration::zero())) return {};
  ASSIGN_OR_RETURN(const ContainerRecord record, RecordOf(sandbox, id));
  if (record.end.is_set) return ForceEnd(call, sandbox, id, record.end);
  ASSIGN_OR_RETURN(bool ended, TakeExit(*pod, id));
  if (ended) return {};
  const auto state = shim_.State(call, pod->folder.Shim(id));
  if (!state.ok() && state.status().code() != Code::kNotFound) return state.status();
  // It may have ended well between the two.
  ASSIGN_OR_RETURN(ended, TakeExit(*pod, id));
  if (ended || (state.ok() && TakeEnd(*pod, id, *state))) return {};
  // Slow (a large core dump, a stuck mount): force would lose the exit code that it will bring.
  if (state.ok()) return Unavailable("its shim lives: the end is under way");
  return ForceEnd(call, sandbox, id,
                  {true, kLost, "Error", "lost: its shim was killed, the exit code is not known",
                   host_.clock().WallNanos()});
}

Result<bool> Engine::TakeExit(const PodView& pod, const ContainerId& id) {
  const auto exit = ReadExit(pod.folder.Shim(id));
  if (exit.status().code() == Code::kDataLoss) return false;
  if (!exit.ok()) return exit.status();
  if (!exit->has_value()) return false;
  const uint64_t log_end = LogSize(pod.folder, id);
  const std::string message = TerminationMessage(pod.folder, id);
  MoveContainer(pod.record.id, id, [&](sdk::Observation& fact) {
    FillEnd(**exit, fact);
    fact.log_end = log_end;
    fact.termination_message = message;
  });
  return true;
}

bool Engine::TakeEnd(const PodView& pod, const ContainerId& id, const shim::ContainerState& state) {
  if (state.phase != shim::Phase::kExited) return false;
  const uint64_t log_end = LogSize(pod.folder, id);
  const std::string message = TerminationMessage(pod.folder, id);
  ContainerExit exit;
  exit.code = state.code;
  exit.started_ns = static_cast<int64_t>(state.started_ns);
  exit.finished_ns = host_.clock().WallNanos();
  exit.reason = "its exit record cannot be written: is the disk full?";
  MoveContainer(pod.record.id, id, [&](sdk::Observation& fact) {
    FillEnd(exit, fact);
    fact.log_end = log_end;
    fact.termination_message = message;
  });
  return true;
}

Status Engine::ForceEnd(const Call& call, const SandboxId& sandbox, const ContainerId& id,
                        ForcedEnd end) {
  const auto pod = View(sandbox);
  ASSIGN_OR_RETURN(ContainerRecord record, RecordOf(sandbox, id));
  if (!pod) return {};
  // First the reason, durable: the kill below makes an exit record that does not know it.
  record.end = std::move(end);
  const Status saved = Save(pod->folder, record);
  // On a full disk the end is the more important of the two.
  if (!saved.ok() && saved.code() != Code::kResourceExhausted) return saved;
  {
    MutexLock lock(mutex_);
    if (Container* container = FindLocked(sandbox, id)) container->record = record;
  }
  RETURN_IF_ERROR(shim_.DeleteContainer(call, pod->folder.RuntimeRoot(), id.str()));
  if (options_.rootless) RETURN_IF_ERROR(shim_.EndProcesses(call, pod->folder.Shim(id)));
  RETURN_IF_ERROR(cgroups_.Kill(call, record.cgroup));
  const uint64_t log_end = LogSize(pod->folder, id);
  const std::string message = TerminationMessage(pod->folder, id);
  MoveContainer(sandbox, id, [&](sdk::Observation& fact) {
    FillEnd(record.end, fact);
    fact.log_end = log_end;
    fact.termination_message = message;
  });
  return {};
}

bool Engine::AwaitEnd(const SandboxId& sandbox, const ContainerId& id, Duration timeout) {
  bool ended = false;
  MutexLock lock(mutex_);
  const auto settled = [&]() NO_LOCK_ANALYSIS {
    const Container* container = FindLocked(sandbox, id);
    ended = container == nullptr || container->fact.state >= State::kDown;
    return ended || container->shim_lost;
  };
  if (timeout == Duration::zero()) {
    settled();
  } else {
    changed_.WaitFor(mutex_, timeout, settled);
  }
  return ended;
}

Status Engine::RemoveContainer(const Call& call, const SandboxId& sandbox, const ContainerId& id) {
  if (!View(sandbox)) return {};
  return RunInLane(call, sandbox, [this, sandbox, id] {
    return RemoveContainerStep(Call::WithTimeout(kEndStep), sandbox, id);
  });
}

Status Engine::RemoveContainerStep(const Call& call, const SandboxId& sandbox,
                                   const ContainerId& id) {
  const auto pod = View(sandbox);
  if (!pod) return {};
  uint64_t watch = 0;
  bool known = false;
  {
    MutexLock lock(mutex_);
    const Container* container = FindLocked(sandbox, id);
    known = container != nullptr;
    if (known) watch = container->watch;
  }
  if (!known) {
    // Of a creation that failed and could not be undone.
    const bool remains = access(pod->folder.Container(id).c_str(), F_OK) == 0;
    return remains ? DeleteRemains(call, *pod, id) : Status::Ok();
  }
  if (!AwaitEnd(sandbox, id, Duration::zero())) {
    const Status killed = shim_.Signal(call, pod->folder.Shim(id), SIGKILL, true);
    if (!killed.ok() && killed.code() != Code::kNotFound) return killed;
    if (!AwaitEnd(sandbox, id, kKilled)) RETURN_IF_ERROR(SettleEnd(call, sandbox, id));
  }
  if (watch != 0) watch_->Remove(watch);
  RETURN_IF_ERROR(DeleteRemains(call, *pod, id));
  MutexLock lock(mutex_);
  const auto found = pods_.find(sandbox);
  if (found != pods_.end()) found->second.containers.erase(id);
  return {};
}

}  // namespace interlink::engine
