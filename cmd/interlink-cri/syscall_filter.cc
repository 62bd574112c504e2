#include "syscall_filter.h"

#include <sched.h>
#include <seccomp.h>
#include <sys/socket.h>

#include <cerrno>
#include <memory>

namespace interlink::cmd_cri {
namespace {

// seccomp_syscall_resolve_name knows them under these names on every architecture that has them.
constexpr const char* kDenied[] = {
    // programs and processes
    "execve", "execveat", "fork", "vfork", "ptrace", "process_vm_readv", "process_vm_writev",
    "process_madvise", "kcmp", "pidfd_getfd",
    // namespaces, mounts, the root
    "unshare", "setns", "chroot", "pivot_root", "mount", "umount", "umount2", "move_mount",
    "open_tree", "fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr", "swapon", "swapoff",
    "quotactl", "quotactl_fd", "acct", "open_by_handle_at", "name_to_handle_at",
    // the kernel and the machine
    "init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load", "reboot",
    "bpf", "perf_event_open", "syslog", "ioperm", "iopl", "sethostname", "setdomainname",
    "settimeofday", "clock_settime", "clock_adjtime", "adjtimex", "stime", "vhangup", "personality",
    "lookup_dcookie", "fanotify_init",
    // other doors to the same
    "io_uring_setup", "io_uring_enter", "io_uring_register", "userfaultfd", "add_key", "keyctl",
    "request_key", "memfd_secret", "mknod", "mknodat", "setuid", "setgid", "setreuid", "setregid",
    "setresuid", "setresgid", "setgroups", "setfsuid", "setfsgid", "capset"};

struct Release {
  void operator()(void* filter) const { seccomp_release(filter); }
};
using Filter = std::unique_ptr<void, Release>;  // scmp_filter_ctx

Status Failed(int error, const char* what) {
  return ErrnoStatus(-error, std::string("filter system calls: ") + what);
}

Status DenyNamed(scmp_filter_ctx filter) {
  for (const char* name : kDenied) {
    const int number = seccomp_syscall_resolve_name(name);
    if (number == __NR_SCMP_ERROR) continue;  // of a kernel that libseccomp does not know yet
    const int error = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), number, 0);
    if (error < 0) return Failed(error, name);
  }
  return {};
}

// A thread is made by clone with CLONE_THREAD, whose flags can be seen. Those of clone3 cannot:
// glibc takes clone where there is no clone3.
Status DenyProcesses(scmp_filter_ctx filter) {
  int error = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                               SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0));
  if (error < 0) return Failed(error, "clone");
  error = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
  return error < 0 ? Failed(error, "clone3") : Status();
}

// AF_NETLINK is how getaddrinfo looks at the machine's addresses; behind it are packets, the
// kernel's cryptography, Bluetooth and virtual machines.
Status DenySockets(scmp_filter_ctx filter) {
  int error = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(socket), 1,
                               SCMP_A0(SCMP_CMP_GT, AF_NETLINK));
  if (error < 0) return Failed(error, "socket");
  for (const int type : {SOCK_RAW, SOCK_PACKET}) {
    constexpr scmp_datum_t kType = 0xf;  // beside SOCK_NONBLOCK and SOCK_CLOEXEC
    for (const int family : {AF_INET, AF_INET6}) {
      error = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(socket), 2,
                               SCMP_A0(SCMP_CMP_EQ, static_cast<scmp_datum_t>(family)),
                               SCMP_A1(SCMP_CMP_MASKED_EQ, kType, static_cast<scmp_datum_t>(type)));
      if (error < 0) return Failed(error, "socket");
    }
  }
  return {};
}

}  // namespace

Status FilterSystemCalls() {
  const Filter filter(seccomp_init(SCMP_ACT_ALLOW));
  if (!filter) return InternalError("filter system calls: libseccomp has no memory");
  // Threads that run already; it fails where one of them has another filter.
  int error = seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_TSYNC, 1);
  if (error < 0) return Failed(error, "threads");
  error = seccomp_attr_set(filter.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
  if (error < 0) return Failed(error, "architecture");
  RETURN_IF_ERROR(DenyNamed(filter.get()));
  RETURN_IF_ERROR(DenyProcesses(filter.get()));
  RETURN_IF_ERROR(DenySockets(filter.get()));
  error = seccomp_load(filter.get());
  return error < 0 ? Failed(error, "load") : Status();
}

void StayWithinSystemCalls(Log& log) {
#ifndef INTERLINK_SANITIZED
  if (const Status status = FilterSystemCalls(); !status.ok())
    log.Warning("system calls are not filtered", {{"reason", status.message()}});
#else
  static_cast<void>(log);
#endif
}

}  // namespace interlink::cmd_cri
