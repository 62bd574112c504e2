#include "base/trash.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>
#include <utility>

#include "base/file.h"
#include "base/id.h"

namespace interlink {
namespace {

constexpr auto kLong = std::chrono::hours(1);
constexpr auto kSlice = std::chrono::milliseconds(100);
constexpr int kMostDoublings = 6;

}  // namespace

Trash::Trash(Options options, Log& log) : options_(std::move(options)), log_(log) {
  std::error_code error;
  std::filesystem::directory_iterator left(options_.folder, error);
  for (; !error && left != std::filesystem::directory_iterator(); left.increment(error))
    items_.push_back({left->path(), {}, std::chrono::steady_clock::now() + options_.delay});
  if (error && error != std::errc::no_such_file_or_directory) {
    log_.Warning("cannot read the trash: what an earlier process left in it stays",
                 {{"folder", options_.folder}, {"error", error.message()}});
  }
  thread_ = std::jthread([this] { Run(); });
}

Trash::~Trash() {
  MutexLock lock(mutex_);
  ended_ = true;
  wake_.NotifyAll();
}

Status Trash::Discard(const std::string& path, uint64_t bytes, uint64_t inodes) {
  struct stat about {};
  if (::lstat(path.c_str(), &about) != 0) {
    return errno == ENOENT ? Status() : ErrnoStatus(errno, "stat \"" + path + "\"");
  }
  const std::string target = options_.folder + "/" + RandomHex(8);
  const auto move = [&] { return std::rename(path.c_str(), target.c_str()) == 0; };
  if (!move()) {
    if (errno != ENOENT) return ErrnoStatus(errno, "move \"" + path + "\" to the trash");
    RETURN_IF_ERROR(MakeDirectories(options_.folder, 0700));
    if (!move()) return ErrnoStatus(errno, "move \"" + path + "\" to the trash");
  }
  MutexLock lock(mutex_);
  PutLocked({target, {bytes, inodes}, std::chrono::steady_clock::now() + options_.delay});
  pending_.bytes += bytes;
  pending_.inodes += inodes;
  wake_.NotifyAll();
  return {};
}

void Trash::Pause() {
  MutexLock lock(mutex_);
  ++pauses_;
}

void Trash::Resume() {
  MutexLock lock(mutex_);
  --pauses_;
  wake_.NotifyAll();
}

void Trash::Hurry() {
  MutexLock lock(mutex_);
  hurried_ = std::chrono::steady_clock::now();
  for (Item& item : items_) item.due = std::min(item.due, hurried_);
  wake_.NotifyAll();
}

Trash::Pending Trash::pending() const {
  MutexLock lock(mutex_);
  return pending_;
}

void Trash::Run() {
  while (true) {
    Item item;
    {
      MutexLock lock(mutex_);
      while (!ended_) {
        const SteadyTime now = std::chrono::steady_clock::now();
        const SteadyTime next =
            items_.empty() ? now + kLong : MayDeleteAtLocked(items_.front().due);
        if (next <= now) break;
        wake_.WaitUntil(mutex_, next, [&]() REQUIRES_LOCK(mutex_) {
          return ended_ || (!items_.empty() && MayDeleteAtLocked(items_.front().due) < next);
        });
      }
      if (ended_) return;
      item = std::move(items_.front());
      items_.pop_front();
    }
    due_ = item.due;
    const Status gone = RemoveTree(item.path, [this] { return MayGoOn(); });
    MutexLock lock(mutex_);
    if (ended_) return;
    if (gone.ok()) {
      pending_.bytes -= item.size.bytes;
      pending_.inodes -= item.size.inodes;
      continue;
    }
    log_.Warning("cannot delete what is in the trash: it is tried again",
                 {{"path", item.path}, {"error", gone.ToString()}});
    item.due = std::chrono::steady_clock::now() + options_.again * (1 << item.failures);
    item.failures = std::min(item.failures + 1, kMostDoublings);
    PutLocked(std::move(item));
  }
}

void Trash::PutLocked(Item item) {
  const auto later = std::find_if(items_.begin(), items_.end(),
                                  [&](const Item& other) { return other.due > item.due; });
  items_.insert(later, std::move(item));
}

// Keeps the pace, and the pauses. False: the end.
bool Trash::MayGoOn() {
  MutexLock lock(mutex_);
  const int per_slice = std::max(1, options_.per_second / 10);
  if (++in_this_slice_ >= per_slice) {
    in_this_slice_ = 0;
    wake_.WaitFor(mutex_, kSlice, [this]() REQUIRES_LOCK(mutex_) { return ended_; });
  }
  const auto may = [this]() REQUIRES_LOCK(mutex_) {
    return MayDeleteAtLocked(due_) <= std::chrono::steady_clock::now();
  };
  while (!ended_ && !may()) {
    wake_.WaitUntil(mutex_, MayDeleteAtLocked(due_),
                    [&]() REQUIRES_LOCK(mutex_) { return ended_ || may(); });
  }
  return !ended_;
}

SteadyTime Trash::MayDeleteAtLocked(SteadyTime due) const {
  return pauses_ == 0 || due <= hurried_ ? due : due + options_.most_pause;
}

}  // namespace interlink
