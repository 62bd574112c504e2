#include "net/websocket.h"

#include <openssl/rand.h>
#include <openssl/sha.h>

#include <algorithm>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstring>

#include "net/base64.h"

namespace interlink::net {
namespace {

constexpr uint8_t kContinuation = 0;
constexpr uint8_t kText = 1;
constexpr uint8_t kBinary = 2;
constexpr uint8_t kClose = 8;
constexpr uint8_t kPing = 9;
constexpr uint8_t kPong = 10;
constexpr size_t kReadAtOnce = size_t{256} * 1024;

bool HasToken(const HttpRequest& request, std::string_view name, std::string_view token) {
  const auto items = request.headers.List(name);
  return std::any_of(items.begin(), items.end(),
                     [token](const std::string& item) { return EqualNoCase(item, token); });
}

void Mask(char* bytes, size_t size, const std::array<char, 4>& mask) {
  std::array<char, 8> twice{};
  for (size_t i = 0; i < twice.size(); ++i) twice.at(i) = mask.at(i % 4);
  uint64_t wide = 0;
  std::memcpy(&wide, twice.data(), sizeof wide);
  size_t at = 0;
  for (; at + sizeof wide <= size; at += sizeof wide) {
    uint64_t word = 0;
    std::memcpy(&word, bytes + at, sizeof word);
    word ^= wide;
    std::memcpy(bytes + at, &word, sizeof word);
  }
  for (; at < size; ++at) bytes[at] = static_cast<char>(bytes[at] ^ mask.at(at % 4));
}

}  // namespace

WebSocket::WebSocket(std::shared_ptr<Connection> connection, std::string early, Role role)
    : connection_(std::move(connection)),
      buffered_(std::move(early)),
      role_(role),
      changed_(connection_->executor(), SteadyTime::max()) {}

std::string WebSocket::MintKey() {
  std::array<unsigned char, 16> bytes{};
  RAND_bytes(bytes.data(), static_cast<int>(bytes.size()));
  return EncodeBase64({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

std::string WebSocket::AcceptFor(const std::string& key) {
  const std::string text = key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";  // RFC 6455, 1.3
  std::array<unsigned char, SHA_DIGEST_LENGTH> digest{};
  SHA1(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
  return EncodeBase64({reinterpret_cast<const char*>(digest.data()), digest.size()});
}

bool WebSocket::IsUpgrade(const HttpRequest& request) {
  return HasToken(request, "Upgrade", "websocket");
}

std::vector<std::string> WebSocket::Protocols(const HttpRequest& request) {
  return request.headers.List("Sec-WebSocket-Protocol");
}

Result<std::string> WebSocket::Accept(const HttpRequest& request, std::string_view protocol) {
  if (request.method != "GET" || !IsUpgrade(request) ||
      !HasToken(request, "Connection", "upgrade")) {
    return InvalidArgument("this address speaks WebSocket: send an upgrade request");
  }
  if (request.headers.Get("Sec-WebSocket-Version").value_or("") != "13")
    return InvalidArgument("WebSocket version 13 is needed");
  const std::string key = request.headers.Get("Sec-WebSocket-Key").value_or("");
  if (key.size() != 24) return InvalidArgument("\"Sec-WebSocket-Key\" must be 16 bytes in base64");
  std::string answer =
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";
  answer += "Sec-WebSocket-Accept: " + AcceptFor(key) + "\r\n";
  if (!protocol.empty()) answer += "Sec-WebSocket-Protocol: " + std::string(protocol) + "\r\n";
  return answer + "\r\n";
}

Awaitable<Status> WebSocket::Need(size_t bytes, SteadyTime deadline) {
  if (buffered_.size() - taken_ >= bytes) co_return Status::Ok();
  buffered_.erase(0, std::exchange(taken_, 0));
  std::array<char, 16384> chunk;
  while (buffered_.size() < bytes) {
    const auto n = co_await connection_->Read(chunk, deadline);
    if (!n.ok()) co_return n.status();
    if (*n == 0) co_return Unavailable("the peer closed the connection without a close frame");
    buffered_.append(chunk.data(), *n);
  }
  co_return Status::Ok();
}

void WebSocket::Drop(size_t bytes) {
  taken_ += bytes;
  if (taken_ == buffered_.size()) {
    buffered_.clear();
    taken_ = 0;
  }
}

Awaitable<Result<WebSocket::FrameHead>> WebSocket::ReadHead(SteadyTime deadline) {
  CO_RETURN_IF_ERROR(co_await Need(2, deadline));
  const auto byte = [this](size_t at) { return static_cast<uint8_t>(buffered_[taken_ + at]); };
  FrameHead frame;
  frame.final = (byte(0) & 0x80U) != 0;
  frame.opcode = byte(0) & 0x0fU;
  const bool masked = (byte(1) & 0x80U) != 0;
  uint64_t size = byte(1) & 0x7fU;
  const size_t length_bytes = size == 126 ? 2 : size == 127 ? 8 : 0;
  if ((byte(0) & 0x70U) != 0) co_return InvalidArgument("a WebSocket frame has reserved bits");
  if (masked != (role_ == Role::kServer))
    co_return InvalidArgument("a WebSocket frame is masked the wrong way");
  const size_t mask_bytes = masked ? 4 : 0;
  const size_t bytes = 2 + length_bytes + mask_bytes;
  CO_RETURN_IF_ERROR(co_await Need(bytes, deadline));
  if (length_bytes > 0) {
    size = 0;
    for (size_t i = 0; i < length_bytes; ++i) size = size << 8U | byte(2 + i);
  }
  if (size > kMaxMessage || (frame.opcode >= kClose && (size > 125 || !frame.final))) {
    co_return InvalidArgument("a WebSocket frame is too large");
  }
  frame.size = static_cast<size_t>(size);
  if (masked) {
    frame.mask.emplace();
    std::memcpy(frame.mask->data(), buffered_.data() + taken_ + bytes - 4, 4);
  }
  Drop(bytes);
  co_return frame;
}

Awaitable<Status> WebSocket::ReadPayload(FrameHead head, std::string* into, SteadyTime deadline) {
  const size_t begin = into->size();
  const size_t end = begin + head.size;
  const size_t buffered = std::min(head.size, buffered_.size() - taken_);
  into->append(buffered_, taken_, buffered);
  Drop(buffered);
  // What is not here yet is read to its place. Room is made as it comes, not as it is announced.
  size_t at = begin + buffered;
  while (at < end) {
    const size_t room = std::min(end - at, kReadAtOnce);
    into->resize(at + room);
    const auto n = co_await connection_->Read(std::span<char>(into->data() + at, room), deadline);
    if (!n.ok()) co_return n.status();
    if (*n == 0) co_return Unavailable("the peer closed the connection inside a frame");
    at += *n;
  }
  into->resize(end);
  if (head.mask) Mask(into->data() + begin, head.size, *head.mask);
  co_return Status::Ok();
}

Awaitable<Status> WebSocket::AnswerPing(const FrameHead& head, const std::string& payload,
                                        SteadyTime deadline) {
  if (head.opcode != kPing || close_sent_) co_return Status::Ok();
  if (turn_ < turns_) {
    // RFC 6455, 5.5.3: of several pings only the last one needs an answer. Waiting here would stop
    // the reading for as long as the peer does not read.
    pong_ = payload;
    co_return Status::Ok();
  }
  const Parts parts{payload, {}};
  co_return co_await WriteFrame(kPong, parts, deadline);
}

Awaitable<Result<std::optional<std::string>>> WebSocket::Read(SteadyTime deadline) {
  reading_ = true;
  auto message = co_await ReadMessage(deadline);
  reading_ = false;
  co_return message;
}

Awaitable<Result<std::optional<std::string>>> WebSocket::ReadMessage(SteadyTime deadline) {
  std::string message;
  bool begun = false;
  while (true) {
    const auto head = co_await ReadHead(deadline);
    if (!head.ok()) co_return head.status();
    if (head->opcode >= kClose) {
      std::string payload;
      CO_RETURN_IF_ERROR(co_await ReadPayload(*head, &payload, deadline));
      CO_RETURN_IF_ERROR(co_await AnswerPing(*head, payload, deadline));
    }
    switch (head->opcode) {
      case kPing:
      case kPong:
        continue;
      case kClose:
        if (!close_sent_) {
          const Status sent = co_await Close(kNormalClosure, "", deadline);
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
    if (message.size() + head->size > kMaxMessage)
      co_return InvalidArgument("a WebSocket message is too large");
    CO_RETURN_IF_ERROR(co_await ReadPayload(*head, &message, deadline));
    if (head->final) co_return std::optional<std::string>(std::move(message));
  }
}

std::string WebSocket::FrameOf(uint8_t opcode, Parts payload) const {
  const size_t size = payload.first.size() + payload.second.size();
  std::string bytes;
  bytes.reserve(size + 14);
  bytes += static_cast<char>(0x80U | opcode);
  const uint8_t mask_bit = role_ == Role::kClient ? 0x80U : 0U;
  if (size < 126) {
    bytes += static_cast<char>(mask_bit | size);
  } else if (size < 65536) {
    bytes += static_cast<char>(mask_bit | 126U);
    bytes += static_cast<char>(size >> 8U);
    bytes += static_cast<char>(size & 0xffU);
  } else {
    bytes += static_cast<char>(mask_bit | 127U);
    for (int shift = 56; shift >= 0; shift -= 8)
      bytes +=
          static_cast<char>(static_cast<uint64_t>(size) >> static_cast<unsigned>(shift) & 0xffU);
  }
  std::array<char, 4> mask{};
  if (role_ == Role::kClient) {
    RAND_bytes(reinterpret_cast<unsigned char*>(mask.data()), static_cast<int>(mask.size()));
    bytes.append(mask.data(), mask.size());
  }
  const size_t begin = bytes.size();
  bytes.append(payload.first);
  bytes.append(payload.second);
  if (role_ == Role::kClient) Mask(bytes.data() + begin, size, mask);
  return bytes;
}

Awaitable<Status> WebSocket::WriteFrame(uint8_t opcode, Parts payload, SteadyTime deadline) {
  // In the order of their coming, so that nobody is kept waiting by a writer that never pauses.
  // Whoever writes has a deadline.
  for (const uint64_t mine = turns_++; turn_ != mine;) {
    boost::system::error_code ignored;
    co_await changed_.async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, ignored));
  }
  if (broken_.ok()) {
    const std::string bytes = FrameOf(opcode, payload);
    broken_ = co_await connection_->Write(bytes, deadline);
  }
  while (broken_.ok() && pong_ && !close_sent_) {
    const std::string pong = *std::exchange(pong_, std::nullopt);
    const std::string bytes = FrameOf(kPong, {pong, {}});
    broken_ = co_await connection_->Write(bytes, deadline);
  }
  ++turn_;
  changed_.cancel();
  co_return broken_;
}

Awaitable<Status> WebSocket::Write(std::string_view message, SteadyTime deadline) {
  if (close_sent_) co_return FailedPrecondition("the WebSocket is closing");
  const Parts parts{message, {}};
  co_return co_await WriteFrame(kBinary, parts, deadline);
}

Awaitable<Status> WebSocket::Write(Kind kind, std::string_view first, std::string_view second,
                                   SteadyTime deadline) {
  if (close_sent_) co_return FailedPrecondition("the WebSocket is closing");
  const uint8_t opcode = kind == Kind::kText ? kText : kBinary;
  const Parts parts{first, second};
  co_return co_await WriteFrame(opcode, parts, deadline);
}

Awaitable<Status> WebSocket::Ping(SteadyTime deadline) {
  if (close_sent_ || turn_ < turns_) co_return broken_;
  const Parts nothing;
  co_return co_await WriteFrame(kPing, nothing, deadline);
}

Awaitable<Status> WebSocket::Close(uint16_t code, std::string_view reason, SteadyTime deadline) {
  if (close_sent_) co_return Status::Ok();
  close_sent_ = true;
  std::string payload;
  payload += static_cast<char>(code >> 8U);
  payload += static_cast<char>(code & 0xffU);
  payload.append(reason.substr(0, 100));
  const Parts parts{payload, {}};
  co_return co_await WriteFrame(kClose, parts, deadline);
}

}  // namespace interlink::net
