#include "agent_backend/agent_directory.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace interlink::agent_backend {

void AgentDirectory::Add(AgentListener& listener) {
  MutexLock lock(mutex_);
  entries_.push_back({&listener});
}

void AgentDirectory::Remove(AgentListener& listener) {
  const auto is_it = [&listener](const Entry& entry) { return entry.listener == &listener; };
  MutexLock lock(mutex_);
  for (bool idle = false; !idle;) {
    idle = idle_.WaitFor(mutex_, std::chrono::seconds(1), [&]() NO_LOCK_ANALYSIS {
      const auto entry = std::find_if(entries_.begin(), entries_.end(), is_it);
      return entry == entries_.end() || entry->busy == 0;
    });
  }
  entries_.erase(std::remove_if(entries_.begin(), entries_.end(), is_it), entries_.end());
}

bool AgentDirectory::With(const SandboxId& id, const std::function<void(AgentListener&)>& event) {
  AgentListener* listener = nullptr;
  {
    MutexLock lock(mutex_);
    for (Entry& entry : entries_) {
      if (!entry.listener->Knows(id)) continue;
      listener = entry.listener;
      ++entry.busy;
      break;
    }
  }
  if (listener == nullptr) return false;
  event(*listener);
  MutexLock lock(mutex_);
  for (Entry& entry : entries_) {
    if (entry.listener == listener) --entry.busy;
  }
  idle_.NotifyAll();
  return true;
}

Status AgentDirectory::MayCome(const SandboxId& id, const agent_hub::AgentPlace& place) {
  Status answer = Unavailable("this site does not know the pod \"" + id.str() + "\" now");
  With(id, [&](AgentListener& listener) { answer = listener.MayCome(id, place); });
  return answer;
}

void AgentDirectory::CameIn(const SandboxId& id, const agent_hub::AgentPlace& place) {
  With(id, [&](AgentListener& listener) { listener.CameIn(id, place); });
}

void AgentDirectory::WentAway(const SandboxId& id, const Status& why) {
  With(id, [&](AgentListener& listener) { listener.WentAway(id, why); });
}

Status AgentDirectory::Reported(const SandboxId& id, std::vector<sdk::Observation> facts,
                                bool complete) {
  // Of a pod that was removed meanwhile there is nothing to keep.
  Status answer;
  With(id, [&](AgentListener& listener) {
    answer = listener.Reported(id, std::move(facts), complete);
  });
  return answer;
}

void AgentDirectory::LogGrew(const SandboxId& id, const ContainerId& container) {
  With(id, [&](AgentListener& listener) { listener.LogGrew(id, container); });
}

}  // namespace interlink::agent_backend
