// Internal: exec and attach over the channels of a WebSocket. On the connection's strand.
#ifndef INTERLINK_STREAMING_WEBSOCKET_COMMAND_H_
#define INTERLINK_STREAMING_WEBSOCKET_COMMAND_H_

#include <memory>
#include <optional>
#include <string>

#include "net/reply_wait.h"
#include "net/websocket.h"
#include "node/session.h"
#include "streaming/channels.h"
#include "streaming/terminal_size.h"
#include "streaming/transport.h"

namespace interlink::streaming {

class WebSocketCommand final : public CommandTransport {
 public:
  // `request`: which streams there are. `pause`: how long the client may read nothing.
  WebSocketCommand(std::shared_ptr<net::WebSocket> socket, const ChannelProtocol& protocol,
                   const node::StreamRequest& request, Duration pause);

  // First: tells the client that we are there, if its protocol has it so.
  net::Awaitable<Status> Begin();

  net::Awaitable<Result<node::SessionInput>> Read() override;
  net::Awaitable<Status> Write(node::SessionOutput::Channel channel,
                               std::string_view bytes) override;
  // The client closes when it has read all: until then what it sends is dropped. Bounded by
  // `pause`.
  net::Awaitable<Status> Finish(CommandEnd end) override;
  void Cancel() override { socket_->Cancel(); }

 private:
  bool Asked(Channel channel) const;
  net::Awaitable<Status> Send(Channel channel, std::string_view bytes);
  net::Awaitable<Result<std::string>> ReadMessage();
  // What a message means; nothing: nothing for the session.
  Result<std::optional<node::SessionInput>> Understand(std::string message);
  Result<std::optional<node::SessionInput>> Close(const ChannelMessage& message);
  net::Awaitable<void> Refuse(Status why);

  const std::shared_ptr<net::WebSocket> socket_;  // owners: this and operations in progress
  const ChannelProtocol protocol_;
  const bool in_;
  const bool out_;
  const bool err_;
  const bool tty_;
  const Duration pause_;
  TerminalSizes sizes_;
  bool in_ended_ = false;  // told
  bool reading_ = false;
  bool finishing_ = false;
  bool gone_ = false;                                // the client has closed, or broke the protocol
  const std::shared_ptr<net::Signal> read_is_over_;  // owners: this and its waiter
};

}  // namespace interlink::streaming

#endif  // INTERLINK_STREAMING_WEBSOCKET_COMMAND_H_
