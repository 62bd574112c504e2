// Mutex, MutexLock and CondVar with clang's thread-safety annotations. No lock is held across I/O
// or a call into another module.
#ifndef INTERLINK_BASE_MUTEX_H_
#define INTERLINK_BASE_MUTEX_H_

#include <chrono>
#include <condition_variable>
#include <mutex>

#if defined(__clang__)
#define INTERLINK_ANNOTATE(x) __attribute__((x))
#else
#define INTERLINK_ANNOTATE(x)
#endif
#define CAPABILITY(x) INTERLINK_ANNOTATE(capability(x))
#define SCOPED_CAPABILITY INTERLINK_ANNOTATE(scoped_lockable)
#define GUARDED_BY(x) INTERLINK_ANNOTATE(guarded_by(x))
#define REQUIRES_LOCK(...) INTERLINK_ANNOTATE(requires_capability(__VA_ARGS__))
#define EXCLUDES_LOCK(...) INTERLINK_ANNOTATE(locks_excluded(__VA_ARGS__))
#define ACQUIRES_LOCK(...) INTERLINK_ANNOTATE(acquire_capability(__VA_ARGS__))
#define RELEASES_LOCK(...) INTERLINK_ANNOTATE(release_capability(__VA_ARGS__))
#define NO_LOCK_ANALYSIS INTERLINK_ANNOTATE(no_thread_safety_analysis)

namespace interlink {

class CAPABILITY("mutex") Mutex {
 public:
  void Lock() ACQUIRES_LOCK() { mutex_.lock(); }
  void Unlock() RELEASES_LOCK() { mutex_.unlock(); }

 private:
  friend class CondVar;
  std::mutex mutex_;
};

class SCOPED_CAPABILITY MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) ACQUIRES_LOCK(mutex) : mutex_(mutex) { mutex_.Lock(); }
  ~MutexLock() RELEASES_LOCK() { mutex_.Unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mutex_;
};

class CondVar {
 public:
  void NotifyOne() { condition_.notify_one(); }
  void NotifyAll() { condition_.notify_all(); }

  // Waits until `predicate()` holds or the deadline is past; returns predicate(). No wait is
  // endless.
  template <typename Predicate>
  bool WaitUntil(Mutex& mutex, std::chrono::steady_clock::time_point deadline, Predicate predicate)
      REQUIRES_LOCK(mutex) NO_LOCK_ANALYSIS {
    std::unique_lock<std::mutex> lock(mutex.mutex_, std::adopt_lock);
    const bool held = condition_.wait_until(lock, deadline, predicate);
    lock.release();
    return held;
  }
  template <typename Predicate>
  bool WaitFor(Mutex& mutex, std::chrono::steady_clock::duration timeout, Predicate predicate)
      REQUIRES_LOCK(mutex) NO_LOCK_ANALYSIS {
    return WaitUntil(mutex, std::chrono::steady_clock::now() + timeout, predicate);
  }

 private:
  std::condition_variable condition_;
};

}  // namespace interlink

#endif  // INTERLINK_BASE_MUTEX_H_
