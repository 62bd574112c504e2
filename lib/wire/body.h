// Messages <-> bytes. REST v1 speaks proto3 JSON and protobuf; the media type chooses. Pure.
//
// Both ways in are strict. JSON: RFC 8259 (protobuf's own parser accepts much more), duplicate keys
// and unknown fields refused by path. Protobuf: unknown fields are kept, except inside a CRI config
// (DecodeRequest). Both: enum values that the descriptor does not know are refused by path.
#ifndef INTERLINK_WIRE_BODY_H_
#define INTERLINK_WIRE_BODY_H_

#include <string>
#include <string_view>

#include "base/status.h"

namespace google::protobuf {
class Message;
}

namespace interlink::wire {

enum class Encoding { kProtobuf, kJson };

// The inverse of Encode: for answers, events and stream messages. kInvalidArgument with the path of
// what is wrong; `message` is then unspecified. An empty body is the empty message in protobuf and
// an error in JSON.
Status Decode(Encoding encoding, std::string_view bytes, google::protobuf::Message* message);

// Decode, and unknown fields inside a CRI config (fields.h) are refused by their path: nothing that
// a pod asks for is dropped silently. For what a caller asks the site to do.
Status DecodeRequest(Encoding encoding, std::string_view bytes, google::protobuf::Message* message);

// JSON is one line with all primitive fields, also those that are zero; 64-bit integers are strings
// (proto3 JSON). kInternal: the message cannot be written (a string that is not UTF-8).
Result<std::string> Encode(Encoding encoding, const google::protobuf::Message& message);

// Protobuf bytes in one fixed order of map keys, so that equal messages give equal bytes. For a
// request that came as JSON: its bytes are compared with those of a repeat.
std::string EncodeDeterministic(const google::protobuf::Message& message);

}  // namespace interlink::wire

#endif  // INTERLINK_WIRE_BODY_H_
