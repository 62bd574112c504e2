// A stream of messages in one HTTP body (/v1/events): one JSON text per line, or protobuf messages
// with a varint length in front of each.
#ifndef INTERLINK_WIRE_STREAM_H_
#define INTERLINK_WIRE_STREAM_H_

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "wire/body.h"

namespace interlink::wire {

// Appends one message with its frame.
Status AppendToStream(Encoding encoding, const google::protobuf::Message& message,
                      std::string* stream);

// Cuts a stream into messages, however the bytes arrive. Not thread-safe. Grammar: (Feed, Next*)*.
class StreamReader {
 public:
  // A message above `limit` bytes is an error.
  explicit StreamReader(Encoding encoding, size_t limit = 16U << 20U)
      : encoding_(encoding), limit_(limit) {}

  void Feed(std::string_view bytes);
  // Decodes the next complete message into `message`: true; false when more bytes are needed. After
  // an error the stream is of no use. Empty lines are skipped.
  Result<bool> Next(google::protobuf::Message* message);
  // Bytes that wait for their message to be complete: not 0 at the end of the stream means that it
  // was cut.
  size_t pending() const { return buffer_.size() - begin_; }

 private:
  // The next complete frame's bytes, nothing when there is none yet.
  Result<std::optional<std::string_view>> NextFrame();
  Result<std::optional<std::string_view>> NextLine();
  Result<std::optional<std::string_view>> NextDelimited();

  const Encoding encoding_;
  const size_t limit_;
  std::string buffer_;
  size_t begin_ = 0;    // of the first byte that is not consumed
  size_t scanned_ = 0;  // no line end before it
};

}  // namespace interlink::wire

#endif  // INTERLINK_WIRE_STREAM_H_
