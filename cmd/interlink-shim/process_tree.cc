#include "process_tree.h"

#include <dirent.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "shim/pidfile.h"
#include "system.h"

namespace interlink::shim {
namespace {

// Signals exactly the process that started then.
void SignalProcess(pid_t pid, uint64_t start, int number) {
  const Fd fd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  ProcessStat stat;
  if (!fd.valid() || !ReadProcessStat(pid, stat) || stat.start != start) return;
  syscall(SYS_pidfd_send_signal, fd.get(), number, nullptr, 0);
}

}  // namespace

bool ProcessTree::Has(pid_t pid) const {
  for (size_t i = 0; i < size_; ++i) {
    if (members_[i].pid == pid) return true;
  }
  return false;
}

size_t ProcessTree::Collect(int number) {
  DIR* processes = opendir("/proc");
  if (processes == nullptr) return 0;
  size_t found = 0;
  // The shim has one thread. NOLINTNEXTLINE(concurrency-mt-unsafe)
  while (const dirent* entry = readdir(processes)) {
    uint64_t pid = 0;
    if (!ParseUnsigned(entry->d_name, pid) || size_ == kMax) continue;
    const auto id = static_cast<pid_t>(pid);
    ProcessStat stat;
    if (Has(id) || !ReadProcessStat(id, stat) || stat.state == 'Z' || stat.state == 'X') continue;
    if (stat.session != session_ && !Has(stat.parent)) continue;
    members_[size_++] = {id, stat.start};
    ++found;
    SignalProcess(id, stat.start, number);
  }
  closedir(processes);
  return found;
}

void ProcessTree::Kill(pid_t root) {
  size_ = 0;
  if (!pages_.Reserve(kMax * sizeof(Member))) {
    kill(root, SIGKILL);  // no memory: at least the process itself
    return;
  }
  members_ = reinterpret_cast<Member*>(pages_.data());
  ProcessStat stat;
  if (!ReadProcessStat(root, stat)) return;
  ProcessStat own;
  const bool own_session = ReadProcessStat(getpid(), own) && own.session != stat.session;
  session_ = own_session ? stat.session : -1;
  members_[size_++] = {root, stat.start};
  SignalProcess(root, stat.start, SIGSTOP);
  // What is stopped starts nothing: after a pass that finds nothing new, the tree is whole.
  for (int pass = 0; pass < 100 && Collect(SIGSTOP) > 0; ++pass) {
  }
  for (size_t i = 0; i < size_; ++i) SignalProcess(members_[i].pid, members_[i].start, SIGKILL);
}

bool ProcessTree::Gone() {
  if (members_ == nullptr) return true;
  size_t left = 0;
  for (size_t i = 0; i < size_; ++i) {
    ProcessStat stat;
    if (!ReadProcessStat(members_[i].pid, stat) || stat.start != members_[i].start) continue;
    if (stat.state == 'Z' || stat.state == 'X') continue;
    members_[left++] = members_[i];
  }
  size_ = left;
  return Collect(SIGKILL) == 0 && left == 0;
}

}  // namespace interlink::shim
