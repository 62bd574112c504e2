// Call: who waits for an operation, how long, and whether they still do. It travels from the gRPC
// or REST edge down to the backend (DESIGN: gRPC deadline -> Call -> Interlink-Timeout -> Call ->
// Backend). Copies share the cancellation. Thread-safe.
#ifndef INTERLINK_BASE_CALL_H_
#define INTERLINK_BASE_CALL_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/id.h"
#include "base/status.h"

namespace interlink {

class Call {
 public:
  // REQUIRES: a deadline; nothing in the product waits without one.
  explicit Call(SteadyTime deadline, RequestId request_id = MintRequestId(),
                std::string traceparent = "");

  static Call WithTimeout(Duration timeout) {
    return Call(std::chrono::steady_clock::now() + timeout);
  }

  SteadyTime deadline() const { return deadline_; }
  // Never negative.
  Duration remaining() const;
  bool expired() const { return remaining() == Duration::zero(); }
  const RequestId& request_id() const { return request_id_; }
  // W3C trace context as it came in, or empty.
  const std::string& traceparent() const { return traceparent_; }

  // Nobody waits any more: ends reads and waits, never a step that has begun.
  bool cancelled() const;
  // Idempotent. Runs the callbacks of OnCancel on this thread.
  void Cancel() const;
  // `callback` runs once when the call is cancelled, at once if it already is, on the cancelling
  // thread. It must be short. Returns a registration; when that is destroyed the callback will not
  // be started any more.
  class [[nodiscard]] Registration;
  Registration OnCancel(std::function<void()> callback) const;

  // kCancelled or kDeadlineExceeded ("`what`: ..."), or OK while somebody waits and time is left.
  Status Check(std::string_view what) const;

  // The same call with an earlier deadline: min(deadline, now + cap).
  Call Capped(Duration cap) const;

 private:
  struct Shared;
  SteadyTime deadline_;
  RequestId request_id_;
  std::string traceparent_;
  std::shared_ptr<Shared> shared_;  // owners: every copy of the call and its registrations
};

class Call::Registration {
 public:
  Registration() = default;
  Registration(Registration&& other) noexcept = default;
  Registration& operator=(Registration&& other) noexcept;
  ~Registration();

 private:
  friend class Call;
  Registration(std::shared_ptr<Shared> shared, uint64_t key)
      : shared_(std::move(shared)), key_(key) {}
  void Release();
  std::shared_ptr<Shared> shared_;
  uint64_t key_ = 0;
};

}  // namespace interlink

#endif  // INTERLINK_BASE_CALL_H_
