// Internal: port-forward over the channels of a WebSocket, as kubectl of old and browsers speak it:
// the ports are known from the address, port i has the channels 2i (data) and 2i+1 (error). On the
// connection's strand.
//
// The protocol cannot say that a direction has ended: the pod's end ends its stream, the client's
// is the end of the connection.
#ifndef INTERLINK_STREAMING_WEBSOCKET_FORWARD_H_
#define INTERLINK_STREAMING_WEBSOCKET_FORWARD_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "net/reply_wait.h"
#include "net/websocket.h"
#include "streaming/channels.h"
#include "streaming/transport.h"

namespace interlink::streaming {

class WebSocketForward final : public ForwardTransport,
                               public std::enable_shared_from_this<WebSocketForward> {
 public:
  static constexpr size_t kMaxPorts = 100;  // 200 channels

  // REQUIRES: 1 to kMaxPorts ports, none of them 0. `pause`: how long the client may read nothing.
  WebSocketForward(std::shared_ptr<net::WebSocket> socket, const ChannelProtocol& protocol,
                   const std::vector<uint16_t>& ports, Duration pause);

  // First: tells the client the ports, then reads what it sends.
  net::Awaitable<Status> Begin();

  net::Awaitable<Result<std::optional<std::shared_ptr<ForwardStream>>>> Accept() override;
  void Cancel() override;

 private:
  class Stream;
  using Self = std::shared_ptr<WebSocketForward>;

  static net::Awaitable<void> ReadLoop(Self self);
  net::Awaitable<Status> Take(std::string message);
  net::Awaitable<Status> Send(size_t channel, std::string_view bytes);
  net::Awaitable<void> CloseAfterLast();
  void End(Status why);

  const std::shared_ptr<net::WebSocket> socket_;  // owners: this and operations in progress
  const ChannelProtocol protocol_;
  const std::vector<uint16_t> ports_;
  const Duration pause_;
  std::vector<std::shared_ptr<Stream>> streams_;  // owners: this and who has accepted them
  size_t accepted_ = 0;
  size_t finished_ = 0;
  bool closing_ = false;                         // all streams are finished: what comes is dropped
  Status ended_;                                 // not OK: nothing can be read any more
  const std::shared_ptr<net::Signal> over_;      // owners: this and its waiter
  const std::shared_ptr<net::Signal> has_room_;  // the same
};

}  // namespace interlink::streaming

#endif  // INTERLINK_STREAMING_WEBSOCKET_FORWARD_H_
