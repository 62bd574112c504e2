// Timer: runs functions later, on one thread. For deadlines of parked work and for back-off: they
// must be short. Thread-safe.
#ifndef INTERLINK_BASE_TIMER_H_
#define INTERLINK_BASE_TIMER_H_

#include <functional>
#include <map>
#include <thread>
#include <utility>

#include "base/clock.h"
#include "base/mutex.h"

namespace interlink {

class Timer {
 public:
  Timer();
  // Drops what has not run.
  ~Timer();
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  using Key = std::pair<SteadyTime, uint64_t>;
  Key At(SteadyTime when, std::function<void()> what);
  Key After(Duration delay, std::function<void()> what);
  // It will not begin any more; false: it has begun, has run or was cancelled.
  bool Cancel(const Key& key);
  // Runs nothing any more. Idempotent.
  void Stop();

 private:
  void Run();

  Mutex mutex_;
  CondVar wake_;
  std::map<Key, std::function<void()>> waiting_ GUARDED_BY(mutex_);
  uint64_t next_ GUARDED_BY(mutex_) = 1;
  bool ended_ GUARDED_BY(mutex_) = false;
  std::jthread thread_;
};

}  // namespace interlink

#endif  // INTERLINK_BASE_TIMER_H_
