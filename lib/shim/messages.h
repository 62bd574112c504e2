// Payloads of the frames: each has Encode (bytes written; 0: does not fit) and Decode (false: not
// such a payload; nothing is assumed about bytes from a peer). Value types; views point into the
// payload.
#ifndef INTERLINK_SHIM_MESSAGES_H_
#define INTERLINK_SHIM_MESSAGES_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "shim/frames.h"

namespace interlink::shim {

// kResize.
struct WindowSize {
  uint16_t columns = 0;
  uint16_t rows = 0;
  static constexpr size_t kSize = 4;

  size_t Encode(char* to, size_t capacity) const {
    if (capacity < kSize) return 0;
    wire::Put(to, columns);
    wire::Put(to + 2, rows);
    return kSize;
  }
  bool Decode(std::string_view payload) {
    if (payload.size() != kSize) return false;
    columns = wire::Get<uint16_t>(payload.data());
    rows = wire::Get<uint16_t>(payload.data() + 2);
    return true;
  }
};

// kStatus.
struct ExitStatus {
  int32_t code = 0;         // exit status, or 128 + signal
  int32_t signal = 0;       // 0: it exited by itself
  std::string_view reason;  // for a person; mostly empty

  size_t Encode(char* to, size_t capacity) const {
    if (reason.size() > kMaxText || capacity < 8 + reason.size()) return 0;
    wire::Put(to, code);
    wire::Put(to + 4, signal);
    if (!reason.empty()) std::memcpy(to + 8, reason.data(), reason.size());
    return 8 + reason.size();
  }
  bool Decode(std::string_view payload) {
    if (payload.size() < 8 || payload.size() > 8 + kMaxText) return false;
    code = wire::Get<int32_t>(payload.data());
    signal = wire::Get<int32_t>(payload.data() + 4);
    payload.remove_prefix(8);
    reason = payload;
    return true;
  }
};

// kExec and kAttach.
struct SessionRequest {
  bool tty = false;  // exec: must be what process.json says; attach: ignored
  bool in = false;
  bool out = true;
  bool err = true;             // ignored with a terminal: its output is stdout
  bool kill_on_close = false;  // exec: a closed session is KILLed at once (exec-sync); otherwise it
                               // gets HUP, and after 10 s KILL
  std::string_view process;    // exec: absolute path of process.json

  size_t Encode(char* to, size_t capacity) const {
    if (process.size() > kMaxText || capacity < 4 + process.size()) return 0;
    const uint32_t flags = (tty ? 1U : 0U) | (in ? 2U : 0U) | (out ? 4U : 0U) | (err ? 8U : 0U) |
                           (kill_on_close ? 16U : 0U);
    wire::Put(to, flags);
    if (!process.empty()) std::memcpy(to + 4, process.data(), process.size());
    return 4 + process.size();
  }
  bool Decode(std::string_view payload) {
    if (payload.size() < 4 || payload.size() > 4 + kMaxText) return false;
    const auto flags = wire::Get<uint32_t>(payload.data());
    if (flags > 31U) return false;
    tty = (flags & 1U) != 0;
    in = (flags & 2U) != 0;
    out = (flags & 4U) != 0;
    err = (flags & 8U) != 0;
    kill_on_close = (flags & 16U) != 0;
    payload.remove_prefix(4);
    process = payload;
    return std::memchr(process.data(), 0, process.size()) == nullptr;
  }
};

// kSignal.
struct SignalRequest {
  int32_t signal = 0;
  bool all = false;  // every process of the container's cgroup, not only its first
  static constexpr size_t kSize = 8;

  size_t Encode(char* to, size_t capacity) const {
    if (capacity < kSize) return 0;
    wire::Put(to, signal);
    wire::Put<uint32_t>(to + 4, all ? 1 : 0);
    return kSize;
  }
  bool Decode(std::string_view payload) {
    if (payload.size() != kSize) return false;
    signal = wire::Get<int32_t>(payload.data());
    const auto flag = wire::Get<uint32_t>(payload.data() + 4);
    all = flag == 1;
    return flag <= 1 && signal >= 1 && signal <= 64;
  }
};

// kError: `error` is an errno value, the text is for a person (crun's own words where it failed).
//   ESRCH no such process any more    EAGAIN not yet: still being created    EINVAL bad request
//   EMFILE too many sessions          EIO crun failed                        EPROTO not the
//   protocol
struct ErrorAnswer {
  int32_t error = 0;
  std::string_view text;

  size_t Encode(char* to, size_t capacity) const {
    if (text.size() > kMaxText || capacity < 4 + text.size()) return 0;
    wire::Put(to, error);
    if (!text.empty()) std::memcpy(to + 4, text.data(), text.size());
    return 4 + text.size();
  }
  bool Decode(std::string_view payload) {
    if (payload.size() < 4 || payload.size() > 4 + kMaxText) return false;
    error = wire::Get<int32_t>(payload.data());
    payload.remove_prefix(4);
    text = payload;
    return true;
  }
};

// What the shim knows of its container:
//   kCreating -> kCreated -> kRunning -> kExited        kCreated -> kExited: killed before its
//   start
enum class Phase : uint32_t { kCreating = 1, kCreated = 2, kRunning = 3, kExited = 4 };

// kStateAnswer.
struct ContainerState {
  Phase phase = Phase::kCreating;
  int32_t pid = 0;          // of the container's first process; 0 before kCreated
  uint64_t started_ns = 0;  // Unix time; 0: not started
  uint64_t log_size = 0;
  uint32_t sessions = 0;  // exec and attach sessions that are open
  int32_t code = 0;       // of kExited
  static constexpr size_t kSize = 32;

  size_t Encode(char* to, size_t capacity) const {
    if (capacity < kSize) return 0;
    wire::Put(to, static_cast<uint32_t>(phase));
    wire::Put(to + 4, pid);
    wire::Put(to + 8, started_ns);
    wire::Put(to + 16, log_size);
    wire::Put(to + 24, sessions);
    wire::Put(to + 28, code);
    return kSize;
  }
  bool Decode(std::string_view payload) {
    if (payload.size() != kSize) return false;
    const auto number = wire::Get<uint32_t>(payload.data());
    if (number < 1 || number > 4) return false;
    phase = static_cast<Phase>(number);
    pid = wire::Get<int32_t>(payload.data() + 4);
    started_ns = wire::Get<uint64_t>(payload.data() + 8);
    log_size = wire::Get<uint64_t>(payload.data() + 16);
    sessions = wire::Get<uint32_t>(payload.data() + 24);
    code = wire::Get<int32_t>(payload.data() + 28);
    return true;
  }
};

// kArm and kLogGrew.
struct LogOffset {
  uint64_t bytes = 0;
  static constexpr size_t kSize = 8;

  size_t Encode(char* to, size_t capacity) const {
    if (capacity < kSize) return 0;
    wire::Put(to, bytes);
    return kSize;
  }
  bool Decode(std::string_view payload) {
    if (payload.size() != kSize) return false;
    bytes = wire::Get<uint64_t>(payload.data());
    return true;
  }
};

// Writes the frame of `message`; its length, or 0 when it does not fit into `capacity`.
template <typename Message>
inline size_t PutMessage(char* to, size_t capacity, FrameType type, const Message& message) {
  if (capacity < kFrameHeader) return 0;
  const size_t length = message.Encode(to + kFrameHeader, capacity - kFrameHeader);
  if (length == 0 || length > kMaxPayload) return 0;
  PutHeader(to, type, length);
  return kFrameHeader + length;
}

}  // namespace interlink::shim

#endif  // INTERLINK_SHIM_MESSAGES_H_
