// How a container's end becomes known: from its shim's exit record, or by force when the shim was
// killed. And RemoveContainer.
#include <sys/stat.h>

#include <csignal>

#include "engine/engine.h"
#include "shim/layout.h"

namespace interlink::engine {
namespace {

using State = sdk::Observation::State;

constexpr auto kStep = std::chrono::seconds(30);
constexpr auto kKilled = std::chrono::seconds(5);  // from KILL to the exit record
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
  if (!pod) return;
  auto connection = shim_.Watch(Call::WithTimeout(kStep), pod->folder.Shim(id));
  if (!connection.ok()) return OnEnded(sandbox, id, false);
  ShimWatch::Callbacks callbacks;
  callbacks.log_grew = [this, id] { host_.LogGrew(id); };
  callbacks.ended = [this, sandbox, id](bool recorded) { OnEnded(sandbox, id, recorded); };
  const auto watch = watch_->Add(*std::move(connection), std::move(callbacks));
  if (!watch.ok()) {
    host_.log().Error("a container cannot be watched",
                      {{"container", id.str()}, {"error", watch.status().ToString()}});
    return;
  }
  {
    MutexLock lock(mutex_);
    if (Container* container = FindLocked(sandbox, id)) container->watch = *watch;
  }
  watch_->Arm(*watch, log_offset);
}

void Engine::OnEnded(const SandboxId& sandbox, const ContainerId& id, bool recorded) {
  const auto pod = View(sandbox);
  if (!pod) return;
  const auto exit = ReadExit(pod->folder.Shim(id));
  const bool has_record = exit.ok() && exit->has_value();
  {
    MutexLock lock(mutex_);
    Container* container = FindLocked(sandbox, id);
    if (container == nullptr || container->record.end.is_set) return;
    if (!has_record) container->shim_lost = true;
    changed_.NotifyAll();
  }
  if (has_record) {
    const uint64_t log_end = LogSize(pod->folder, id);
    MoveContainer(sandbox, id, [&](sdk::Observation& fact) {
      FillEnd(**exit, fact);
      fact.log_end = log_end;
    });
    return;
  }
  if (recorded) {
    host_.log().Error("an exit record cannot be read",
                      {{"container", id.str()}, {"error", exit.status().ToString()}});
  }
  Post(sandbox, [this, sandbox, id] {
    const Status settled = SettleEnd(Call::WithTimeout(kStep), sandbox, id);
    if (settled.ok()) return;
    host_.log().Warning("the end of a container is not settled",
                        {{"container", id.str()}, {"error", settled.ToString()}});
  });
}

Status Engine::SettleEnd(const Call& call, const SandboxId& sandbox, const ContainerId& id) {
  const auto pod = View(sandbox);
  if (!pod || AwaitEnd(sandbox, id, Duration::zero())) return {};
  const auto exit = ReadExit(pod->folder.Shim(id));
  if (!exit.ok() && exit.status().code() != Code::kDataLoss) return exit.status();
  if (exit.ok() && exit->has_value()) {
    const uint64_t log_end = LogSize(pod->folder, id);
    MoveContainer(sandbox, id, [&](sdk::Observation& fact) {
      FillEnd(**exit, fact);
      fact.log_end = log_end;
    });
    return {};
  }
  return ForceEnd(call, sandbox, id,
                  {true, kLost, "Error", "lost: its shim was killed, the exit code is not known",
                   host_.clock().WallNanos()});
}

Status Engine::ForceEnd(const Call& call, const SandboxId& sandbox, const ContainerId& id,
                        ForcedEnd end) {
  const auto pod = View(sandbox);
  ASSIGN_OR_RETURN(ContainerRecord record, RecordOf(sandbox, id));
  if (!pod) return {};
  // First the reason, durable: the kill below makes an exit record that does not know it.
  record.end = std::move(end);
  RETURN_IF_ERROR(Save(pod->folder, record));
  {
    MutexLock lock(mutex_);
    if (Container* container = FindLocked(sandbox, id)) container->record = record;
  }
  RETURN_IF_ERROR(shim_.DeleteContainer(call, pod->folder.RuntimeRoot(), id.str()));
  RETURN_IF_ERROR(cgroups_.Kill(call, record.cgroup));
  const uint64_t log_end = LogSize(pod->folder, id);
  MoveContainer(sandbox, id, [&](sdk::Observation& fact) {
    FillEnd(record.end, fact);
    fact.log_end = log_end;
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
    return RemoveContainerStep(Call::WithTimeout(kStep), sandbox, id);
  });
}

Status Engine::RemoveContainerStep(const Call& call, const SandboxId& sandbox,
                                   const ContainerId& id) {
  const auto pod = View(sandbox);
  if (!pod) return {};
  uint64_t watch = 0;
  {
    MutexLock lock(mutex_);
    const Container* container = FindLocked(sandbox, id);
    if (container == nullptr) return {};
    watch = container->watch;
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
