#include "base/step_pool.h"

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <utility>

namespace interlink {

StepPool::StepPool(std::string name, int threads, size_t max_queued)
    : name_(std::move(name)),
      max_queued_(max_queued),
      busy_from_(static_cast<size_t>(threads) / 2 + 1) {
  threads_.reserve(static_cast<size_t>(threads));
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { Run(); });
}

StepPool::~StepPool() { Stop(Duration::zero()); }

Status StepPool::Post(const std::string& key, std::function<void()> step) {
  return Enqueue(key, std::move(step), false);
}

Status StepPool::PostAlways(const std::string& key, std::function<void()> step) {
  return Enqueue(key, std::move(step), true);
}

Status StepPool::Enqueue(const std::string& key, std::function<void()> step, bool always) {
  MutexLock lock(mutex_);
  if (!accepting_) return Unavailable(name_ + ": shutting down");
  if (!always && queued_ >= max_queued_) {
    return Unavailable(name_ + ": " + std::to_string(queued_) +
                       " steps are waiting, try again later");
  }
  Lane& lane = lanes_[key];
  lane.steps.push_back(std::move(step));
  ++queued_;
  if (!lane.running && lane.steps.size() == 1) {
    ready_.push_back(key);
    wake_.NotifyOne();
  }
  return {};
}

bool StepPool::Busy() {
  MutexLock lock(mutex_);
  return running_ >= busy_from_;
}

void StepPool::Run() {
  mutex_.Lock();
  while (true) {
    while (ready_.empty() && !ended_) {
      // Woken by Enqueue and Stop; the bound only keeps the rule that no wait is endless.
      wake_.WaitFor(mutex_, std::chrono::seconds(60),
                    [this]() NO_LOCK_ANALYSIS { return ended_ || !ready_.empty(); });
    }
    if (ended_) break;
    const std::string key = std::move(ready_.front());
    ready_.pop_front();
    Lane& lane = lanes_[key];
    std::function<void()> step = std::move(lane.steps.front());
    lane.steps.pop_front();
    lane.running = true;
    --queued_;
    ++running_;
    mutex_.Unlock();
    try {
      step();
    } catch (const std::exception& error) {
      // Nobody knows what it left half done. A new start of the daemon reads it from disk.
      std::fprintf(stderr, "%s: a step of \"%s\" ended by an exception: %s\n", name_.c_str(),
                   key.c_str(), error.what());
      std::abort();
    }
    step = nullptr;  // what it captured dies before the next step of this key begins
    mutex_.Lock();
    --running_;
    Lane& same = lanes_[key];
    same.running = false;
    if (same.steps.empty()) {
      lanes_.erase(key);
    } else {
      ready_.push_back(key);
      wake_.NotifyOne();
    }
    if (queued_ == 0 && running_ == 0) idle_.NotifyAll();
  }
  mutex_.Unlock();
}

void StepPool::Stop(Duration grace) {
  std::unordered_map<std::string, Lane> dropped;
  {
    MutexLock lock(mutex_);
    accepting_ = false;
    if (ended_) return;
    idle_.WaitFor(mutex_, grace,
                  [this]() NO_LOCK_ANALYSIS { return queued_ == 0 && running_ == 0; });
    ended_ = true;
    for (auto& [key, lane] : lanes_) dropped[key].steps.swap(lane.steps);
    ready_.clear();
    queued_ = 0;
    wake_.NotifyAll();
  }
  threads_.clear();  // joins
}

}  // namespace interlink
