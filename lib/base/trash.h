// Trash: a folder whose contents are deleted later, by one thread. Thread-safe.
//
// Later, because nobody waits for it: a tree of a million files takes minutes. On ext4 creating
// many files within half a minute of deleting many is eight times slower, so there may be a delay
// and a pace. What is left at the end is found at the next start.
#ifndef INTERLINK_BASE_TRASH_H_
#define INTERLINK_BASE_TRASH_H_

#include <cstdint>
#include <deque>
#include <string>
#include <thread>

#include "base/clock.h"
#include "base/log.h"
#include "base/mutex.h"
#include "base/status.h"

namespace interlink {

class Trash {
 public:
  struct Options {
    std::string folder;                             // absolute; made when it is needed
    Duration delay = Duration::zero();              // between Discard and the deletion
    int per_second = 50'000;                        // files
    Duration most_pause = std::chrono::minutes(5);  // for which Pause puts a deletion off
    Duration again = std::chrono::minutes(1);       // after one that failed, then doubling
  };
  // Begins with what an earlier process left in the folder.
  Trash(Options options, Log& log);
  // Stops within one file.
  ~Trash();
  Trash(const Trash&) = delete;
  Trash& operator=(const Trash&) = delete;

  // Moves `path` (same file system) into the folder at once, whole or not at all; absent is OK.
  // `bytes` and `inodes` are pending until they are gone.
  Status Discard(const std::string& path, uint64_t bytes, uint64_t inodes);
  // Deletions pause between the two, as often as the first was called; not for ever: some sites
  // always write.
  void Pause();
  void Resume();
  // The disk is full: all that is there now goes at once, whoever paused.
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
    int failures = 0;
  };
  void Run();
  void PutLocked(Item item) REQUIRES_LOCK(mutex_);
  bool MayGoOn();
  SteadyTime MayDeleteAtLocked(SteadyTime due) const REQUIRES_LOCK(mutex_);

  const Options options_;
  Log& log_;
  mutable Mutex mutex_;
  CondVar wake_;
  std::deque<Item> items_ GUARDED_BY(mutex_);  // those that are due first, first
  Pending pending_ GUARDED_BY(mutex_);
  int pauses_ GUARDED_BY(mutex_) = 0;
  SteadyTime hurried_ GUARDED_BY(mutex_);  // what is due by then is not put off
  bool ended_ GUARDED_BY(mutex_) = false;
  SteadyTime due_;         // of what is being deleted; only the thread's
  int in_this_slice_ = 0;  // only the thread's
  std::jthread thread_;
};

}  // namespace interlink

#endif  // INTERLINK_BASE_TRASH_H_
