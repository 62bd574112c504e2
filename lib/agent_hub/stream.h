// Stream: one gRPC call of an agent, as the hub sees it. Thread-safe. Callbacks come from gRPC's
// threads and must only enqueue; each comes exactly once, also when the call ends.
#ifndef INTERLINK_AGENT_HUB_STREAM_H_
#define INTERLINK_AGENT_HUB_STREAM_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/status.h"

namespace interlink::agent_hub {

class Stream {
 public:
  virtual ~Stream() = default;
  // The next message; nothing: the agent has finished or is gone. REQUIRES: no Read waits.
  virtual void Read(std::function<void(std::optional<std::string>)> done) = 0;
  // `done(true)`: gRPC has room for the next one. REQUIRES: no Write waits.
  virtual void Write(std::string message, std::function<void(bool)> done) = 0;
  // The call ends with `status`, after the write that is under way. Idempotent: the first one
  // counts.
  virtual void End(const Status& status) = 0;
  // The call ends now: nothing of what is under way reaches the agent. Idempotent.
  virtual void Cut() = 0;
};

using StreamPtr = std::shared_ptr<Stream>;  // owners: gRPC until the call ends, and who uses it

}  // namespace interlink::agent_hub

#endif  // INTERLINK_AGENT_HUB_STREAM_H_
