// Internal: how much and how long, for the server and its sessions.
#ifndef INTERLINK_STREAMING_LIMITS_H_
#define INTERLINK_STREAMING_LIMITS_H_

#include <atomic>
#include <cstddef>
#include <utility>

#include "base/clock.h"

namespace interlink::streaming {

struct Limits {
  // Exec, attach and port-forward clients, and connections that are forwarded, at once.
  size_t sessions = 1024;
  Duration open = std::chrono::seconds(30);  // for the site to be ready
  // Without a byte either way a session ends; a client that does not read is waited for so long.
  Duration idle = std::chrono::hours(4);
  Duration tick = std::chrono::seconds(5);      // how often a standstill is looked into
  Duration farewell = std::chrono::seconds(2);  // for a client to take the end of its session
};

// Counts sessions against the limit. Thread-safe.
class Slots {
 public:
  explicit Slots(size_t limit) : limit_(limit) {}

  // One place, given back at its end; false: none was left.
  class Slot {
   public:
    Slot() = default;
    Slot(Slot&& other) noexcept : slots_(std::exchange(other.slots_, nullptr)) {}
    Slot& operator=(Slot&&) = delete;
    ~Slot() {
      if (slots_ != nullptr) --slots_->taken_;
    }
    explicit operator bool() const { return slots_ != nullptr; }

   private:
    friend class Slots;
    explicit Slot(Slots* slots) : slots_(slots) {}
    Slots* slots_ = nullptr;
  };

  Slot Take() {
    size_t taken = taken_.load();
    while (taken < limit_) {
      if (taken_.compare_exchange_weak(taken, taken + 1)) return Slot(this);
    }
    return {};
  }
  size_t limit() const { return limit_; }

 private:
  const size_t limit_;
  std::atomic<size_t> taken_ = 0;
};

}  // namespace interlink::streaming

#endif  // INTERLINK_STREAMING_LIMITS_H_
