#include "agent/log_keeper.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/file.h"

namespace interlink::agent {

LogKeeper::LogKeeper(Options options, Log& log)
    : options_(std::move(options)),
      log_(log),
      thread_([this](const std::stop_token& stop) { Run(stop); }) {}

LogKeeper::~LogKeeper() {
  thread_.request_stop();
  MutexLock lock(mutex_);
  changed_.NotifyAll();
}

void LogKeeper::Track(const ContainerId& id, bool ended) {
  if (!IsFullId(id.str())) return;
  MutexLock lock(mutex_);
  if (forgotten_.count(id) != 0) return;
  auto& kept = kept_[id];
  if (!kept) {
    kept = std::make_shared<Kept>(
        LeftLog(options_.shim_folder(id), options_.folder + "/" + id.str(), options_.limit));
  }
  if (!ended || kept->ended) return;
  kept->ended = true;
  poked_ = true;
  changed_.NotifyAll();
}

void LogKeeper::Forget(const ContainerId& id) {
  MutexLock lock(mutex_);
  ForgetLocked(id);
}

void LogKeeper::ForgetAll() {
  MutexLock lock(mutex_);
  while (!kept_.empty()) ForgetLocked(ContainerId(kept_.begin()->first));
}

void LogKeeper::ForgetLocked(const ContainerId& id) {
  if (!IsFullId(id.str())) return;
  kept_.erase(id);
  forgotten_.insert(id);
  to_delete_.insert(id);
  poked_ = true;
  changed_.NotifyAll();
}

bool LogKeeper::AwaitSaved(SteadyTime deadline) {
  MutexLock lock(mutex_);
  poked_ = true;
  changed_.NotifyAll();
  return changed_.WaitUntil(mutex_, deadline, [this]() NO_LOCK_ANALYSIS {
    return std::all_of(kept_.begin(), kept_.end(), [](const auto& entry) {
      return entry.second->saved || !entry.second->ended;
    });
  });
}

void LogKeeper::Run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    std::vector<ContainerId> kept;
    std::vector<ContainerId> forgotten;
    {
      MutexLock lock(mutex_);
      changed_.WaitFor(mutex_, options_.every,
                       [&]() NO_LOCK_ANALYSIS { return poked_ || stop.stop_requested(); });
      poked_ = false;
      for (const auto& [id, one] : kept_)
        if (!one->saved) kept.push_back(id);
      forgotten.assign(to_delete_.begin(), to_delete_.end());
    }
    for (const ContainerId& id : forgotten) Remove(id);
    for (const ContainerId& id : kept) {
      if (stop.stop_requested()) return;
      LookAt(id);
    }
  }
}

void LogKeeper::LookAt(const ContainerId& id) {
  std::shared_ptr<Kept> kept;
  bool ended = false;
  uint64_t seen = 0;
  {
    MutexLock lock(mutex_);
    const auto found = kept_.find(id);
    if (found == kept_.end()) return;
    kept = found->second;
    ended = kept->ended;
    seen = kept->seen;
  }
  if (ended) {
    const Status finished = kept->log.Finish();
    return Settle(id, finished.ok() ? Result<uint64_t>(0) : Result<uint64_t>(finished), true);
  }
  Settle(id, kept->log.Save(seen), false);
}

void LogKeeper::Settle(const ContainerId& id, const Result<uint64_t>& length, bool ended) {
  // Between the record of a container and its shim's log there is a moment.
  const bool absent = !ended && length.status().code() == Code::kNotFound;
  const bool failed = !length.ok() && !absent;
  bool say = false;
  {
    MutexLock lock(mutex_);
    const auto found = kept_.find(id);
    if (found == kept_.end()) return;
    Kept& kept = *found->second;
    const bool failed_before = std::exchange(kept.failing, failed);
    say = failed && !failed_before;
    if (length.ok()) kept.seen = *length;
    kept.saved = kept.saved || (ended && length.ok());
    changed_.NotifyAll();
  }
  if (say) {
    log_.Error("a log cannot be saved for the site, it is tried again",
               {{"container", id.str()}, {"error", length.status().ToString()}});
  }
}

void LogKeeper::Remove(const ContainerId& id) {
  const Status removed = RemoveTree(options_.folder + "/" + id.str());
  if (!removed.ok()) {
    log_.Warning("the saved log of a removed container is still there",
                 {{"container", id.str()}, {"error", removed.ToString()}});
    return;
  }
  MutexLock lock(mutex_);
  to_delete_.erase(id);
}

}  // namespace interlink::agent
