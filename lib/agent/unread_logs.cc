#include "agent/unread_logs.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

#include "base/unique_fd.h"
#include "shim/layout.h"

namespace interlink::agent {

void UnreadLogs::Ended(const ContainerId& id) {
  if (!IsFullId(id.str())) return;
  MutexLock lock(mutex_);
  ended_.try_emplace(id);
}

void UnreadLogs::Forget(const ContainerId& id) {
  MutexLock lock(mutex_);
  ended_.erase(id);
}

void UnreadLogs::ForgetAll() {
  MutexLock lock(mutex_);
  ended_.clear();
}

// Only what has ended has an end: it was told before, or is told soon by who sees it.
void UnreadLogs::WasRead(const ContainerId& id, bool end) {
  if (!end || !IsFullId(id.str())) return;
  MutexLock lock(mutex_);
  ended_[id] = clock_.Steady();
}

void UnreadLogs::Lost() {
  MutexLock lock(mutex_);
  for (auto& [id, read] : ended_) read.reset();
}

std::vector<ContainerId> UnreadLogs::All() {
  std::vector<ContainerId> asked;
  {
    MutexLock lock(mutex_);
    for (const auto& [id, read] : ended_) {
      if (!read || clock_.Steady() - *read < settle_) asked.push_back(id);
    }
  }
  std::vector<ContainerId> unread;
  for (const ContainerId& id : asked) {
    if (!IsAcknowledged(id)) unread.push_back(id);
  }
  return unread;
}

bool UnreadLogs::IsAcknowledged(const ContainerId& id) const {
  const std::string folder = shim_folder_(id);
  struct stat about {};
  // It never began to run, or is removed.
  if (stat((folder + "/" + shim::kLogFile).c_str(), &about) != 0) return errno == ENOENT;
  if (about.st_size == 0) return true;
  const UniqueFd fd(open((folder + "/" + shim::kLogAckFile).c_str(), O_RDONLY | O_CLOEXEC));
  return fd && shim::ReadLogOffset(fd.get()) >= static_cast<uint64_t>(about.st_size);
}

}  // namespace interlink::agent
