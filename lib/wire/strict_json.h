// Refuses what is not strict JSON, before protobuf's tolerant parser sees it. Pure.
#ifndef INTERLINK_WIRE_STRICT_JSON_H_
#define INTERLINK_WIRE_STRICT_JSON_H_

#include <string_view>

#include "base/status.h"

namespace google::protobuf {
class Descriptor;
}

namespace interlink::wire {

// Deeper texts are refused; REST v1 needs 12.
inline constexpr int kMaxJsonDepth = 64;

// OK when `text` is one RFC 8259 value: UTF-8 without a byte order mark, no comments, no NaN, no
// trailing comma or data, no lone surrogate, no key twice in an object.
//
// With `type` it is also an object of that message in proto3 JSON: each key is a field (its JSON or
// its proto name; both together are a duplicate), each value has the JSON type that the field
// takes, enum names and numbers are known. Ranges of numbers and base64 are left to protobuf's
// parser. null means "not set"; list items and map values cannot be null. kInvalidArgument names
// the path, or line and column where the syntax is wrong.
Status CheckStrictJson(std::string_view text, const google::protobuf::Descriptor* type = nullptr);

}  // namespace interlink::wire

#endif  // INTERLINK_WIRE_STRICT_JSON_H_
