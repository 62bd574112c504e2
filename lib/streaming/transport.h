// Internal: what a client speaks on a connection that it upgraded, behind one face: SPDY streams or
// WebSocket channels. All methods run on the connection's strand.
#ifndef INTERLINK_STREAMING_TRANSPORT_H_
#define INTERLINK_STREAMING_TRANSPORT_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "net/awaitable.h"
#include "node/session.h"

namespace interlink::streaming {

// How a command ended, as the client is told in the words of its protocol version: v4 and v5 a
// metav1.Status as JSON, below only a text on failure.
struct CommandEnd {
  Status error;           // not OK: it did not run to its end ("InternalError")
  int32_t exit_code = 0;  // OK: "Success", or "NonZeroExitCode" with this number
};

// An exec or attach: a client's stdin and resize, our stdout, stderr and error.
//   transport = Read*  beside  Write* Finish
// One Read and one Write may be in progress together.
class CommandTransport {
 public:
  virtual ~CommandTransport() = default;
  // What the client sent; kEnd once when its stdin has ended (also when it has none). Not OK: the
  // client is gone, or broke the protocol. Not reading holds the client back.
  virtual net::Awaitable<Result<node::SessionInput>> Read() = 0;
  // Returns when there is room for more. A channel that the client did not ask for: dropped.
  virtual net::Awaitable<Status> Write(node::SessionOutput::Channel channel,
                                       std::string_view bytes) = 0;
  // Ends stdout and stderr, tells the end on the error stream, closes the connection: in this
  // order, all that was written before it.
  virtual net::Awaitable<Status> Finish(CommandEnd end) = 0;
  // From any thread: ends what is in progress with kCancelled.
  virtual void Cancel() = 0;
};

// One connection of a port-forward. One Read and one Write may be in progress together.
class ForwardStream {
 public:
  virtual ~ForwardStream() = default;
  virtual uint16_t port() const = 0;
  // Empty: the client has finished sending. Not OK: it is gone (this stream, or all).
  virtual net::Awaitable<Result<std::string>> Read() = 0;
  virtual net::Awaitable<Status> Write(std::string_view bytes) = 0;
  // No more bytes from the pod; the client may go on sending.
  virtual net::Awaitable<Status> CloseWrite() = 0;
  // Ends it: a text goes to its error stream when `why` is not OK. Other streams go on.
  virtual net::Awaitable<void> Finish(const Status& why) = 0;
  virtual void Cancel() = 0;
};

// A port-forward client: any number of connections at once.
class ForwardTransport {
 public:
  virtual ~ForwardTransport() = default;
  // The next connection that the client opens, its two streams complete; nothing: the client has
  // closed properly. Streams that never become a pair (30 s), or name a port that is none, are
  // refused here and not seen.
  virtual net::Awaitable<Result<std::optional<std::shared_ptr<ForwardStream>>>> Accept() = 0;
  virtual void Cancel() = 0;
};

}  // namespace interlink::streaming

#endif  // INTERLINK_STREAMING_TRANSPORT_H_
