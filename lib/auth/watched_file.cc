#include "auth/watched_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "base/unique_fd.h"

namespace interlink::auth {
namespace {

constexpr size_t kMaxSize = 1U << 20U;
constexpr auto kPeriod = std::chrono::seconds(1);

}  // namespace

Result<WatchedFile::Contents> WatchedFile::Read() const {
  // O_NONBLOCK: opening a fifo must not hang.
  const UniqueFd fd(open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) return ErrnoStatus(errno, "open \"" + path_ + "\"");
  Contents contents;
  if (fstat(fd.get(), &contents.attributes) != 0)
    return ErrnoStatus(errno, "look at \"" + path_ + "\"");
  if (!S_ISREG(contents.attributes.st_mode))
    return InvalidArgument("\"" + path_ + "\" is not a regular file");
  std::array<char, 4096> chunk{};
  while (true) {
    const ssize_t n = read(fd.get(), chunk.data(), chunk.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoStatus(errno, "read \"" + path_ + "\"");
    if (n == 0) return contents;
    contents.text.append(chunk.data(), static_cast<size_t>(n));
    if (contents.text.size() > kMaxSize)
      return InvalidArgument("\"" + path_ + "\" is larger than 1 MiB");
  }
}

WatchedFile::Mark WatchedFile::MarkOf(const Result<Contents>& contents) {
  Mark mark;
  if (!contents.ok()) {
    mark.error = contents.status().code();
    return mark;
  }
  const struct stat& attributes = contents->attributes;
  mark.device = attributes.st_dev;
  mark.inode = attributes.st_ino;
  mark.size = attributes.st_size;
  mark.mode = attributes.st_mode;
  mark.modified_ns = attributes.st_mtim.tv_sec * 1'000'000'000 + attributes.st_mtim.tv_nsec;
  return mark;
}

void WatchedFile::Start(const Result<Contents>& seen) {
  {
    MutexLock lock(mutex_);
    mark_ = MarkOf(seen);
  }
  Schedule(kPeriod);
}

void WatchedFile::Accept(const Result<Contents>& seen, const std::function<void()>& take) {
  MutexLock check(check_mutex_);
  if (take) take();
  MutexLock lock(mutex_);
  mark_ = MarkOf(seen);
}

void WatchedFile::Stop() {
  {
    MutexLock lock(mutex_);
    stopped_ = true;
  }
  MutexLock wait(check_mutex_);
}

void WatchedFile::ReadSoon() {
  {
    MutexLock lock(mutex_);
    if (forced_ || stopped_) return;
    forced_ = true;
  }
  timer_.After(Duration::zero(), [self = shared_from_this()] { self->Check(); });
}

void WatchedFile::Schedule(Duration delay) {
  timer_.After(delay, [self = shared_from_this()] {
    {
      MutexLock lock(self->mutex_);
      if (self->stopped_) return;
    }
    self->Check();
    self->Schedule(kPeriod);
  });
}

WatchedFile::Mark WatchedFile::Look() const {
  Contents contents;
  if (stat(path_.c_str(), &contents.attributes) != 0)
    return MarkOf(ErrnoStatus(errno, "look at \"" + path_ + "\""));
  return MarkOf(contents);
}

void WatchedFile::Check() {
  MutexLock check(check_mutex_);
  const Mark now = Look();
  {
    MutexLock lock(mutex_);
    if (stopped_ || (!forced_ && now == mark_)) return;
    forced_ = false;
  }
  const auto contents = Read();
  {
    MutexLock lock(mutex_);
    if (stopped_) return;
    // A file that is there but cannot be opened is told once, not every second.
    mark_ = contents.ok() ? MarkOf(contents) : now;
  }
  changed_(contents);
}

Status CheckNobodyElseWrites(const WatchedFile::Contents& contents, const std::string& path) {
  const struct stat& attributes = contents.attributes;
  if ((attributes.st_mode & 022U) != 0) {
    return PermissionDenied("\"" + path + "\" can be written by others: chmod go-w \"" + path +
                            "\"");
  }
  if (attributes.st_uid != geteuid() && attributes.st_uid != 0)
    return PermissionDenied("\"" + path + "\" belongs to another user: chown it to this one");
  return {};
}

Status CheckNobodyElseReads(const WatchedFile::Contents& contents, const std::string& path) {
  if ((contents.attributes.st_mode & 077U) != 0) {
    return PermissionDenied("\"" + path + "\" holds secrets and others may read it: chmod 600 \"" +
                            path + "\"");
  }
  return CheckNobodyElseWrites(contents, path);
}

}  // namespace interlink::auth
