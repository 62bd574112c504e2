// Tokens: what stands behind the addresses that CRI answers, each for one use within a minute.
// Thread-safe.
#ifndef INTERLINK_STREAMING_TOKENS_H_
#define INTERLINK_STREAMING_TOKENS_H_

#include <cstddef>
#include <optional>
#include <string>
#include <unordered_map>

#include "base/clock.h"
#include "base/mutex.h"
#include "base/status.h"
#include "node/session.h"

namespace interlink::streaming {

class Tokens {
 public:
  static constexpr size_t kMaxUnused = 1000;
  static constexpr Duration kLife = std::chrono::minutes(1);

  explicit Tokens(const Clock& clock) : clock_(clock) {}

  // 192 random bits in base64url, 32 characters. kResourceExhausted: kMaxUnused are unused.
  Result<std::string> Mint(node::StreamRequest request);
  // What `token` stands for; it stays good. Nothing: it is unknown, used, expired or of another
  // kind.
  std::optional<node::StreamRequest> Look(node::StreamRequest::Kind kind, const std::string& token);
  // As Look, and it is used now: of several callers one gets it.
  std::optional<node::StreamRequest> Take(node::StreamRequest::Kind kind, const std::string& token);

 private:
  struct Entry {
    node::StreamRequest request;
    SteadyTime expires;
  };
  using Entries = std::unordered_map<std::string, Entry>;
  // end(): none that is good.
  Entries::iterator FindLocked(node::StreamRequest::Kind kind, const std::string& token)
      REQUIRES_LOCK(mutex_);

  const Clock& clock_;
  Mutex mutex_;
  Entries entries_ GUARDED_BY(mutex_);
};

}  // namespace interlink::streaming

#endif  // INTERLINK_STREAMING_TOKENS_H_
