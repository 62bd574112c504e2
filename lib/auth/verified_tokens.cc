#include "auth/verified_tokens.h"

#include <utility>

namespace interlink::auth {

std::optional<VerifiedTokens::Verified> VerifiedTokens::Find(const Sha256Digest& token) {
  const MutexLock lock(mutex_);
  if (const auto found = new_.find(token); found != new_.end()) return found->second;
  const auto found = old_.find(token);
  if (found == old_.end()) return {};
  Verified verified = std::move(found->second);
  old_.erase(found);
  KeepLocked(token, verified);
  return verified;
}

void VerifiedTokens::Keep(const Sha256Digest& token, Verified verified) {
  const MutexLock lock(mutex_);
  KeepLocked(token, std::move(verified));
}

void VerifiedTokens::KeepLocked(const Sha256Digest& token, Verified verified) {
  if (new_.size() >= half_ && !new_.contains(token)) old_ = std::exchange(new_, {});
  new_[token] = std::move(verified);
}

}  // namespace interlink::auth
