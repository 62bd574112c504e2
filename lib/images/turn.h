// Turns: one change at a time. It is not a lock: what the change concerns is guarded by a mutex
// that is free while the change is being written, so readers never wait for the disk. Thread-safe.
#ifndef INTERLINK_IMAGES_TURN_H_
#define INTERLINK_IMAGES_TURN_H_

#include "base/mutex.h"

namespace interlink::images {

class Turns {
 public:
  void Take() {
    MutexLock lock(mutex_);
    // Whoever has the turn writes a few small files.
    while (taken_) {
      free_.WaitFor(mutex_, std::chrono::seconds(1),
                    [this]() REQUIRES_LOCK(mutex_) { return !taken_; });
    }
    taken_ = true;
  }
  void Give() {
    MutexLock lock(mutex_);
    taken_ = false;
    free_.NotifyOne();
  }

 private:
  Mutex mutex_;
  CondVar free_;
  bool taken_ GUARDED_BY(mutex_) = false;
};

class Turn {
 public:
  explicit Turn(Turns& turns) : turns_(turns) { turns_.Take(); }
  ~Turn() { turns_.Give(); }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

 private:
  Turns& turns_;
};

}  // namespace interlink::images

#endif  // INTERLINK_IMAGES_TURN_H_
