// Durations and sizes as people write them. Pure.
#ifndef INTERLINK_CONFIG_SCALARS_H_
#define INTERLINK_CONFIG_SCALARS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace interlink::config {

// "15m", "250ms", "1h30m", "0": whole numbers with h, m, s, ms, each unit once, largest first.
// Nothing for anything else, and above 100 years.
std::optional<Duration> ParseDuration(std::string_view text);
// The shortest such text. REQUIRES: not negative, whole milliseconds.
std::string FormatDuration(Duration duration);

// Bytes: "1073741824", "64KiB", "512Mi", "1GiB", "2TiB". Nothing for anything else (decimal units
// are ambiguous).
std::optional<uint64_t> ParseSize(std::string_view text);
std::string FormatSize(uint64_t bytes);

}  // namespace interlink::config

#endif  // INTERLINK_CONFIG_SCALARS_H_
