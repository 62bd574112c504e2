// Outbox: frames on their way to a client. What the socket does not take at once waits, up to a
// limit.
#ifndef INTERLINK_CMD_SHIM_OUTBOX_H_
#define INTERLINK_CMD_SHIM_OUTBOX_H_

#include <cstddef>
#include <string_view>

#include "loop.h"
#include "shim/frames.h"

namespace interlink::shim {

class Outbox {
 public:
  enum class Sent {
    kAll,
    kWaits,   // accepted; Flush when the socket is writable
    kFull,    // refused: the limit is reached; nothing of the frame was sent
    kBroken,  // the client is gone
  };

  // `limit`: bytes that may wait. Takes memory only when something waits.
  explicit Outbox(size_t limit) : limit_(limit) {}

  Sent Put(int fd, FrameType type, std::string_view payload);
  template <typename Message>
  Sent PutMessage(int fd, FrameType type, const Message& message);
  Sent Flush(int fd);
  size_t waiting() const { return end_ - begin_; }
  void Discard();

 private:
  size_t limit_;
  size_t begin_ = 0;
  size_t end_ = 0;
  Pages pages_;
};

template <typename Message>
Outbox::Sent Outbox::PutMessage(int fd, FrameType type, const Message& message) {
  char payload[kMaxText + 16];
  const size_t size = message.Encode(payload, sizeof payload);
  return Put(fd, type, {payload, size});
}

}  // namespace interlink::shim

#endif  // INTERLINK_CMD_SHIM_OUTBOX_H_
