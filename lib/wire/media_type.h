// Content-Type and Accept: which encoding a body has, and which one an answer gets. Pure.
#ifndef INTERLINK_WIRE_MEDIA_TYPE_H_
#define INTERLINK_WIRE_MEDIA_TYPE_H_

#include <string_view>

#include "base/status.h"
#include "wire/body.h"

namespace interlink::wire {

inline constexpr std::string_view kMediaProtobuf = "application/x-protobuf";
inline constexpr std::string_view kMediaJson = "application/json";
inline constexpr std::string_view kMediaNdjson =
    "application/x-ndjson";  // JSON streams: one message per line
inline constexpr std::string_view kMediaProblem = "application/problem+json";

// For the Content-Type header.
std::string_view MediaType(Encoding encoding);
// The same of a stream of messages (stream.h): kMediaNdjson or kMediaProtobuf.
std::string_view StreamMediaType(Encoding encoding);

// Of a request or answer. An absent header ("") is protobuf when there is no body. kInvalidArgument
// (HTTP 415) for all but the two types above (ndjson counts as JSON); a charset other than utf-8
// too.
Result<Encoding> EncodingOfBody(std::string_view content_type, bool has_body);

// RFC 9110 12.5.1: q values, ranges ("*/*", "application/*"), parameters. An absent header, or a
// tie, is `preferred`. kInvalidArgument (HTTP 406) when neither encoding is acceptable or the
// header is malformed.
Result<Encoding> EncodingOfAnswer(std::string_view accept, Encoding preferred);

// True for application/problem+json with any parameters.
bool IsProblem(std::string_view content_type);

}  // namespace interlink::wire

#endif  // INTERLINK_WIRE_MEDIA_TYPE_H_
