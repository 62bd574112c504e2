#include "wire/headers.h"

#include <algorithm>
#include <charconv>

namespace interlink::wire {
namespace {

// Decimal digits only: no sign, no space.
std::optional<uint64_t> ParseDecimal(std::string_view text) {
  uint64_t number = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  if (text.empty() || error != std::errc() || rest != end) return std::nullopt;
  return number;
}

int64_t RoundedUp(int64_t number, int64_t unit) { return number / unit + (number % unit > 0); }

bool IsLowerHex(std::string_view text) {
  return text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

bool AllZero(std::string_view text) {
  return text.find_first_not_of('0') == std::string_view::npos;
}

}  // namespace

Result<std::optional<std::chrono::milliseconds>> ParseTimeout(std::string_view value) {
  if (value.empty()) return std::optional<std::chrono::milliseconds>();
  const auto number = value.size() <= 12 ? ParseDecimal(value) : std::nullopt;
  if (!number) return InvalidArgument("Interlink-Timeout must be a decimal number of milliseconds");
  return std::optional(
      std::min(kMaxTimeout, std::chrono::milliseconds(static_cast<int64_t>(*number))));
}

std::string FormatTimeout(std::chrono::nanoseconds remaining) {
  const int64_t ms = RoundedUp(remaining.count(), 1'000'000);
  return std::to_string(std::clamp<int64_t>(ms, 1, kMaxTimeout.count()));
}

Result<std::optional<uint64_t>> ParseLink(std::string_view value) {
  if (value.empty()) return std::optional<uint64_t>();
  const auto number = ParseDecimal(value);
  if (!number || *number == 0)
    return InvalidArgument("Interlink-Link must be the decimal number of a link");
  return number;
}

std::chrono::seconds ParsePreferWait(std::string_view value) {
  while (!value.empty()) {
    const size_t comma = std::min(value.find(','), value.size());
    std::string_view preference = value.substr(0, comma);
    value.remove_prefix(std::min(comma + 1, value.size()));
    preference = preference.substr(0, preference.find(';'));
    while (preference.starts_with(' ')) preference.remove_prefix(1);
    while (preference.ends_with(' ')) preference.remove_suffix(1);
    if (!preference.starts_with("wait=")) continue;
    const auto number = ParseDecimal(preference.substr(5));
    if (!number) return std::chrono::seconds::zero();
    return std::chrono::seconds(static_cast<int64_t>(
        std::min<uint64_t>(*number, static_cast<uint64_t>(kMaxPreferWait.count()))));
  }
  return std::chrono::seconds::zero();
}

std::string FormatPreferWait(std::chrono::nanoseconds wait) {
  if (wait <= std::chrono::nanoseconds::zero()) return "";
  const int64_t seconds = RoundedUp(wait.count(), 1'000'000'000);
  return "wait=" + std::to_string(std::min<int64_t>(seconds, kMaxPreferWait.count()));
}

bool IsRequestId(std::string_view value) {
  static constexpr std::string_view kAllowed =
      "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ._-";
  return !value.empty() && value.size() <= 64 &&
         value.find_first_not_of(kAllowed) == std::string_view::npos;
}

bool IsTraceparent(std::string_view value) {
  if (value.size() != 55 || !value.starts_with("00-") || value[35] != '-' || value[52] != '-')
    return false;
  const std::string_view trace = value.substr(3, 32);
  const std::string_view span = value.substr(36, 16);
  return IsLowerHex(trace) && IsLowerHex(span) && IsLowerHex(value.substr(53)) && !AllZero(trace) &&
         !AllZero(span);
}

}  // namespace interlink::wire
