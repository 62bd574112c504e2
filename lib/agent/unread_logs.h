// UnreadLogs: what the site has not read yet of the logs of ended containers, where they end with
// the agent: nobody else can read them. Thread-safe.
#ifndef INTERLINK_AGENT_UNREAD_LOGS_H_
#define INTERLINK_AGENT_UNREAD_LOGS_H_

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/id.h"
#include "base/mutex.h"

namespace interlink::agent {

class UnreadLogs {
 public:
  // `shim_folder`: of a container (shim/layout.h). `clock` outlives it. `settle`: a reader that has
  // had all of a log, and has not come again for so long, will not.
  UnreadLogs(std::function<std::string(const ContainerId&)> shim_folder, const Clock& clock,
             Duration settle = std::chrono::seconds(2))
      : shim_folder_(std::move(shim_folder)), clock_(clock), settle_(settle) {}

  // It has ended: its log grows no more. Idempotent.
  void Ended(const ContainerId& id);
  // It is removed, and its log with it.
  void Forget(const ContainerId& id);
  void ForgetAll();
  // An answer with a part of its log was made; `end`: with its end.
  void WasRead(const ContainerId& id, bool end);
  // Answers that were on their way may not have come: what is acknowledged counts, or the next
  // ones.
  void Lost();

  // Those that have ended and of which something is neither acknowledged nor was read to its end.
  // Looks at files.
  std::vector<ContainerId> All();

 private:
  bool IsAcknowledged(const ContainerId& id) const;

  const std::function<std::string(const ContainerId&)> shim_folder_;
  const Clock& clock_;
  const Duration settle_;
  Mutex mutex_;
  // When it was last read to its end; nothing: it was not.
  std::map<ContainerId, std::optional<SteadyTime>> ended_ GUARDED_BY(mutex_);
};

}  // namespace interlink::agent

#endif  // INTERLINK_AGENT_UNREAD_LOGS_H_
