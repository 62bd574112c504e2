// VerifiedTokens: tokens whose signatures were found right, so that one that comes with each
// request is verified once for each set of keys, not each time. Holds digests and claims, never a
// token. Thread-safe.
#ifndef INTERLINK_AUTH_VERIFIED_TOKENS_H_
#define INTERLINK_AUTH_VERIFIED_TOKENS_H_

#include <cstddef>
#include <map>
#include <memory>
#include <optional>

#include "auth/jwk_set.h"
#include "auth/jwt.h"
#include "auth/sha256.h"
#include "base/mutex.h"

namespace interlink::auth {

class VerifiedTokens {
 public:
  struct Verified {
    size_t issuer = 0;                   // its place in the list of whoever asks
    std::shared_ptr<const JwkSet> keys;  // the set that has the key; owners: as IssuerKeys::Current
    JwtClaims claims;
  };

  // `most`: how many are kept; of more, those that were not asked for lately go.
  explicit VerifiedTokens(size_t most = 4096) : half_(most / 2) {}

  // Nothing: it is not known. What is found says of the signature alone: whoever asks looks whether
  // the keys are still those in force, and at the claims, whose times pass.
  std::optional<Verified> Find(const Sha256Digest& token);
  // REQUIRES: its signature is right by `verified.keys`.
  void Keep(const Sha256Digest& token, Verified verified);

 private:
  using Tokens = std::map<Sha256Digest, Verified>;
  void KeepLocked(const Sha256Digest& token, Verified verified) REQUIRES_LOCK(mutex_);

  const size_t half_;
  Mutex mutex_;
  // When the new ones are enough they become the old ones, and the old ones go.
  Tokens new_ GUARDED_BY(mutex_);
  Tokens old_ GUARDED_BY(mutex_);
};

}  // namespace interlink::auth

#endif  // INTERLINK_AUTH_VERIFIED_TOKENS_H_
