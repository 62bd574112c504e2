#include "base/timer.h"

namespace interlink {

Timer::Timer() : thread_([this] { Run(); }) {}

Timer::~Timer() { Stop(); }

Timer::Key Timer::At(SteadyTime when, std::function<void()> what) {
  MutexLock lock(mutex_);
  const Key key{when, next_++};
  waiting_.emplace(key, std::move(what));
  if (waiting_.begin()->first == key) wake_.NotifyOne();
  return key;
}

Timer::Key Timer::After(Duration delay, std::function<void()> what) {
  return At(std::chrono::steady_clock::now() + delay, std::move(what));
}

bool Timer::Cancel(const Key& key) {
  std::function<void()> dropped;  // destroyed after the lock
  MutexLock lock(mutex_);
  const auto it = waiting_.find(key);
  if (it == waiting_.end()) return false;
  dropped = std::move(it->second);
  waiting_.erase(it);
  return true;
}

void Timer::Stop() {
  std::map<Key, std::function<void()>> dropped;
  {
    MutexLock lock(mutex_);
    ended_ = true;
    dropped.swap(waiting_);
    wake_.NotifyAll();
  }
  if (thread_.joinable() && thread_.get_id() != std::this_thread::get_id()) thread_.join();
}

void Timer::Run() {
  mutex_.Lock();
  while (!ended_) {
    const SteadyTime now = std::chrono::steady_clock::now();
    if (waiting_.empty() || waiting_.begin()->first.first > now) {
      const SteadyTime until =
          waiting_.empty() ? now + std::chrono::seconds(60) : waiting_.begin()->first.first;
      wake_.WaitUntil(mutex_, until, [this, until]() NO_LOCK_ANALYSIS {
        return ended_ || (!waiting_.empty() && waiting_.begin()->first.first < until);
      });
      continue;
    }
    std::function<void()> what = std::move(waiting_.begin()->second);
    waiting_.erase(waiting_.begin());
    mutex_.Unlock();
    what();
    what = nullptr;
    mutex_.Lock();
  }
  mutex_.Unlock();
}

}  // namespace interlink
