#include "engine/seccomp_profile.h"

#include <array>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <sstream>

namespace interlink::engine {
namespace {

using nlohmann::json;

// System calls that act on the caller's own files, memory, processes and sockets. A name that an
// architecture does not have is skipped by the runtime.
constexpr const char* kAlways = R"(
  read write readv writev pread64 pwrite64 preadv pwritev preadv2 pwritev2 open openat openat2 creat
  close close_range dup dup2 dup3 lseek _llseek fcntl fcntl64 flock ioctl stat lstat fstat stat64
  lstat64 fstat64 fstatat64 newfstatat statx access faccessat faccessat2 readlink readlinkat
  getdents getdents64 readdir getcwd chdir fchdir mkdir mkdirat rmdir rename renameat renameat2 link
  linkat symlink symlinkat unlink unlinkat mknod mknodat chmod fchmod fchmodat fchmodat2 chown
  chown32 fchown fchown32 fchownat lchown lchown32 umask truncate truncate64 ftruncate ftruncate64
  fallocate fadvise64 fadvise64_64 readahead sync syncfs fsync fdatasync sync_file_range
  sync_file_range2 utime utimes utimensat utimensat_time64 futimesat statfs statfs64 fstatfs
  fstatfs64 sendfile sendfile64 splice tee vmsplice copy_file_range getxattr lgetxattr fgetxattr
  setxattr lsetxattr fsetxattr listxattr llistxattr flistxattr removexattr lremovexattr
  fremovexattr getxattrat setxattrat listxattrat removexattrat name_to_handle_at inotify_init
  inotify_init1 inotify_add_watch inotify_rm_watch memfd_create cachestat
  mmap mmap2 munmap mprotect mremap madvise process_madvise msync mlock mlock2 munlock mlockall
  munlockall mincore brk membarrier memfd_secret pkey_alloc pkey_free pkey_mprotect map_shadow_stack
  remap_file_pages mseal
  poll ppoll ppoll_time64 select _newselect pselect6 pselect6_time64 epoll_create epoll_create1
  epoll_ctl epoll_ctl_old epoll_wait epoll_wait_old epoll_pwait epoll_pwait2 eventfd eventfd2
  signalfd signalfd4 pipe pipe2 timerfd_create timerfd_settime timerfd_settime64 timerfd_gettime
  timerfd_gettime64
  io_setup io_destroy io_submit io_cancel io_getevents io_pgetevents io_pgetevents_time64
  fork vfork execve execveat exit exit_group wait4 waitid waitpid kill tkill tgkill rt_sigaction
  rt_sigprocmask rt_sigpending rt_sigqueueinfo rt_tgsigqueueinfo rt_sigreturn rt_sigsuspend
  rt_sigtimedwait rt_sigtimedwait_time64 sigaction signal sigpending sigprocmask sigreturn
  sigsuspend sgetmask ssetmask sigaltstack pidfd_open pidfd_send_signal pause restart_syscall
  getpid getppid gettid getpgid getpgrp setpgid getsid setsid prctl arch_prctl set_tid_address
  set_robust_list get_robust_list futex futex_time64 futex_waitv futex_wait futex_wake
  futex_requeue rseq
  sched_yield sched_getaffinity sched_setaffinity sched_getparam sched_setparam sched_getscheduler
  sched_setscheduler sched_getattr sched_setattr sched_get_priority_max sched_get_priority_min
  sched_rr_get_interval sched_rr_get_interval_time64 getpriority setpriority nice ioprio_get
  ioprio_set getcpu
  getuid getuid32 geteuid geteuid32 getgid getgid32 getegid getegid32 getresuid getresuid32
  getresgid getresgid32 getgroups getgroups32 setuid setuid32 setgid setgid32 setreuid setreuid32
  setregid setregid32 setresuid setresuid32 setresgid setresgid32 setfsuid setfsuid32 setfsgid
  setfsgid32 setgroups setgroups32 capget capset getrlimit ugetrlimit setrlimit prlimit64 getrusage
  times sysinfo uname seccomp landlock_create_ruleset landlock_add_rule landlock_restrict_self
  getrandom
  time gettimeofday clock_gettime clock_gettime64 clock_getres clock_getres_time64 clock_nanosleep
  clock_nanosleep_time64 nanosleep adjtimex clock_adjtime clock_adjtime64 alarm getitimer setitimer
  timer_create timer_settime timer_settime64 timer_gettime timer_gettime64 timer_getoverrun
  timer_delete
  socket socketpair bind listen accept accept4 connect getsockname getpeername getsockopt setsockopt
  send sendto sendmsg sendmmsg recv recvfrom recvmsg recvmmsg recvmmsg_time64 shutdown socketcall
  shmget shmat shmdt shmctl semget semop semtimedop semtimedop_time64 semctl msgget msgsnd msgrcv
  msgctl ipc mq_open mq_unlink mq_timedsend mq_timedsend_time64 mq_timedreceive
  mq_timedreceive_time64 mq_notify mq_getsetattr
  get_thread_area set_thread_area modify_ldt ptrace process_vm_readv process_vm_writev
  arm_fadvise64_64 arm_sync_file_range breakpoint cacheflush set_tls sync_file_range2
)";

struct WithCapability {
  const char* capability;
  const char* calls;
};

constexpr std::array kWithCapability = {
    WithCapability{"CAP_DAC_READ_SEARCH", "open_by_handle_at"},
    WithCapability{"CAP_SYS_ADMIN",
                   "bpf clone clone3 fanotify_init fanotify_mark fsconfig fsmount fsopen fspick "
                   "mount mount_setattr move_mount open_tree lookup_dcookie perf_event_open "
                   "pivot_root quotactl quotactl_fd setdomainname sethostname setns syslog umount "
                   "umount2 unshare statmount listmount"},
    WithCapability{"CAP_SYS_BOOT", "reboot kexec_load kexec_file_load"},
    WithCapability{"CAP_SYS_CHROOT", "chroot"},
    WithCapability{"CAP_SYS_MODULE", "delete_module init_module finit_module"},
    WithCapability{"CAP_SYS_PACCT", "acct"},
    WithCapability{"CAP_SYS_PTRACE", "kcmp pidfd_getfd process_mrelease"},
    WithCapability{"CAP_SYS_RAWIO", "iopl ioperm"},
    WithCapability{"CAP_SYS_TIME", "settimeofday stime clock_settime clock_settime64"},
    WithCapability{"CAP_SYS_TTY_CONFIG", "vhangup"},
    WithCapability{"CAP_SYS_NICE",
                   "get_mempolicy mbind set_mempolicy set_mempolicy_home_node migrate_pages "
                   "move_pages"},
    WithCapability{"CAP_SYSLOG", "syslog"},
    WithCapability{"CAP_BPF", "bpf"},
    WithCapability{"CAP_PERFMON", "perf_event_open"},
};

// personality(2): the plain Linux and 32-bit ones, with and without UNAME26; asking.
constexpr std::array<uint64_t, 5> kPersonalities = {0x0, 0x8, 0x20000, 0x20008, 0xffffffff};

// CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET.
constexpr uint64_t kNamespaceFlags = 0x7e020000;

json Names(const char* text) {
  json names = json::array();
  std::istringstream words(text);
  for (std::string word; words >> word;) names.push_back(word);
  return names;
}

json Allow(json names) { return {{"names", std::move(names)}, {"action", "SCMP_ACT_ALLOW"}}; }

json Architectures() {
#if defined(__x86_64__)
  return {"SCMP_ARCH_X86_64", "SCMP_ARCH_X86"};
#elif defined(__aarch64__)
  return {"SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"};
#else
#error "no system call filter for this architecture"
#endif
}

}  // namespace

std::string DefaultSeccompProfile(CapabilitySet bounding) {
  json calls = json::array();
  calls.push_back(Allow(Names(kAlways)));
  for (const uint64_t value : kPersonalities) {
    json entry = Allow({"personality"});
    entry["args"] = {{{"index", 0}, {"value", value}, {"op", "SCMP_CMP_EQ"}}};
    calls.push_back(entry);
  }
  for (const auto& [capability, names] : kWithCapability) {
    if (Has(bounding, capability)) calls.push_back(Allow(Names(names)));
  }
  if (!Has(bounding, "CAP_SYS_ADMIN")) {
    json clone = Allow({"clone"});
    clone["args"] = {
        {{"index", 0}, {"value", kNamespaceFlags}, {"valueTwo", 0}, {"op", "SCMP_CMP_MASKED_EQ"}}};
    calls.push_back(clone);
    // Its flags are in memory, where a filter cannot look: libc falls back to clone.
    calls.push_back({{"names", {"clone3"}}, {"action", "SCMP_ACT_ERRNO"}, {"errnoRet", ENOSYS}});
  }
  const json profile = {{"defaultAction", "SCMP_ACT_ERRNO"},
                        {"defaultErrnoRet", EPERM},
                        {"architectures", Architectures()},
                        {"syscalls", calls}};
  return profile.dump();
}

}  // namespace interlink::engine
