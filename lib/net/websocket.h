// WebSocket (RFC 6455) over a Connection: messages, answered pings, close handshake. Runs on the
// connection's strand; one Read may be in progress together with Writes, which take turns. No
// extensions.
#ifndef INTERLINK_NET_WEBSOCKET_H_
#define INTERLINK_NET_WEBSOCKET_H_

#include <array>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "net/connection.h"
#include "net/http.h"

namespace interlink::net {

class WebSocket {
 public:
  enum class Role { kClient, kServer };
  enum class Kind { kBinary, kText };
  static constexpr size_t kMaxMessage = 1U << 20U;
  // Codes of a close frame (RFC 6455, 7.4.1).
  static constexpr uint16_t kNormalClosure = 1000;
  static constexpr uint16_t kGoingAway = 1001;
  static constexpr uint16_t kProtocolError = 1002;
  static constexpr uint16_t kInternalError = 1011;

  // `early`: bytes that were read beyond the upgrade.
  WebSocket(std::shared_ptr<Connection> connection, std::string early, Role role);

  // The next message, binary or text; nothing: the peer has closed properly. kInvalidArgument: it
  // breaks the protocol. A ping that comes while a frame is being written is answered after it.
  Awaitable<Result<std::optional<std::string>>> Read(SteadyTime deadline);
  Awaitable<Status> Write(std::string_view message, SteadyTime deadline);
  // One message of both parts.
  Awaitable<Status> Write(Kind kind, std::string_view first, std::string_view second,
                          SteadyTime deadline);
  // Asks for a pong, unless a frame is on its way already. A peer that has closed its socket
  // answers with a reset, even while bytes of it are unread here (its end is behind them).
  Awaitable<Status> Ping(SteadyTime deadline);
  // A Read is in progress.
  bool reading() const { return reading_; }
  // Sends a close frame; Read ends afterwards when the peer answers.
  Awaitable<Status> Close(uint16_t code, std::string_view reason, SteadyTime deadline);
  void Cancel() { connection_->Cancel(); }
  Connection& connection() { return *connection_; }

  static std::string MintKey();
  static std::string AcceptFor(const std::string& key);
  // True: the request asks for an upgrade to WebSocket, well or badly.
  static bool IsUpgrade(const HttpRequest& request);
  // The subprotocols that the request offers, in its order.
  static std::vector<std::string> Protocols(const HttpRequest& request);
  // The 101 answer to an upgrade request, or why it is refused (kInvalidArgument). `protocol`: the
  // chosen one of Protocols(); "": none.
  static Result<std::string> Accept(const HttpRequest& request, std::string_view protocol = "");

 private:
  struct FrameHead {
    uint8_t opcode = 0;
    bool final = false;
    size_t size = 0;
    std::optional<std::array<char, 4>> mask;
  };
  struct Parts {
    std::string_view first;
    std::string_view second;
  };
  Awaitable<Result<std::optional<std::string>>> ReadMessage(SteadyTime deadline);
  Awaitable<Result<FrameHead>> ReadHead(SteadyTime deadline);
  // Appends the frame's payload.
  Awaitable<Status> ReadPayload(FrameHead head, std::string* into, SteadyTime deadline);
  Awaitable<Status> Need(size_t bytes, SteadyTime deadline);
  void Drop(size_t bytes);
  Awaitable<Status> AnswerPing(const FrameHead& head, const std::string& payload,
                               SteadyTime deadline);
  std::string FrameOf(uint8_t opcode, Parts payload) const;
  Awaitable<Status> WriteFrame(uint8_t opcode, Parts payload, SteadyTime deadline);

  std::shared_ptr<Connection> connection_;  // owners: this and operations in progress
  std::string buffered_;
  size_t taken_ = 0;  // of buffered_
  const Role role_;
  bool close_sent_ = false;
  bool reading_ = false;
  Status broken_;                      // not OK: a frame was cut, no other can follow
  std::optional<std::string> pong_;    // due after the frame that is being written
  uint64_t turns_ = 0;                 // given to writers
  uint64_t turn_ = 0;                  // whose it is; turns_: nobody's
  boost::asio::steady_timer changed_;  // cancelled whenever turn_ has changed
};

}  // namespace interlink::net

#endif  // INTERLINK_NET_WEBSOCKET_H_
