#include "base/call.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <vector>

#include "base/mutex.h"

namespace interlink {

struct Call::Shared {
  std::atomic<bool> cancelled = false;
  Mutex mutex;
  uint64_t next_key GUARDED_BY(mutex) = 1;
  std::map<uint64_t, std::function<void()>> callbacks GUARDED_BY(mutex);
};

Call::Call(SteadyTime deadline, RequestId request_id, std::string traceparent)
    : deadline_(deadline),
      request_id_(std::move(request_id)),
      traceparent_(std::move(traceparent)),
      shared_(std::make_shared<Shared>()) {}

Duration Call::remaining() const {
  return std::max(Duration::zero(), deadline_ - std::chrono::steady_clock::now());
}

bool Call::cancelled() const { return shared_->cancelled.load(); }

void Call::Cancel() const {
  std::map<uint64_t, std::function<void()>> callbacks;
  {
    MutexLock lock(shared_->mutex);
    if (shared_->cancelled.exchange(true)) return;
    callbacks.swap(shared_->callbacks);
  }
  for (auto& [key, callback] : callbacks) callback();
}

Call::Registration Call::OnCancel(std::function<void()> callback) const {
  {
    MutexLock lock(shared_->mutex);
    if (!shared_->cancelled.load()) {
      const uint64_t key = shared_->next_key++;
      shared_->callbacks.emplace(key, std::move(callback));
      return {shared_, key};
    }
  }
  callback();
  return {};
}

Status Call::Check(std::string_view what) const {
  if (cancelled()) return CancelledError(std::string(what) + ": the caller has gone");
  if (expired()) return DeadlineExceeded(std::string(what) + ": the deadline has passed");
  return {};
}

Call Call::Capped(Duration cap) const {
  Call copy = *this;
  copy.deadline_ = std::min(deadline_, std::chrono::steady_clock::now() + cap);
  return copy;
}

Call::Registration& Call::Registration::operator=(Registration&& other) noexcept {
  if (this != &other) {
    Release();
    shared_ = std::move(other.shared_);
    key_ = other.key_;
  }
  return *this;
}

Call::Registration::~Registration() { Release(); }

void Call::Registration::Release() {
  if (!shared_) return;
  std::function<void()> dropped;  // outlives the lock: it may own what takes locks of its own
  MutexLock lock(shared_->mutex);
  if (auto it = shared_->callbacks.find(key_); it != shared_->callbacks.end()) {
    dropped = std::move(it->second);
    shared_->callbacks.erase(it);
  }
}

}  // namespace interlink
