#include "net/body_budget.h"

namespace interlink::net {

bool BodyBudget::Share::Hold(size_t bytes) {
  const size_t counted = bytes <= kUncounted ? 0 : bytes;
  if (counted == held_) return true;
  MutexLock lock(budget_.mutex_);
  const auto mine = budget_.held_of_.try_emplace(peer_, 0).first;
  const auto after = [this, counted](size_t before) { return before - held_ + counted; };
  const size_t unverified = verified_ ? 0 : after(budget_.held_unverified_);
  const bool fits = counted < held_ ||
                    (after(budget_.held_) <= budget_.all_ &&
                     after(mine->second) <= budget_.per_peer_ && unverified <= budget_.all_ / 2);
  if (fits) {
    budget_.held_ = after(budget_.held_);
    mine->second = after(mine->second);
    if (!verified_) budget_.held_unverified_ = unverified;
    held_ = counted;
  }
  if (mine->second == 0) budget_.held_of_.erase(mine);
  return fits;
}

}  // namespace interlink::net
