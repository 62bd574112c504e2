#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cerrno>

#include "commands.h"
#include "shim/layout.h"
#include "system.h"

namespace interlink::shim {
namespace {

constexpr time_t kLookAgainS = 1;

// The containers of the pod see this process as /proc/1: its root is empty, it has no capability,
// and nobody without CAP_SYS_PTRACE may look into it.
Outcome GiveUpEverything() {
  if (unshare(CLONE_NEWNS) != 0) return Outcome::Errno(errno, "unshare the mount namespace");
  if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    return Outcome::Errno(errno, "make the root private");
  }
  // Any directory that always exists will do as the place of the new root.
  if (mount("tmpfs", "/proc", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY, "size=4k") !=
      0) {
    return Outcome::Errno(errno, "mount an empty root");
  }
  if (chdir("/proc") != 0 || syscall(SYS_pivot_root, ".", ".") != 0 ||
      umount2(".", MNT_DETACH) != 0 || chdir("/") != 0) {
    return Outcome::Errno(errno, "enter an empty root");
  }
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct none[2] = {};
  if (syscall(SYS_capset, &header, none) != 0) return Outcome::Errno(errno, "drop capabilities");
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) {
    return Outcome::Errno(errno, "give up privileges");
  }
  return {};
}

// From a parent's end, also from that of who adopted us then. Of the signals that queue.
int OrphanSignal() { return SIGRTMIN; }

// Nobody else is in our pid namespace. We are its process 1.
bool IsAlone() { return kill(-1, 0) != 0 && errno == ESRCH; }

// `may_be_orphaned`: the first OrphanSignal is of who started us and always comes; after the second
// nobody is left who could end us, and we end with the last of the others.
// REQUIRES: all signals are blocked.
int ReapUntilTerm(bool may_be_orphaned) {
  sigset_t signals;
  sigfillset(&signals);
  int parents_lost = 0;
  for (;;) {
    while (waitpid(-1, nullptr, WNOHANG) > 0) {
    }
    const bool orphaned = may_be_orphaned && parents_lost > 1;
    if (orphaned && IsAlone()) return kCommandOk;
    siginfo_t info{};
    const timespec look_again{kLookAgainS, 0};
    const int number = sigtimedwait(&signals, &info, orphaned ? &look_again : nullptr);
    if (number < 0 && errno != EINTR && errno != EAGAIN) {
      return Complain(kCommandFailed, "sigtimedwait failed");
    }
    // si_pid 0: from an outer pid namespace. A container cannot end its pod this way.
    const bool outside = info.si_code == SI_USER && info.si_pid == 0;
    if (number == OrphanSignal() && outside) ++parents_lost;
    if ((number == SIGTERM || number == SIGINT) && (outside || getpid() != 1)) return kCommandOk;
  }
}

}  // namespace

int CommandInit(int argc, char** argv) {
  // Blocked, not handled: the kernel ignores signals to a process 1 that has no handler, but never
  // blocked ones.
  sigset_t signals;
  sigfillset(&signals);
  pthread_sigmask(SIG_SETMASK, &signals, nullptr);
  uint64_t ready = 0;
  const bool with_parent = argc == 3 && std::string_view(argv[2]) == "--with-parent";
  if ((argc == 2 || with_parent) && std::string_view(argv[0]) == "--ready" &&
      ParseUnsigned(argv[1], ready)) {
    prctl(PR_SET_NAME, "interlink-init");
    const Fd told(static_cast<int>(ready));
    Outcome outcome = GiveUpEverything();
    // Last: the kernel forgets it when rights are given up.
    if (outcome.ok() && with_parent && prctl(PR_SET_PDEATHSIG, OrphanSignal(), 0, 0, 0) != 0) {
      outcome = Outcome::Errno(errno, "ask for the parent's end");
    }
    if (!outcome.ok()) {
      static_cast<void>(WriteAll(told.get(), outcome.text()));
      return kCommandFailed;
    }
  } else if (argc != 0) {
    return Complain(kCommandUsage, "usage: init [--ready FD [--with-parent]]");
  }
  return ReapUntilTerm(with_parent);
}

}  // namespace interlink::shim
