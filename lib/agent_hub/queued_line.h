// QueuedLine: a control stream with the queue of what is to be sent. Thread-safe.
#ifndef INTERLINK_AGENT_HUB_QUEUED_LINE_H_
#define INTERLINK_AGENT_HUB_QUEUED_LINE_H_

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "agent_hub/agent_slot.h"
#include "agent_hub/stream.h"
#include "base/id.h"
#include "base/mutex.h"
#include "base/timer.h"

namespace interlink::agent_hub {

class QueuedLine final : public ControlLine, public std::enable_shared_from_this<QueuedLine> {
 public:
  // An agent that leaves `max_waiting` messages unread is cut off. `timer` outlives its use.
  QueuedLine(SandboxId id, StreamPtr stream, Timer& timer, size_t max_waiting);

  void Send(const agent::v1::HubMessage& message) override;
  // After what waits, for at most 2 s.
  void End(const Status& why) override;
  // As Stream::Read.
  void Read(std::function<void(std::optional<std::string>)> done);
  // Why it ended.
  Status why();

  const SandboxId sandbox;
  std::atomic<bool> said_hello = false;

 private:
  void WriteNext();

  const StreamPtr stream_;
  Timer& timer_;
  const size_t max_waiting_;
  Mutex mutex_;
  std::deque<std::string> waiting_ GUARDED_BY(mutex_);
  bool writing_ GUARDED_BY(mutex_) = false;
  std::optional<Status> end_ GUARDED_BY(mutex_);
};

}  // namespace interlink::agent_hub

#endif  // INTERLINK_AGENT_HUB_QUEUED_LINE_H_
