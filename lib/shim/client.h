// The client's side of a control socket, blocking, with deadlines. Functions answer 0 or an errno
// value (ETIMEDOUT after the deadline, EPROTO for what is not the protocol, ECONNRESET for an early
// end). Thread-safe: no shared state.
#ifndef INTERLINK_SHIM_CLIENT_H_
#define INTERLINK_SHIM_CLIENT_H_

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "shim/frames.h"
#include "shim/layout.h"
#include "shim/messages.h"
#include "shim/text.h"

namespace interlink::shim {

inline int64_t MonotonicMs() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<int64_t>(now.tv_sec) * 1000 + now.tv_nsec / 1000000;
}

// Waits until `fd` has one of `events`, or the deadline (of MonotonicMs) passes.
inline int WaitFor(int fd, short events, int64_t deadline_ms) {
  for (;;) {
    const int64_t left = deadline_ms - MonotonicMs();
    pollfd entry{fd, events, 0};
    const int ready = poll(&entry, 1, left < 0 ? 0 : static_cast<int>(left > 60000 ? 60000 : left));
    if (ready > 0) return 0;
    if (ready < 0 && errno != EINTR) return errno;
    if (ready == 0 && left <= 60000) return ETIMEDOUT;
  }
}

// Connects to the control socket of a container's directory, however long its path is. ENOENT and
// ECONNREFUSED: no shim lives there; EAGAIN:
// thousands of others wait. The caller owns `socket` (non-blocking, close-on-exec).
inline int ConnectControl(const char* directory, int& socket) {
  const int dir = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (dir < 0) return errno;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  TextBuffer path(address.sun_path, sizeof address.sun_path - 1);
  path.Add("/proc/self/fd/").AddNumber(dir).Add("/").Add(kControlSocket);
  int error = 0;
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0 || connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    error = errno;
    if (fd >= 0) close(fd);
  } else {
    socket = fd;
  }
  close(dir);
  return error;
}

inline int SendAll(int fd, const char* bytes, size_t size, int64_t deadline_ms) {
  while (size > 0) {
    const ssize_t sent = send(fd, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0) {
      bytes += sent;
      size -= static_cast<size_t>(sent);
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      const int error = WaitFor(fd, POLLOUT, deadline_ms);
      if (error != 0) return error;
    } else if (errno != EINTR) {
      return errno;
    }
  }
  return 0;
}

inline int ReceiveAll(int fd, char* bytes, size_t size, int64_t deadline_ms) {
  while (size > 0) {
    const ssize_t count = recv(fd, bytes, size, MSG_DONTWAIT);
    if (count == 0) return ECONNRESET;
    if (count > 0) {
      bytes += count;
      size -= static_cast<size_t>(count);
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      const int error = WaitFor(fd, POLLIN, deadline_ms);
      if (error != 0) return error;
    } else if (errno != EINTR) {
      return errno;
    }
  }
  return 0;
}

// Receives one frame and not a byte more, so that the socket can be handed on. `frame.payload`
// points into `buffer`. EPROTO also when the payload does not fit.
inline int ReceiveFrame(int fd, char* buffer, size_t capacity, Frame& frame, int64_t deadline_ms) {
  char header[kFrameHeader];
  int error = ReceiveAll(fd, header, sizeof header, deadline_ms);
  if (error != 0) return error;
  const auto type = static_cast<uint8_t>(header[0]);
  const auto length = wire::Get<uint32_t>(header + 4);
  if (!IsFrameType(type) || header[1] != 0 || header[2] != 0 || header[3] != 0 ||
      length > kMaxPayload || length > capacity) {
    return EPROTO;
  }
  error = ReceiveAll(fd, buffer, length, deadline_ms);
  frame.type = static_cast<FrameType>(type);
  frame.payload = {buffer, length};
  return error;
}

inline int SendFrame(int fd, FrameType type, std::string_view payload, int64_t deadline_ms) {
  char header[kFrameHeader];
  if (payload.size() > kMaxPayload) return EMSGSIZE;
  PutHeader(header, type, payload.size());
  const int error = SendAll(fd, header, sizeof header, deadline_ms);
  return error != 0 ? error : SendAll(fd, payload.data(), payload.size(), deadline_ms);
}

// Encodes and sends a small message.
template <typename Message>
inline int SendMessage(int fd, FrameType type, const Message& message, int64_t deadline_ms) {
  char bytes[kFrameHeader + kMaxText + 16];
  const size_t size = PutMessage(bytes, sizeof bytes, type, message);
  return size == 0 ? EMSGSIZE : SendAll(fd, bytes, size, deadline_ms);
}

// Receives the answer of a request: 0 for `ok`, the shim's errno value for `error` with its words
// in `text` (valid as long as `buffer`), EPROTO for another frame. REQUIRES: capacity >= 4 +
// kMaxText.
inline int ReceiveAnswer(int fd, char* buffer, size_t capacity, std::string_view& text,
                         int64_t deadline_ms) {
  Frame frame{};
  text = {};
  const int error = ReceiveFrame(fd, buffer, capacity, frame, deadline_ms);
  if (error != 0) return error;
  if (frame.type == FrameType::kOk) return 0;
  ErrorAnswer answer;
  if (frame.type != FrameType::kError || !answer.Decode(frame.text())) return EPROTO;
  text = answer.text;
  return answer.error != 0 ? answer.error : EPROTO;
}

}  // namespace interlink::shim

#endif  // INTERLINK_SHIM_CLIENT_H_
