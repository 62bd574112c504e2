// Frames of a session (exec, attach) and of a shim's control socket, on a SOCK_STREAM socket.
//
//   frame   = type u8, zero u8[3], length u32, payload[length]      little-endian, length <= 65536
//   session = (client) stdin*, resize*, close(stdin)?, kill?
//             (server) stdout*, stderr*, status, end of stream
//
// The last frame of a session is `status`; a stream that ends without it is a lost connection,
// never exit code 0. Back-pressure is the socket's buffer. A client that closes the socket ends the
// session; it half-closes the process's stdin with `close`, not with shutdown().
// A request that opens a session or changes something is answered first, by `ok` or `error`
// (cmd/interlink-shim/README.md has the table).
//
// Needs no C++ runtime library: the shim is linked without one. Not thread-safe; value types.
#ifndef INTERLINK_SHIM_FRAMES_H_
#define INTERLINK_SHIM_FRAMES_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

namespace interlink::shim {

enum class FrameType : uint8_t {
  kStdin = 1,
  kStdout = 2,
  kStderr = 3,
  kResize = 4,  // WindowSize; as a first frame: a request for the container's terminal
  kStatus = 5,  // ExitStatus: the last frame of a session
  kClose = 6,   // one byte, a FrameType: that direction is closed (only kStdin, from the client)
  kKill = 7,    // in an exec session: KILL the whole process tree; `status` follows when it is gone
  // Requests: the first frame of a connection.
  kAttach = 16,  // SessionRequest without a path
  kExec = 17,    // SessionRequest with the path of an OCI process.json
  kStart = 18,   // empty
  kSignal = 19,  // SignalRequest
  kState = 20,   // empty
  kWatch = 21,   // empty; then any number of kArm
  kArm = 22,     // u64 offset: tell me once when the log is longer than that
  // Answers and notifications.
  kOk = 32,
  kError = 33,        // ErrorAnswer
  kStateAnswer = 34,  // ContainerState
  kLogGrew = 35,      // u64: bytes of log since the container's start
  kExited = 36,       // empty: the exit record is durable
};

inline constexpr size_t kFrameHeader = 8;
inline constexpr size_t kMaxPayload = size_t{64} * 1024;
inline constexpr size_t kMaxFrame = kFrameHeader + kMaxPayload;
inline constexpr size_t kMaxText = 4096;  // path, reason, error text

// False for a number that is no frame type.
constexpr bool IsFrameType(uint8_t type) {
  return (type >= 1 && type <= 7) || (type >= 16 && type <= 22) || (type >= 32 && type <= 36);
}

namespace wire {

template <typename T>
inline void Put(char* to, T value) {
  for (size_t i = 0; i < sizeof(T); ++i) {
    to[i] = static_cast<char>(static_cast<uint64_t>(value) >> (8 * i));
  }
}

template <typename T>
inline T Get(const char* from) {
  uint64_t value = 0;
  for (size_t i = 0; i < sizeof(T); ++i) {
    value |= static_cast<uint64_t>(static_cast<unsigned char>(from[i])) << (8 * i);
  }
  return static_cast<T>(value);
}

}  // namespace wire

struct Frame {
  FrameType type;
  std::span<const char> payload;

  std::string_view text() const { return {payload.data(), payload.size()}; }
};

// Writes the header of a frame whose payload follows. REQUIRES: length <= kMaxPayload; `to` has
// kFrameHeader bytes.
inline void PutHeader(char* to, FrameType type, size_t length) {
  wire::Put<uint32_t>(to, static_cast<uint8_t>(type));
  wire::Put<uint32_t>(to + 4, static_cast<uint32_t>(length));
}

// Writes a whole frame to `to`; its length, or 0 when `capacity` or kMaxPayload is too small for
// it.
inline size_t PutFrame(char* to, size_t capacity, FrameType type, std::string_view payload) {
  if (payload.size() > kMaxPayload || capacity < kFrameHeader + payload.size()) return 0;
  PutHeader(to, type, payload.size());
  if (!payload.empty()) std::memcpy(to + kFrameHeader, payload.data(), payload.size());
  return kFrameHeader + payload.size();
}

// FrameDecoder cuts a byte stream into frames, in a buffer that the caller owns.
//   loop { n = recv(Space()); Received(n); while (Next(frame) == kFrame) use frame; }
// A frame's payload points into the buffer: valid until the next call of Space().
class FrameDecoder {
 public:
  enum class Outcome { kFrame, kNeedMore, kMalformed };

  // REQUIRES: capacity >= kMaxFrame to accept every frame; a frame that does not fit is malformed.
  FrameDecoder(char* buffer, size_t capacity) : buffer_(buffer), capacity_(capacity) {}

  // Where the next bytes go. Never empty after Next answered kNeedMore.
  std::span<char> Space() {
    if (begin_ > 0) {
      std::memmove(buffer_, buffer_ + begin_, end_ - begin_);
      end_ -= begin_;
      begin_ = 0;
    }
    return {buffer_ + end_, capacity_ - end_};
  }
  // REQUIRES: bytes <= Space().size()
  void Received(size_t bytes) { end_ += bytes; }

  // Malformed is final: the stream has no boundary any more.
  Outcome Next(Frame& frame) {
    if (malformed_) return Outcome::kMalformed;
    if (end_ - begin_ < kFrameHeader) return Outcome::kNeedMore;
    const char* header = buffer_ + begin_;
    const auto type = static_cast<uint8_t>(header[0]);
    const auto length = wire::Get<uint32_t>(header + 4);
    if (!IsFrameType(type) || header[1] != 0 || header[2] != 0 || header[3] != 0 ||
        length > kMaxPayload || kFrameHeader + length > capacity_) {
      malformed_ = true;
      return Outcome::kMalformed;
    }
    if (end_ - begin_ < kFrameHeader + length) return Outcome::kNeedMore;
    frame.type = static_cast<FrameType>(type);
    frame.payload = {header + kFrameHeader, length};
    begin_ += kFrameHeader + length;
    return Outcome::kFrame;
  }

  // Received bytes that are not yet a whole frame.
  size_t pending() const { return end_ - begin_; }

 private:
  char* buffer_;
  size_t capacity_;
  size_t begin_ = 0;
  size_t end_ = 0;
  bool malformed_ = false;
};

}  // namespace interlink::shim

#endif  // INTERLINK_SHIM_FRAMES_H_
