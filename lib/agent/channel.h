// Channel: the agent's connection to the hub. Streams are blocking, with deadlines; an agent has
// few of them. Thread-safe.
#ifndef INTERLINK_AGENT_CHANNEL_H_
#define INTERLINK_AGENT_CHANNEL_H_

#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/id.h"
#include "base/status.h"

namespace interlink::agent {

// One call. One thread reads, one writes; Cancel is anybody's.
class Stream {
 public:
  // Cancels, and returns when gRPC has let go.
  virtual ~Stream() = default;
  // OK: gRPC has room for the next one. Any error: the call is over, Read says why.
  virtual Status Write(std::string message, SteadyTime deadline) = 0;
  // The next message; nothing: the hub has ended the call with OK. kDeadlineExceeded: none has come
  // yet, the call goes on; any other error ended it.
  virtual Result<std::optional<std::string>> Read(SteadyTime deadline) = 0;
  virtual void Cancel() = 0;
};

class Channel {
 public:
  virtual ~Channel() = default;
  virtual std::unique_ptr<Stream> OpenControl() = 0;
  virtual std::unique_ptr<Stream> OpenStream(const std::string& stream_id) = 0;
};

struct ChannelOptions {
  std::string address;  // "host:port" of the hub, or "unix:/path" of a relay to it
  // That its certificate must have; empty: the host of `address`. REQUIRES: not empty for a relay.
  std::string server_name;
  std::string ca;     // PEM
  std::string token;  // 64 hex digits
  SandboxId sandbox;
};

// Connects by itself, when a stream is opened and again later.
std::unique_ptr<Channel> MakeChannel(const ChannelOptions& options);

}  // namespace interlink::agent

#endif  // INTERLINK_AGENT_CHANNEL_H_
