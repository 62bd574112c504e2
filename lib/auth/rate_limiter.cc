#include "auth/rate_limiter.h"

#include <algorithm>

namespace interlink::auth {
namespace {

// Longer than anybody waits, and far from what a Duration can hold.
constexpr double kLongest = 3600;

Duration TimeOf(uint64_t cost, uint64_t per_second) {
  const double seconds = static_cast<double>(cost) / static_cast<double>(per_second);
  return std::chrono::duration_cast<Duration>(
      std::chrono::duration<double>(std::min(seconds, kLongest)));
}

}  // namespace

Duration RateLimiter::Take(const std::string& account, uint64_t per_second, uint64_t cost) {
  const SteadyTime now = clock_.Steady();
  MutexLock lock(mutex_);
  if (paid_at_.size() >= forget_at_) Forget(now);
  SteadyTime& paid_at = paid_at_[account];
  if (paid_at - now > kBurst) return paid_at - now - kBurst;
  paid_at = std::max(paid_at, now) + TimeOf(cost, per_second);
  return Duration::zero();
}

size_t RateLimiter::size() const {
  MutexLock lock(mutex_);
  return paid_at_.size();
}

// An account that owes nothing is as one that was never seen.
void RateLimiter::Forget(SteadyTime now) {
  std::erase_if(paid_at_, [now](const auto& one) { return one.second <= now; });
  forget_at_ = std::max<size_t>(1024, 2 * paid_at_.size());
}

}  // namespace interlink::auth
