// RateLimiter: how often accounts may ask. Thread-safe; answers from memory.
//
// An account saves up what it does not use, at most kBurst of it. A request that costs more than
// that goes through while something is saved, and those after it wait for it: the rate holds on
// average, whatever the size.
#ifndef INTERLINK_AUTH_RATE_LIMITER_H_
#define INTERLINK_AUTH_RATE_LIMITER_H_

#include <cstdint>
#include <string>
#include <unordered_map>

#include "base/clock.h"
#include "base/mutex.h"

namespace interlink::auth {

class RateLimiter {
 public:
  static constexpr Duration kBurst = std::chrono::seconds(5);

  // `clock` outlives this.
  explicit RateLimiter(const Clock& clock) : clock_(clock) {}

  // Zero: `cost` is taken from what the account may have. Otherwise nothing is, and the same
  // request can go through after that long. REQUIRES: per_second > 0.
  Duration Take(const std::string& account, uint64_t per_second, uint64_t cost);
  // Accounts that are remembered: those that have asked within kBurst or owe something.
  size_t size() const;

 private:
  void Forget(SteadyTime now) REQUIRES_LOCK(mutex_);

  const Clock& clock_;
  mutable Mutex mutex_;
  // When all that was taken will have come in.
  std::unordered_map<std::string, SteadyTime> paid_at_ GUARDED_BY(mutex_);
  size_t forget_at_ GUARDED_BY(mutex_) = 1024;
};

}  // namespace interlink::auth

#endif  // INTERLINK_AUTH_RATE_LIMITER_H_
