#include "auth/verified_tokens.h"

#include <openssl/evp.h>

#include <utility>

namespace interlink::auth {

VerifiedTokens::Digest VerifiedTokens::DigestOf(std::string_view token) {
  // Looked up once: that costs as much as the hash.
  static const EVP_MD* const kSha256 = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  Digest digest{};
  unsigned size = 0;
  // Cannot fail: SHA-256 is built in and the memory is ours.
  EVP_Digest(token.data(), token.size(), digest.data(), &size, kSha256, nullptr);
  return digest;
}

std::optional<VerifiedTokens::Verified> VerifiedTokens::Find(const Digest& token) {
  const MutexLock lock(mutex_);
  if (const auto found = new_.find(token); found != new_.end()) return found->second;
  const auto found = old_.find(token);
  if (found == old_.end()) return {};
  Verified verified = std::move(found->second);
  old_.erase(found);
  KeepLocked(token, verified);
  return verified;
}

void VerifiedTokens::Keep(const Digest& token, Verified verified) {
  const MutexLock lock(mutex_);
  KeepLocked(token, std::move(verified));
}

void VerifiedTokens::KeepLocked(const Digest& token, Verified verified) {
  if (new_.size() >= half_ && !new_.contains(token)) old_ = std::exchange(new_, {});
  new_[token] = std::move(verified);
}

}  // namespace interlink::auth
