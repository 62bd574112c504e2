#include "config/scalars.h"

#include <charconv>
#include <chrono>

namespace interlink::config {
namespace {

using std::chrono::milliseconds;

// The number at the beginning of `text`, which loses it.
std::optional<uint64_t> TakeNumber(std::string_view* text) {
  uint64_t number = 0;
  const char* end = text->data() + text->size();
  const auto [rest, error] = std::from_chars(text->data(), end, number);
  if (error != std::errc()) return std::nullopt;
  text->remove_prefix(static_cast<size_t>(rest - text->data()));
  return number;
}

struct Unit {
  std::string_view name;
  int64_t ms;
};
constexpr Unit kUnits[] = {{"h", 3'600'000}, {"m", 60'000}, {"s", 1'000}, {"ms", 1}};

constexpr uint64_t kMaxMs = 100ULL * 366 * 24 * 3'600'000;

}  // namespace

std::optional<Duration> ParseDuration(std::string_view text) {
  if (text == "0") return Duration::zero();
  if (text.empty()) return std::nullopt;
  uint64_t total = 0;
  size_t next_unit = 0;
  while (!text.empty()) {
    const auto number = TakeNumber(&text);
    if (!number || *number > kMaxMs) return std::nullopt;
    const std::string_view name = text.substr(0, text.find_first_of("0123456789"));
    while (next_unit < std::size(kUnits) && kUnits[next_unit].name != name) ++next_unit;
    if (next_unit == std::size(kUnits)) return std::nullopt;
    text.remove_prefix(name.size());
    const auto factor = static_cast<uint64_t>(kUnits[next_unit++].ms);
    if (*number > kMaxMs / factor) return std::nullopt;
    total += *number * factor;
  }
  if (total > kMaxMs) return std::nullopt;
  return milliseconds(static_cast<int64_t>(total));
}

std::string FormatDuration(Duration duration) {
  int64_t ms = std::chrono::duration_cast<milliseconds>(duration).count();
  if (ms == 0) return "0";
  std::string text;
  for (const Unit& unit : kUnits) {
    if (ms >= unit.ms) text += std::to_string(ms / unit.ms) + std::string(unit.name);
    ms %= unit.ms;
  }
  return text;
}

std::optional<uint64_t> ParseSize(std::string_view text) {
  if (text.empty() || text[0] < '0' || text[0] > '9') return std::nullopt;
  const auto number = TakeNumber(&text);
  if (!number) return std::nullopt;
  if (text.empty()) return number;
  if (text.ends_with("iB")) text.remove_suffix(1);
  static constexpr std::string_view kPrefixes = "KMGT";
  const size_t index =
      text.size() == 2 && text[1] == 'i' ? kPrefixes.find(text[0]) : std::string_view::npos;
  if (index == std::string_view::npos) return std::nullopt;
  const unsigned shift = static_cast<unsigned>(index + 1) * 10;
  if (*number > UINT64_MAX >> shift) return std::nullopt;
  return *number << shift;
}

std::string FormatSize(uint64_t bytes) {
  static constexpr std::string_view kPrefixes = "KMGT";
  size_t steps = 0;
  while (steps < kPrefixes.size() && bytes >= 1024 && bytes % 1024 == 0) {
    bytes /= 1024;
    ++steps;
  }
  return std::to_string(bytes) + (steps == 0 ? "" : std::string(1, kPrefixes[steps - 1]) + "iB");
}

}  // namespace interlink::config
