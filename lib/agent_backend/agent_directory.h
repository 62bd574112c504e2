// AgentDirectory: which AgentBackend a sandbox of an agent is of; the hub has one for all.
// Thread-safe. It outlives hub and backends.
#ifndef INTERLINK_AGENT_BACKEND_AGENT_DIRECTORY_H_
#define INTERLINK_AGENT_BACKEND_AGENT_DIRECTORY_H_

#include <functional>
#include <vector>

#include "agent_hub/hub.h"
#include "base/mutex.h"

namespace interlink::agent_backend {

// One backend's events. `Knows` is asked first, and answers from memory.
class AgentListener : public agent_hub::AgentEvents {
 public:
  virtual bool Knows(const SandboxId& id) const = 0;
};

// Who is refused for good stops its pod. So an agent that nobody knows is only told to come again:
// its plugin is not loaded yet, or not any more, or lost its records. Nothing follows from absence.
class AgentDirectory final : public agent_hub::AgentEvents {
 public:
  void Add(AgentListener& listener);
  // No event of it comes any more when this returns. Not from within one of its events.
  void Remove(AgentListener& listener);

  Status MayCome(const SandboxId& id, const agent_hub::AgentPlace& place) override;
  void CameIn(const SandboxId& id, const agent_hub::AgentPlace& place) override;
  void WentAway(const SandboxId& id, const Status& why) override;
  Status Reported(const SandboxId& id, std::vector<sdk::Observation> facts, bool complete) override;
  void LogGrew(const SandboxId& id, const ContainerId& container) override;

 private:
  struct Entry {
    AgentListener* listener;
    int busy = 0;
  };
  // False: nobody knows it.
  bool With(const SandboxId& id, const std::function<void(AgentListener&)>& event);

  Mutex mutex_;
  CondVar idle_;
  std::vector<Entry> entries_ GUARDED_BY(mutex_);
};

}  // namespace interlink::agent_backend

#endif  // INTERLINK_AGENT_BACKEND_AGENT_DIRECTORY_H_
