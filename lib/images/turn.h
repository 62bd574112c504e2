// Turn: one change of the catalog at a time. It is not a lock: the mutex is free while a change is
// being written, so readers never wait for the disk.
#ifndef INTERLINK_IMAGES_TURN_H_
#define INTERLINK_IMAGES_TURN_H_

#include "base/mutex.h"
#include "images/catalog.h"

namespace interlink::images {

class Catalog::Turn {
 public:
  Turn(Mutex& mutex, CondVar& free, bool& taken) : mutex_(mutex), free_(free), taken_(taken) {
    MutexLock lock(mutex_);
    while (taken_) free_.WaitFor(mutex_, std::chrono::seconds(1), [this] { return !taken_; });
    taken_ = true;
  }
  ~Turn() {
    MutexLock lock(mutex_);
    taken_ = false;
    free_.NotifyOne();
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

 private:
  Mutex& mutex_;
  CondVar& free_;
  bool& taken_;
};

}  // namespace interlink::images

#endif  // INTERLINK_IMAGES_TURN_H_
