#include "images/collector.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "base/id.h"
#include "base/unique_fd.h"

namespace interlink::images {
namespace {

constexpr auto kLong = std::chrono::hours(1);
constexpr auto kSlice = std::chrono::milliseconds(100);

std::vector<std::string> NamesIn(int folder) {
  std::vector<std::string> names;
  const std::unique_ptr<DIR, int (*)(DIR*)> open(::fdopendir(::dup(folder)), ::closedir);
  if (!open) return names;
  ::rewinddir(open.get());
  while (const dirent* entry = ::readdir(open.get())) {  // NOLINT(concurrency-mt-unsafe)
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  return names;
}

}  // namespace

Collector::Collector(Options options, Log& log) : options_(std::move(options)), log_(log) {
  const UniqueFd trash(::open(options_.trash.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (trash) {
    for (const std::string& name : NamesIn(trash.get()))
      items_.push_back(
          {options_.trash + "/" + name, {}, std::chrono::steady_clock::now() + options_.delay});
  }
  thread_ = std::jthread([this] { Run(); });
}

Collector::~Collector() {
  MutexLock lock(mutex_);
  ended_ = true;
  wake_.NotifyAll();
}

Status Collector::Discard(const std::string& path, uint64_t bytes, uint64_t inodes) {
  const std::string target = options_.trash + "/" + RandomHex(8);
  if (::rename(path.c_str(), target.c_str()) != 0) {
    if (errno == ENOENT) return {};
    return ErrnoStatus(errno, "move \"" + path + "\" to the trash");
  }
  MutexLock lock(mutex_);
  items_.push_back({target, {bytes, inodes}, std::chrono::steady_clock::now() + options_.delay});
  pending_.bytes += bytes;
  pending_.inodes += inodes;
  wake_.NotifyAll();
  return {};
}

void Collector::BeginPull() {
  MutexLock lock(mutex_);
  ++pulls_;
}

void Collector::EndPull() {
  MutexLock lock(mutex_);
  --pulls_;
  wake_.NotifyAll();
}

void Collector::Hurry() {
  MutexLock lock(mutex_);
  hurried_ = std::chrono::steady_clock::now();
  for (Item& item : items_) item.due = std::min(item.due, hurried_);
  wake_.NotifyAll();
}

Collector::Pending Collector::pending() const {
  MutexLock lock(mutex_);
  return pending_;
}

void Collector::Run() {
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
    const bool gone = DeleteTree(AT_FDCWD, item.path);
    MutexLock lock(mutex_);
    if (ended_) return;
    pending_.bytes -= item.size.bytes;
    pending_.inodes -= item.size.inodes;
    if (!gone) log_.Warning("could not delete from the image store's trash", {{"path", item.path}});
  }
}

// Never follows a link; false when something is left.
bool Collector::DeleteTree(int parent, const std::string& name) {
  if (!MayGoOn()) return false;
  if (::unlinkat(parent, name.c_str(), 0) == 0 || errno == ENOENT) return true;
  const UniqueFd folder(
      ::openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!folder) return false;
  bool all = true;
  for (const std::string& inside : NamesIn(folder.get()))
    all = DeleteTree(folder.get(), inside) && all;
  return ::unlinkat(parent, name.c_str(), AT_REMOVEDIR) == 0 && all;
}

// Keeps the pace, and waits while pulls write. False: the end.
bool Collector::MayGoOn() {
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

SteadyTime Collector::MayDeleteAtLocked(SteadyTime due) const {
  return pulls_ == 0 || due <= hurried_ ? due : due + options_.most_pause;
}

}  // namespace interlink::images
