#include "outbox.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <cerrno>
#include <cstring>

namespace interlink::shim {

Outbox::Sent Outbox::Put(int fd, FrameType type, std::string_view payload) {
  char header[kFrameHeader];
  PutHeader(header, type, payload.size());
  size_t sent = 0;
  if (waiting() == 0) {
    // sendmsg(2) does not write to what it sends.
    iovec parts[2] = {{header, sizeof header}, {const_cast<char*>(payload.data()), payload.size()}};
    msghdr message{};
    message.msg_iov = parts;
    message.msg_iovlen = 2;
    const ssize_t count = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) {
      return Sent::kBroken;
    }
    sent = count < 0 ? 0 : static_cast<size_t>(count);
    if (sent == kFrameHeader + payload.size()) return Sent::kAll;
  } else if (waiting() + kFrameHeader + payload.size() > limit_) {
    return Sent::kFull;
  }
  // A frame that was begun must be finished: there is room for one beyond the limit.
  if (!pages_.Reserve(limit_ + kMaxFrame)) return Sent::kBroken;
  if (begin_ > 0) {
    std::memmove(pages_.data(), pages_.data() + begin_, waiting());
    end_ -= begin_;
    begin_ = 0;
  }
  if (sent < kFrameHeader) {
    std::memcpy(pages_.data() + end_, header + sent, kFrameHeader - sent);
    end_ += kFrameHeader - sent;
    sent = kFrameHeader;
  }
  payload.remove_prefix(sent - kFrameHeader);
  if (!payload.empty()) std::memcpy(pages_.data() + end_, payload.data(), payload.size());
  end_ += payload.size();
  return Sent::kWaits;
}

Outbox::Sent Outbox::Flush(int fd) {
  while (waiting() > 0) {
    const ssize_t count = send(fd, pages_.data() + begin_, waiting(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count < 0) {
      if (errno == EINTR) continue;
      return errno == EAGAIN || errno == EWOULDBLOCK ? Sent::kWaits : Sent::kBroken;
    }
    begin_ += static_cast<size_t>(count);
  }
  begin_ = 0;
  end_ = 0;
  return Sent::kAll;
}

void Outbox::Discard() {
  begin_ = 0;
  end_ = 0;
  pages_.Release();
}

}  // namespace interlink::shim
