#include "net/body_budget.h"

namespace interlink::net {

bool BodyBudget::Share::Hold(size_t bytes) {
  const size_t counted = bytes <= kUncounted ? 0 : bytes;
  if (counted == held_) return true;
  MutexLock lock(budget_.mutex_);
  const auto mine = budget_.held_of_.try_emplace(peer_, 0).first;
  const size_t all = budget_.held_ - held_ + counted;
  const size_t of_peer = mine->second - held_ + counted;
  const bool fits = counted < held_ || (all <= budget_.all_ && of_peer <= budget_.per_peer_);
  if (fits) {
    budget_.held_ = all;
    mine->second = of_peer;
    held_ = counted;
  }
  if (mine->second == 0) budget_.held_of_.erase(mine);
  return fits;
}

}  // namespace interlink::net
