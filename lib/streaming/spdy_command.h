// Internal: an exec or attach over SPDY, protocols v4.channel.k8s.io down to channel.k8s.io.
#ifndef INTERLINK_STREAMING_SPDY_COMMAND_H_
#define INTERLINK_STREAMING_SPDY_COMMAND_H_

#include <memory>
#include <string>

#include "net/connection.h"
#include "streaming/spdy_connection.h"
#include "streaming/transport.h"

namespace interlink::streaming {

// Which streams the client will open: "error" always.
struct CommandStreams {
  int version = 4;  // of the protocol: 1 is channel.k8s.io
  bool tty = false;
  bool in = false;
  bool out = false;
  bool err = false;  // never with a tty, whatever this says
};

// Waits until exactly these streams are open, at most `options.complete`, so that nothing is
// started for a client that cannot see it. Runs on the connection's strand; cancelling the
// connection ends it. `early`: bytes that were read beyond the upgrade. A second stream of one
// type, an unknown type and one that was not asked for are reset.
//
// Not OK (kDeadlineExceeded names what is missing): the client was told, the connection is closed.
// The transport's Read answers kCancelled once Finish was called. Destroying it cancels it.
net::Awaitable<Result<std::shared_ptr<CommandTransport>>> AcceptSpdyCommand(
    std::shared_ptr<net::Connection> connection, std::string early, CommandStreams wanted,
    SpdyOptions options);

}  // namespace interlink::streaming

#endif  // INTERLINK_STREAMING_SPDY_COMMAND_H_
