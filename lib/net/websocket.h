// WebSocket (RFC 6455) over a Connection: binary messages, answered pings, close handshake. Runs on
// the connection's strand; one Read may be in progress together with Writes, which take turns. No
// extensions.
#ifndef INTERLINK_NET_WEBSOCKET_H_
#define INTERLINK_NET_WEBSOCKET_H_

#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "net/connection.h"
#include "net/http.h"

namespace interlink::net {

class WebSocket {
 public:
  enum class Role { kClient, kServer };
  static constexpr size_t kMaxMessage = 1U << 20U;

  // `early`: bytes that were read beyond the upgrade.
  WebSocket(std::shared_ptr<Connection> connection, std::string early, Role role);

  // The next message; nothing: the peer has closed properly. kInvalidArgument: it breaks the
  // protocol.
  Awaitable<Result<std::optional<std::string>>> Read(SteadyTime deadline);
  Awaitable<Status> Write(std::string_view message, SteadyTime deadline);
  // Sends a close frame; Read ends afterwards when the peer answers.
  Awaitable<Status> Close(uint16_t code, std::string_view reason, SteadyTime deadline);
  void Cancel() { connection_->Cancel(); }
  Connection& connection() { return *connection_; }

  static std::string MintKey();
  static std::string AcceptFor(const std::string& key);
  // The 101 answer to an upgrade request, or why it is refused (kInvalidArgument).
  static Result<std::string> Accept(const HttpRequest& request);

 private:
  struct FrameHead {
    uint8_t opcode = 0;
    bool final = false;
    std::string payload;
  };
  Awaitable<Result<FrameHead>> ReadFrame(SteadyTime deadline);
  Awaitable<Status> Need(size_t bytes, SteadyTime deadline);
  Awaitable<Status> WriteFrame(uint8_t opcode, std::string_view payload, SteadyTime deadline);

  std::shared_ptr<Connection> connection_;  // owners: this and operations in progress
  std::string buffered_;
  const Role role_;
  bool close_sent_ = false;
  bool writing_ = false;
  boost::asio::steady_timer turn_;  // cancelled whenever a frame has been written
};

}  // namespace interlink::net

#endif  // INTERLINK_NET_WEBSOCKET_H_
