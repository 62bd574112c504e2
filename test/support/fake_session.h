// A node::Session whose site's half the test plays. Thread-safe.
#ifndef INTERLINK_TEST_SUPPORT_FAKE_SESSION_H_
#define INTERLINK_TEST_SUPPORT_FAKE_SESSION_H_

#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "node/session.h"

namespace interlink::test {

// What outlives the session, for the test.
struct FakeSessionState {
  Mutex mutex;
  std::deque<node::SessionOutput> output GUARDED_BY(mutex);
  std::vector<node::SessionInput> input GUARDED_BY(mutex);
  bool cancelled GUARDED_BY(mutex) = false;
  bool gone GUARDED_BY(mutex) = false;  // the object has died

  bool Cancelled() {
    MutexLock lock(mutex);
    return cancelled;
  }
  bool Gone() {
    MutexLock lock(mutex);
    return gone;
  }
};

class FakeSession final : public node::Session {
 public:
  explicit FakeSession(std::shared_ptr<FakeSessionState> state) : state_(std::move(state)) {}
  ~FakeSession() override {
    MutexLock lock(state_->mutex);
    state_->gone = true;
  }
  // Answers at once: the next output, else kCancelled or kUnavailable.
  void Read(node::Reply<node::SessionOutput> reply) override {
    Result<node::SessionOutput> next = Unavailable("connection lost, the command may still run");
    {
      MutexLock lock(state_->mutex);
      if (state_->cancelled) {
        next = CancelledError("the session was ended here");
      } else if (!state_->output.empty()) {
        next = std::move(state_->output.front());
        state_->output.pop_front();
      }
    }
    reply(std::move(next));
  }
  void Write(node::SessionInput input, std::function<void(Status)> done) override {
    {
      MutexLock lock(state_->mutex);
      state_->input.push_back(std::move(input));
    }
    done({});
  }
  void Cancel() override {
    MutexLock lock(state_->mutex);
    state_->cancelled = true;
  }

 private:
  const std::shared_ptr<FakeSessionState> state_;
};

}  // namespace interlink::test

#endif  // INTERLINK_TEST_SUPPORT_FAKE_SESSION_H_
