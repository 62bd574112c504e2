// Header fields of REST v1 and their values. Names compare without case; values are parsed
// strictly, since they come from outside. Pure.
#ifndef INTERLINK_WIRE_HEADERS_H_
#define INTERLINK_WIRE_HEADERS_H_

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"

namespace interlink::wire {

inline constexpr std::string_view kHeaderTimeout =
    "Interlink-Timeout";                                           // ms that the caller still waits
inline constexpr std::string_view kHeaderLink = "Interlink-Link";  // number of the caller's link
inline constexpr std::string_view kHeaderRequestId = "X-Request-Id";
inline constexpr std::string_view kHeaderTraceparent = "traceparent";  // W3C trace context
inline constexpr std::string_view kHeaderPrefer = "Prefer";            // wait=N, RFC 7240

inline constexpr std::chrono::milliseconds kMaxTimeout = std::chrono::hours(24);
inline constexpr std::chrono::seconds kMaxPreferWait{2};

// Absent ("") is nothing. kInvalidArgument for anything but 1 to 12 digits; 0 is an expired call.
// At most kMaxTimeout.
Result<std::optional<std::chrono::milliseconds>> ParseTimeout(std::string_view value);
// Rounded up, at least "1", at most kMaxTimeout.
std::string FormatTimeout(std::chrono::nanoseconds remaining);

// Absent ("") is nothing. kInvalidArgument for 0 and for anything but a decimal uint64.
Result<std::optional<uint64_t>> ParseLink(std::string_view value);

// The wait of a Prefer header, at most kMaxPreferWait; zero when it has none or it is malformed
// (RFC 7240: unknown preferences are ignored).
std::chrono::seconds ParsePreferWait(std::string_view value);
// "wait=2": rounded up to seconds, at most kMaxPreferWait. "" for zero.
std::string FormatPreferWait(std::chrono::nanoseconds wait);

// 1 to 64 characters of [0-9A-Za-z._-]: safe in logs and headers. Others are replaced by a new id.
bool IsRequestId(std::string_view value);
// W3C level 1: "00-<32 hex>-<16 hex>-<2 hex>", ids not all zero.
bool IsTraceparent(std::string_view value);

}  // namespace interlink::wire

#endif  // INTERLINK_WIRE_HEADERS_H_
