#include "base/clock.h"

#include <array>
#include <cstdio>
#include <ctime>

namespace interlink {

int64_t SystemClock::WallNanos() const {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

SteadyTime SystemClock::Steady() const { return std::chrono::steady_clock::now(); }

std::string FormatRfc3339(int64_t wall_nanos) {
  constexpr int64_t kBillion = 1'000'000'000;
  int64_t seconds = wall_nanos / kBillion;
  int64_t nanos = wall_nanos % kBillion;
  if (nanos < 0) {
    nanos += kBillion;
    --seconds;
  }
  const auto time = static_cast<time_t>(seconds);
  tm parts{};
  gmtime_r(&time, &parts);
  std::array<char, 64> text{};
  const size_t length = strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S", &parts);
  std::snprintf(text.data() + length, text.size() - length, ".%09lldZ",
                static_cast<long long>(nanos));
  return text.data();
}

}  // namespace interlink
