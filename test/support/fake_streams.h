// A StreamServer that serves nothing: it keeps what addresses were asked for. Thread-safe.
#ifndef INTERLINK_TEST_SUPPORT_FAKE_STREAMS_H_
#define INTERLINK_TEST_SUPPORT_FAKE_STREAMS_H_

#include <string>
#include <vector>

#include "base/mutex.h"
#include "node/sessions.h"

namespace interlink::test {

class FakeStreams final : public node::StreamServer {
 public:
  Result<std::string> AddressFor(node::StreamRequest request) override {
    MutexLock lock(mutex_);
    RETURN_IF_ERROR(failure_);
    asked_.push_back(std::move(request));
    return "http://127.0.0.1:1/" + std::to_string(asked_.size());
  }
  std::vector<node::StreamRequest> asked() const {
    MutexLock lock(mutex_);
    return asked_;
  }
  void FailWith(Status why) {
    MutexLock lock(mutex_);
    failure_ = std::move(why);
  }

 private:
  mutable Mutex mutex_;
  Status failure_ GUARDED_BY(mutex_);
  std::vector<node::StreamRequest> asked_ GUARDED_BY(mutex_);
};

}  // namespace interlink::test

#endif  // INTERLINK_TEST_SUPPORT_FAKE_STREAMS_H_
