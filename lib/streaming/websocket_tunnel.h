// Internal: the binary messages of a WebSocket as a byte stream. What is tunnelled sees a
// connection like any other.
#ifndef INTERLINK_STREAMING_WEBSOCKET_TUNNEL_H_
#define INTERLINK_STREAMING_WEBSOCKET_TUNNEL_H_

#include <memory>
#include <string>

#include "net/websocket.h"

namespace interlink::streaming {

class WebSocketTunnel final : public net::Connection {
 public:
  explicit WebSocketTunnel(std::shared_ptr<net::WebSocket> socket) : socket_(std::move(socket)) {}

  net::Awaitable<Result<size_t>> Read(std::span<char> buffer, SteadyTime deadline) override;
  // One message.
  net::Awaitable<Status> Write(std::string_view bytes, SteadyTime deadline) override;
  // A close frame: WebSocket has no half-close, what the client sends after it is dropped.
  net::Awaitable<void> ShutdownWrite() override;
  void Cancel() override { socket_->Cancel(); }
  bool PeerFinished() const override { return socket_->connection().PeerFinished(); }
  void AllowPauses() override { socket_->connection().AllowPauses(); }
  const net::Peer& peer() const override { return socket_->connection().peer(); }
  boost::asio::any_io_executor executor() const override {
    return socket_->connection().executor();
  }

 private:
  const std::shared_ptr<net::WebSocket> socket_;  // owners: this and operations in progress
  std::string message_;
  size_t taken_ = 0;  // of message_
};

}  // namespace interlink::streaming

#endif  // INTERLINK_STREAMING_WEBSOCKET_TUNNEL_H_
