// StepPool: threads that run steps, first in first out per key, in parallel over keys. Thread-safe.
#ifndef INTERLINK_BASE_STEP_POOL_H_
#define INTERLINK_BASE_STEP_POOL_H_

#include <deque>
#include <functional>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "base/status.h"

namespace interlink {

class StepPool {
 public:
  // `max_queued`: steps of all keys that wait; beyond it Post refuses.
  StepPool(std::string name, int threads, size_t max_queued);
  // Waits for the steps that run; those that wait are dropped.
  ~StepPool();
  StepPool(const StepPool&) = delete;
  StepPool& operator=(const StepPool&) = delete;

  // A step is one commit, one request or one backend call, <= 10 s. It must not throw: that ends
  // the daemon, with the key and the words on stderr. kUnavailable: the queue is full or Stop was
  // called; then `step` will never run.
  Status Post(const std::string& key, std::function<void()> step);
  // Like Post for work that must not be lost to a full queue: stops, removes and what was already
  // accepted.
  Status PostAlways(const std::string& key, std::function<void()> step);
  // Steps run in more than half of the threads: one that begins now should not wait for long.
  bool Busy();
  // Takes no more steps, runs what is queued for at most `grace`, drops the rest.
  void Stop(Duration grace);

 private:
  struct Lane {
    std::deque<std::function<void()>> steps;
    bool running = false;
  };
  Status Enqueue(const std::string& key, std::function<void()> step, bool always);
  void Run();

  const std::string name_;
  const size_t max_queued_;
  const size_t busy_from_;  // steps that run
  Mutex mutex_;
  CondVar wake_;
  CondVar idle_;
  std::unordered_map<std::string, Lane> lanes_ GUARDED_BY(mutex_);
  std::deque<std::string> ready_ GUARDED_BY(mutex_);  // keys with steps that nobody runs
  size_t queued_ GUARDED_BY(mutex_) = 0;
  size_t running_ GUARDED_BY(mutex_) = 0;
  bool accepting_ GUARDED_BY(mutex_) = true;
  bool ended_ GUARDED_BY(mutex_) = false;
  std::vector<std::jthread> threads_;
};

}  // namespace interlink

#endif  // INTERLINK_BASE_STEP_POOL_H_
