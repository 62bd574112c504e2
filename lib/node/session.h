// Session: one exec, attach or port-forward that is open at the site, as two streams of messages.
// lib/site_client makes it over a WebSocket, lib/streaming carries it to the client.
//
//   session = (client) kData*, kResize*, kEnd?          never replayed: a lost connection ends it
//             (site)   (kData | kEnd)*, kExit            exec and attach
//             (site)   kData*, kEnd                      port-forward, half-closed either way
//
// Memory is bounded: one message each way is in progress, each at most kMaxSessionMessage bytes,
// and at most 1 MiB waits to be read; what is beyond that is held back at the container.
#ifndef INTERLINK_NODE_SESSION_H_
#define INTERLINK_NODE_SESSION_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/id.h"
#include "base/status.h"
#include "node/reply.h"

namespace interlink::node {

inline constexpr size_t kMaxSessionMessage = size_t{64} * 1024;

// What a client may open at one of our addresses, once. Ids are full.
struct StreamRequest {
  enum class Kind { kExec, kAttach, kPortForward };
  Kind kind = Kind::kExec;
  SandboxId sandbox;
  ContainerId container;         // exec, attach
  std::vector<std::string> cmd;  // exec
  bool tty = false;              // the container's terminal for attach
  bool in = false;
  bool out = false;
  bool err = false;
  std::vector<uint16_t> ports;  // port-forward: those that the request named, perhaps none
};

// From the client. A port-forward knows kData and kEnd.
struct SessionInput {
  enum class Kind {
    kData,    // stdin
    kEnd,     // stdin has ended; output goes on
    kResize,  // the terminal's size; zero: ignored
  };
  Kind kind = Kind::kData;
  std::string bytes;
  uint16_t columns = 0;
  uint16_t rows = 0;
};

// From the site.
struct SessionOutput {
  enum class Kind {
    kData,  // of `channel`
    kEnd,   // `channel` has ended
    kExit,  // the last message of an exec or attach
  };
  enum class Channel { kStdout, kStderr };  // a port-forward: kStdout
  Kind kind = Kind::kData;
  Channel channel = Channel::kStdout;
  std::string bytes;
  int32_t exit_code = 0;  // kExit: 128 + signal when a signal ended it
  std::string reason;     // kExit: for a person, mostly empty
};

// Thread-safe, but one Read and one Write at a time. Replies come once, from any thread, also after
// Cancel; they must not block. (Only the end of the io threads drops them.)
class Session {
 public:
  // Cancels.
  virtual ~Session() = default;
  // The next message. kUnavailable: the connection was lost, the command may still run (never taken
  // for exit code 0). kCancelled. Nothing may be read after kExit, or after a port-forward's kEnd.
  virtual void Read(Reply<SessionOutput> reply) = 0;
  // `done` with OK: there is room for the next message. Not OK: the session is over; Read tells why
  // or how.
  virtual void Write(SessionInput input, std::function<void(Status)> done) = 0;
  // Ends it: an exec's stdin is closed, its tree gets HUP and after 10 s KILL; an attached
  // container goes on. Idempotent; from any thread.
  virtual void Cancel() = 0;
};

// Owners: whoever reads it, and the replies in progress.
using SessionPtr = std::shared_ptr<Session>;

}  // namespace interlink::node

#endif  // INTERLINK_NODE_SESSION_H_
