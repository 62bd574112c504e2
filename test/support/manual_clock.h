// A Clock that tests move. Thread-safe.
#ifndef INTERLINK_TEST_SUPPORT_MANUAL_CLOCK_H_
#define INTERLINK_TEST_SUPPORT_MANUAL_CLOCK_H_

#include <atomic>

#include "base/clock.h"

namespace interlink::test {

class ManualClock final : public Clock {
 public:
  int64_t WallNanos() const override { return wall_.load(); }
  SteadyTime Steady() const override {
    ++asked_;
    return SteadyTime(Duration(steady_.load()));
  }
  // How often Steady was called: what waits by it must not do so in a loop.
  int64_t Asked() const { return asked_.load(); }
  void Advance(Duration by) {
    const int64_t nanos = std::chrono::duration_cast<std::chrono::nanoseconds>(by).count();
    wall_ += nanos;
    steady_ += nanos;
  }
  void SetWall(int64_t nanos) { wall_ = nanos; }

 private:
  std::atomic<int64_t> wall_ = 1'700'000'000'000'000'000;
  mutable std::atomic<int64_t> asked_ = 0;
  std::atomic<int64_t> steady_ = 1'000'000'000'000;
};

}  // namespace interlink::test

#endif  // INTERLINK_TEST_SUPPORT_MANUAL_CLOCK_H_
