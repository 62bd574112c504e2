// The only way of a message into a log. Pure.
#ifndef INTERLINK_WIRE_REDACTED_H_
#define INTERLINK_WIRE_REDACTED_H_

#include <cstddef>
#include <string>

namespace google::protobuf {
class Message;
}

namespace interlink::wire {

// One line, "PullImageRequest{image{image:\"busybox\"} auth{password:<redacted>}}", without
// secrets: values of environment variables, credentials (every field of AuthConfig but the server's
// address), link secrets, `info` texts (they hold image and container configurations). Bytes are
// shown as their number. Cut after `limit` characters with
// "...": long strings after 256.
std::string Redacted(const google::protobuf::Message& message, size_t limit = 4096);

}  // namespace interlink::wire

#endif  // INTERLINK_WIRE_REDACTED_H_
