// Text from outside, made safe for protobuf strings. Thread-safe.
#ifndef INTERLINK_BASE_UTF8_H_
#define INTERLINK_BASE_UTF8_H_

#include <cstddef>
#include <string>
#include <string_view>

namespace interlink {

// `text` as valid UTF-8 of at most `max_bytes`: each byte that is a part of no character becomes
// U+FFFD, and the cut is at a character's boundary. (A protobuf string with invalid UTF-8 can be
// serialised and never be parsed again.)
std::string Utf8Prefix(std::string_view text, size_t max_bytes);

// `text` as one line of at most `max_bytes` of valid UTF-8: control characters become spaces, and
// those at its ends go.
std::string OneLine(std::string_view text, size_t max_bytes);

}  // namespace interlink

#endif  // INTERLINK_BASE_UTF8_H_
