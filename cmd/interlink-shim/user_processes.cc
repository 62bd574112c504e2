#include "user_processes.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

#include <cerrno>

#include "commands.h"
#include "shim/layout.h"
#include "shim/pidfile.h"

namespace interlink::shim {
namespace {

constexpr const char* kPinned = "user";
constexpr int kMaxGenerations = 32;  // of user namespaces, the kernel's own limit
constexpr int kEndTries = 50;        // of a tenth of a second each

Fd NamespaceOf(pid_t pid) {
  Text<64> path;
  path.Add("/proc/").AddNumber(pid).Add("/ns/user");
  return Fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
}

bool IsSame(int a, int b) {
  struct stat first {};
  struct stat second {};
  return fstat(a, &first) == 0 && fstat(b, &second) == 0 && first.st_ino == second.st_ino &&
         first.st_dev == second.st_dev;
}

bool IsPinned() {
  struct statfs info {};
  return statfs(kPinned, &info) == 0 && info.f_type == NSFS_MAGIC;
}

}  // namespace

Outcome UserProcesses::Pin(pid_t pid) {
  Fd its = NamespaceOf(pid);
  const Fd ours = NamespaceOf(getpid());
  if (!its.valid() || !ours.valid()) return Outcome::Errno(errno, "the container's user namespace");
  if (IsSame(its.get(), ours.get())) return {};
  const Fd target(open(kPinned, O_RDONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!target.valid()) return Outcome::Errno(errno, kPinned);
  Text<64> source;
  source.Add("/proc/self/fd/").AddNumber(its.get());
  if (mount(source.c_str(), kPinned, nullptr, MS_BIND, nullptr) != 0) {
    return Outcome::Errno(errno, "pin the container's user namespace");
  }
  namespace_ = std::move(its);
  return {};
}

Outcome UserProcesses::Open() {
  if (!IsPinned()) return Outcome::Words(ENOENT, "no user namespace is pinned");
  namespace_ = Fd(open(kPinned, O_RDONLY | O_CLOEXEC));
  return namespace_.valid() ? Outcome() : Outcome::Errno(errno, kPinned);
}

Outcome UserProcesses::Unpin() {
  while (umount2(kPinned, MNT_DETACH | UMOUNT_NOFOLLOW) == 0) {
  }
  if (unlink(kPinned) != 0 && errno != ENOENT) return Outcome::Errno(errno, kPinned);
  return {};
}

bool UserProcesses::Holds(pid_t pid) const {
  Fd its = NamespaceOf(pid);
  for (int depth = 0; its.valid() && depth <= kMaxGenerations; ++depth) {
    if (IsSame(its.get(), namespace_.get())) return true;
    its = Fd(ioctl(its.get(), NS_GET_PARENT));  // EPERM: above ours
  }
  return false;
}

bool UserProcesses::KillAll() const {
  if (!namespace_.valid()) return true;
  for (int round = 0; round < 50; ++round) {
    DIR* processes = opendir("/proc");
    if (processes == nullptr) return false;
    bool found = false;
    // The shim has one thread. NOLINTNEXTLINE(concurrency-mt-unsafe)
    while (const dirent* entry = readdir(processes)) {
      uint64_t number = 0;
      if (!ParseUnsigned(entry->d_name, number)) continue;
      const auto pid = static_cast<pid_t>(number);
      // What is open is that very process, whatever the number is by now.
      const Fd process(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
      ProcessStat stat;
      if (!process.valid() || !Holds(pid) || !ReadProcessStat(pid, stat)) continue;
      if (stat.state == 'Z' || stat.state == 'X') continue;
      found = true;
      syscall(SYS_pidfd_send_signal, process.get(), SIGKILL, nullptr, 0);
    }
    closedir(processes);
    if (!found) return true;
    SleepMs(2);
  }
  return false;
}

int CommandEnd(int argc, char** argv) {
  if (argc != 2 || std::string_view(argv[0]) != "--dir") {
    return Complain(kCommandUsage, "usage: end --dir DIR");
  }
  if (chdir(argv[1]) != 0) {
    if (errno == ENOENT) return kCommandOk;
    return Complain(kCommandFailed, Outcome::Errno(errno, argv[1]));
  }
  UserProcesses users;
  const Outcome opened = users.Open();
  if (!opened.ok() && opened.error() != ENOENT) return Complain(kCommandFailed, opened);
  for (int left = kEndTries; !users.KillAll(); --left) {
    if (left == 0) return Complain(kCommandFailed, "end: processes of the container do not end");
  }
  const Outcome unpinned = UserProcesses::Unpin();
  return unpinned.ok() ? kCommandOk : Complain(kCommandFailed, unpinned);
}

}  // namespace interlink::shim
