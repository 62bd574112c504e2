// BodyBudget: how much of its requests' bodies a server holds at once. Thread-safe.
//
// A body is read before anybody knows whose it is: without a bound a few hundred connections would
// take all memory. Small bodies are not counted: what is urgent (a stop, a removal) always fits.
#ifndef INTERLINK_NET_BODY_BUDGET_H_
#define INTERLINK_NET_BODY_BUDGET_H_

#include <cstddef>
#include <map>
#include <string>

#include "base/mutex.h"

namespace interlink::net {

class BodyBudget {
 public:
  static constexpr size_t kUncounted = 64U << 10U;  // bytes of one body

  // Bytes of all peers, and of one. Peers without a verified certificate have half of `all`
  // together: they keep out none that has one.
  BodyBudget(size_t all, size_t per_peer) : all_(all), per_peer_(per_peer) {}
  BodyBudget(const BodyBudget&) = delete;
  BodyBudget& operator=(const BodyBudget&) = delete;

  // The body of one request; gives back what it holds when destroyed. One thread; the budget
  // outlives it.
  class Share {
   public:
    // `peer` outlives it.
    Share(BodyBudget& budget, const std::string& peer, bool verified)
        : budget_(budget), peer_(peer), verified_(verified) {}
    ~Share() { Hold(0); }
    Share(const Share&) = delete;
    Share& operator=(const Share&) = delete;
    // The body has `bytes` now. False: more than there is room for, and nothing has changed.
    bool Hold(size_t bytes);

   private:
    BodyBudget& budget_;
    const std::string& peer_;
    const bool verified_;
    size_t held_ = 0;
  };

 private:
  const size_t all_;
  const size_t per_peer_;
  Mutex mutex_;
  size_t held_ GUARDED_BY(mutex_) = 0;
  size_t held_unverified_ GUARDED_BY(mutex_) = 0;
  std::map<std::string, size_t> held_of_ GUARDED_BY(mutex_);
};

}  // namespace interlink::net

#endif  // INTERLINK_NET_BODY_BUDGET_H_
