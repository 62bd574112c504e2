// Internal: a small file that is looked at every second and read again when it has changed.
// Thread-safe.
#ifndef INTERLINK_AUTH_WATCHED_FILE_H_
#define INTERLINK_AUTH_WATCHED_FILE_H_

#include <sys/stat.h>
#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>

#include "base/mutex.h"
#include "base/status.h"
#include "base/timer.h"

namespace interlink::auth {

class WatchedFile : public std::enable_shared_from_this<WatchedFile> {
 public:
  struct Contents {
    std::string text;
    struct stat attributes {};
  };
  // `changed` gets the contents, or why there are none; on the timer's thread, once per change.
  WatchedFile(std::string path, Timer& timer, std::function<void(const Result<Contents>&)> changed)
      : path_(std::move(path)), timer_(timer), changed_(std::move(changed)) {}

  // Opens first and looks at what was opened, so that text and attributes belong together.
  Result<Contents> Read() const;
  // Looks from now on. `seen`: what Read() gave.
  void Start(const Result<Contents>& seen);
  // Runs `take` (may be empty), which puts in force what Read() gave as `seen`, and never while
  // `changed` runs. What differs from `seen` by now is read at the next look. Not from `changed`.
  void Accept(const Result<Contents>& seen, const std::function<void()>& take);
  // `changed` is not called any more once this has returned. Not from `changed`.
  void Stop();
  // Reads it soon, changed or not.
  void ReadSoon();

 private:
  // Enough to see that a file was written or replaced.
  struct Mark {
    Code error = Code::kOk;
    dev_t device = 0;
    ino_t inode = 0;
    off_t size = 0;
    int64_t modified_ns = 0;
    mode_t mode = 0;
    bool operator==(const Mark&) const = default;
  };
  static Mark MarkOf(const Result<Contents>& contents);
  Mark Look() const;
  void Schedule(Duration delay);
  void Check();

  const std::string path_;
  Timer& timer_;
  const std::function<void(const Result<Contents>&)> changed_;
  Mutex check_mutex_;  // held while `changed_` runs: Stop and Accept wait for it
  Mutex mutex_;
  Mark mark_ GUARDED_BY(mutex_);
  bool forced_ GUARDED_BY(mutex_) = false;
  bool stopped_ GUARDED_BY(mutex_) = false;
};

// Others than this user and root can change, or see, what it says. kPermissionDenied.
Status CheckNobodyElseWrites(const WatchedFile::Contents& contents, const std::string& path);
Status CheckNobodyElseReads(const WatchedFile::Contents& contents, const std::string& path);

}  // namespace interlink::auth

#endif  // INTERLINK_AUTH_WATCHED_FILE_H_
