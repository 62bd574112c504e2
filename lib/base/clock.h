// Time comes from here. Wall time is for people and records; running time is for durations:
// deadlines, leases, retention. Thread-safe.
#ifndef INTERLINK_BASE_CLOCK_H_
#define INTERLINK_BASE_CLOCK_H_

#include <chrono>
#include <cstdint>
#include <string>

namespace interlink {

using SteadyTime = std::chrono::steady_clock::time_point;
using Duration = std::chrono::steady_clock::duration;

class Clock {
 public:
  virtual ~Clock() = default;
  // Nanoseconds since 1970-01-01 UTC. May jump.
  virtual int64_t WallNanos() const = 0;
  // Never goes back.
  virtual SteadyTime Steady() const = 0;
};

class SystemClock final : public Clock {
 public:
  int64_t WallNanos() const override;
  SteadyTime Steady() const override;
};

// "2026-01-02T03:04:05.000000006Z" (RFC 3339, always nine digits).
std::string FormatRfc3339(int64_t wall_nanos);

}  // namespace interlink

#endif  // INTERLINK_BASE_CLOCK_H_
