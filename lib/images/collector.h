// Collector: deletes what is in the trash, late and slowly. Thread-safe.
//
// Late, because on ext4 creating many files within half a minute of deleting many is eight times
// slower; slowly, because nobody waits for it. Pulls go first, but not for ever: some site always
// pulls. What is left at the end is found at the next start.
#ifndef INTERLINK_IMAGES_COLLECTOR_H_
#define INTERLINK_IMAGES_COLLECTOR_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <thread>

#include "base/clock.h"
#include "base/log.h"
#include "base/mutex.h"
#include "base/status.h"

namespace interlink::images {

class Collector {
 public:
  struct Options {
    std::string trash;                              // an existing folder
    Duration delay = std::chrono::seconds(60);      // between Discard and the deletion
    int per_second = 5000;                          // files
    Duration most_pause = std::chrono::minutes(5);  // that pulls may put a deletion off
  };
  // Begins with what an earlier process left in the trash.
  Collector(Options options, Log& log);
  // Stops within one file.
  ~Collector();
  Collector(const Collector&) = delete;
  Collector& operator=(const Collector&) = delete;

  // Moves `path` (same file system) into the trash at once; absent is OK. `bytes` and `inodes` are
  // counted as used until they are gone.
  Status Discard(const std::string& path, uint64_t bytes, uint64_t inodes);
  // Deletions pause between Begin and End, at most `most_pause`: pulls are writing.
  void BeginPull();
  void EndPull();
  // The disk is full: all that is in the trash now goes at once, also beside pulls.
  void Hurry();

  struct Pending {
    uint64_t bytes = 0;
    uint64_t inodes = 0;
  };
  Pending pending() const;

 private:
  struct Item {
    std::string path;
    Pending size;
    SteadyTime due;
  };
  void Run();
  bool DeleteTree(int parent, const std::string& name);
  bool MayGoOn();
  SteadyTime MayDeleteAtLocked(SteadyTime due) const REQUIRES_LOCK(mutex_);

  const Options options_;
  Log& log_;
  mutable Mutex mutex_;
  CondVar wake_;
  std::deque<Item> items_ GUARDED_BY(mutex_);
  Pending pending_ GUARDED_BY(mutex_);
  int pulls_ GUARDED_BY(mutex_) = 0;
  bool ended_ GUARDED_BY(mutex_) = false;
  SteadyTime hurried_ GUARDED_BY(mutex_);  // what is due by then does not wait for pulls
  SteadyTime due_;                         // of what is being deleted; only the thread's
  int in_this_slice_ = 0;                  // only the thread's
  std::jthread thread_;
};

}  // namespace interlink::images

#endif  // INTERLINK_IMAGES_COLLECTOR_H_
