#include "net/websocket.h"

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#include <array>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace interlink::net {
namespace {

constexpr uint8_t kContinuation = 0;
constexpr uint8_t kText = 1;
constexpr uint8_t kBinary = 2;
constexpr uint8_t kClose = 8;
constexpr uint8_t kPing = 9;
constexpr uint8_t kPong = 10;

std::string Base64(const unsigned char* bytes, size_t size) {
  std::string text(4 * ((size + 2) / 3) + 1, '\0');
  const int length =
      EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()), bytes, static_cast<int>(size));
  text.resize(static_cast<size_t>(length));
  return text;
}

bool HasToken(const std::optional<std::string>& list, std::string_view token) {
  if (!list) return false;
  std::string_view rest = *list;
  while (!rest.empty()) {
    const size_t comma = rest.find(',');
    std::string_view item = rest.substr(0, comma);
    while (!item.empty() && item.front() == ' ') item.remove_prefix(1);
    while (!item.empty() && item.back() == ' ') item.remove_suffix(1);
    if (EqualNoCase(item, token)) return true;
    rest = comma == std::string_view::npos ? std::string_view() : rest.substr(comma + 1);
  }
  return false;
}

}  // namespace

WebSocket::WebSocket(std::shared_ptr<Connection> connection, std::string early, Role role)
    : connection_(std::move(connection)),
      buffered_(std::move(early)),
      role_(role),
      turn_(connection_->executor(), SteadyTime::max()) {}

std::string WebSocket::MintKey() {
  std::array<unsigned char, 16> bytes{};
  RAND_bytes(bytes.data(), static_cast<int>(bytes.size()));
  return Base64(bytes.data(), bytes.size());
}

std::string WebSocket::AcceptFor(const std::string& key) {
  const std::string text = key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";  // RFC 6455, 1.3
  std::array<unsigned char, SHA_DIGEST_LENGTH> digest{};
  SHA1(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
  return Base64(digest.data(), digest.size());
}

Result<std::string> WebSocket::Accept(const HttpRequest& request) {
  if (request.method != "GET" || !HasToken(request.headers.Get("Upgrade"), "websocket") ||
      !HasToken(request.headers.Get("Connection"), "upgrade")) {
    return InvalidArgument("this address speaks WebSocket: send an upgrade request");
  }
  if (request.headers.Get("Sec-WebSocket-Version").value_or("") != "13")
    return InvalidArgument("WebSocket version 13 is needed");
  const std::string key = request.headers.Get("Sec-WebSocket-Key").value_or("");
  if (key.size() != 24) return InvalidArgument("\"Sec-WebSocket-Key\" must be 16 bytes in base64");
  return "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: "
         "Upgrade\r\nSec-WebSocket-Accept: " +
         AcceptFor(key) + "\r\n\r\n";
}

Awaitable<Status> WebSocket::Need(size_t bytes, SteadyTime deadline) {
  std::array<char, 16384> chunk;
  while (buffered_.size() < bytes) {
    const auto n = co_await connection_->Read(chunk, deadline);
    if (!n.ok()) co_return n.status();
    if (*n == 0) co_return Unavailable("the peer closed the connection without a close frame");
    buffered_.append(chunk.data(), *n);
  }
  co_return Status::Ok();
}

Awaitable<Result<WebSocket::FrameHead>> WebSocket::ReadFrame(SteadyTime deadline) {
  CO_RETURN_IF_ERROR(co_await Need(2, deadline));
  const auto byte = [this](size_t at) { return static_cast<uint8_t>(buffered_[at]); };
  FrameHead frame;
  frame.final = (byte(0) & 0x80U) != 0;
  frame.opcode = byte(0) & 0x0fU;
  const bool masked = (byte(1) & 0x80U) != 0;
  uint64_t size = byte(1) & 0x7fU;
  const size_t length_bytes = size == 126 ? 2 : size == 127 ? 8 : 0;
  const size_t head = 2 + length_bytes + (masked ? 4 : 0);
  if ((byte(0) & 0x70U) != 0) co_return InvalidArgument("a WebSocket frame has reserved bits");
  if (masked != (role_ == Role::kServer))
    co_return InvalidArgument("a WebSocket frame is masked the wrong way");
  CO_RETURN_IF_ERROR(co_await Need(head, deadline));
  if (length_bytes > 0) {
    size = 0;
    for (size_t i = 0; i < length_bytes; ++i) size = size << 8U | byte(2 + i);
  }
  if (size > kMaxMessage || (frame.opcode >= kClose && (size > 125 || !frame.final))) {
    co_return InvalidArgument("a WebSocket frame is too large");
  }
  CO_RETURN_IF_ERROR(co_await Need(head + size, deadline));
  frame.payload = buffered_.substr(head, size);
  if (masked) {
    for (size_t i = 0; i < frame.payload.size(); ++i) {
      frame.payload[i] =
          static_cast<char>(static_cast<uint8_t>(frame.payload[i]) ^ byte(head - 4 + i % 4));
    }
  }
  buffered_.erase(0, head + size);
  co_return frame;
}

Awaitable<Result<std::optional<std::string>>> WebSocket::Read(SteadyTime deadline) {
  std::string message;
  bool begun = false;
  while (true) {
    auto frame = co_await ReadFrame(deadline);
    if (!frame.ok()) co_return frame.status();
    switch (frame->opcode) {
      case kPing:
        CO_RETURN_IF_ERROR(co_await WriteFrame(kPong, frame->payload, deadline));
        continue;
      case kPong:
        continue;
      case kClose:
        if (!close_sent_) {
          const Status sent = co_await Close(1000, "", deadline);
          if (!sent.ok()) co_return std::optional<std::string>();
        }
        co_return std::optional<std::string>();
      case kContinuation:
        if (!begun) co_return InvalidArgument("a WebSocket continuation without a beginning");
        break;
      case kText:
      case kBinary:
        if (begun) co_return InvalidArgument("a WebSocket message inside another");
        begun = true;
        break;
      default:
        co_return InvalidArgument("unknown WebSocket opcode");
    }
    if (message.size() + frame->payload.size() > kMaxMessage)
      co_return InvalidArgument("a WebSocket message is too large");
    message += frame->payload;
    if (frame->final) co_return std::optional<std::string>(std::move(message));
  }
}

Awaitable<Status> WebSocket::WriteFrame(uint8_t opcode, std::string_view payload,
                                        SteadyTime deadline) {
  std::string bytes;
  bytes.reserve(payload.size() + 14);
  bytes += static_cast<char>(0x80U | opcode);
  const uint8_t mask_bit = role_ == Role::kClient ? 0x80U : 0U;
  if (payload.size() < 126) {
    bytes += static_cast<char>(mask_bit | payload.size());
  } else if (payload.size() < 65536) {
    bytes += static_cast<char>(mask_bit | 126U);
    bytes += static_cast<char>(payload.size() >> 8U);
    bytes += static_cast<char>(payload.size() & 0xffU);
  } else {
    bytes += static_cast<char>(mask_bit | 127U);
    for (int shift = 56; shift >= 0; shift -= 8)
      bytes += static_cast<char>(
          static_cast<uint64_t>(payload.size()) >> static_cast<unsigned>(shift) & 0xffU);
  }
  if (role_ == Role::kClient) {
    std::array<unsigned char, 4> mask{};
    RAND_bytes(mask.data(), static_cast<int>(mask.size()));
    bytes.append(reinterpret_cast<const char*>(mask.data()), mask.size());
    for (size_t i = 0; i < payload.size(); ++i) {
      bytes += static_cast<char>(static_cast<unsigned char>(payload[i]) ^ mask.at(i % 4));
    }
  } else {
    bytes.append(payload);
  }
  // A pong of Read and a message of Write must not mix. Whoever writes has a deadline.
  while (writing_) {
    boost::system::error_code ignored;
    co_await turn_.async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, ignored));
  }
  writing_ = true;
  const Status status = co_await connection_->Write(bytes, deadline);
  writing_ = false;
  turn_.cancel();
  co_return status;
}

Awaitable<Status> WebSocket::Write(std::string_view message, SteadyTime deadline) {
  if (close_sent_) co_return FailedPrecondition("the WebSocket is closing");
  co_return co_await WriteFrame(kBinary, message, deadline);
}

Awaitable<Status> WebSocket::Close(uint16_t code, std::string_view reason, SteadyTime deadline) {
  if (close_sent_) co_return Status::Ok();
  close_sent_ = true;
  std::string payload;
  payload += static_cast<char>(code >> 8U);
  payload += static_cast<char>(code & 0xffU);
  payload.append(reason.substr(0, 100));
  co_return co_await WriteFrame(kClose, payload, deadline);
}

}  // namespace interlink::net
