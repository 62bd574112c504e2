#include <fcntl.h>
#include <grp.h>
#include <linux/magic.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>

#include <cerrno>

#include "commands.h"
#include "shim/layout.h"
#include "shim/pidfile.h"
#include "sysctl.h"
#include "system.h"

namespace interlink::shim {
namespace {

constexpr const char* kInitPidFile = "init.pid";
constexpr const char* kProc = "proc";
constexpr int kInitEndMs = 5000;

// A kind of namespace: its file in DIR has the name of its entry in /proc/PID/ns.
constexpr struct {
  const char* name;
  std::string_view option;
  int flag;
} kKinds[] = {
    {"user", "", CLONE_NEWUSER},  // has a value: ReadPinOption
    {"net", "--net", CLONE_NEWNET}, {"ipc", "--ipc", CLONE_NEWIPC},
    {"uts", "--uts", CLONE_NEWUTS}, {"pid", "--pid", CLONE_NEWPID},
};

struct PinOptions {
  static constexpr size_t kMaxEntries = 64;
  const char* directory = nullptr;
  const char* hostname = nullptr;
  int flags = 0;
  bool proc = false;
  // The new user namespace: its ids 0..length-1 are the ids from `host_id` on, here.
  uint64_t host_id = 0;
  uint64_t length = 0;
  const char* user_namespace = nullptr;  // one that exists: the others are made in it
  const char* sysctls[kMaxEntries] = {};
  size_t sysctl_count = 0;
  const char* cgroups[kMaxEntries] = {};
  size_t cgroup_count = 0;
};

// "HOST_ID:LENGTH"
bool ReadIdMap(std::string_view text, PinOptions& options) {
  constexpr uint64_t kIds = 1ULL << 32U;
  Scanner scan(text);
  if (!scan.Unsigned(options.host_id) || !scan.Skip(":") || !scan.Unsigned(options.length) ||
      !scan.rest().empty()) {
    return false;
  }
  options.flags |= CLONE_NEWUSER;
  // The last number is the kernel's "no id".
  return options.length > 0 && options.length < kIds && options.host_id < kIds - options.length;
}

bool ReadPinOption(std::string_view name, Arguments& arguments, PinOptions& options) {
  for (const auto& kind : kKinds) {
    if (name == kind.option) {
      options.flags |= kind.flag;
      return true;
    }
  }
  if (name == "--proc") return options.proc = true;
  const char* value = arguments.Value();
  if (value == nullptr) return false;
  if (name == "--dir") {
    options.directory = value;
  } else if (name == "--user") {
    return ReadIdMap(value, options);
  } else if (name == "--user-namespace") {
    options.user_namespace = value;
  } else if (name == "--hostname") {
    options.hostname = value;
  } else if (name == "--sysctl" && options.sysctl_count < PinOptions::kMaxEntries) {
    options.sysctls[options.sysctl_count++] = value;
  } else if (name == "--cgroup-procs" && options.cgroup_count < PinOptions::kMaxEntries) {
    options.cgroups[options.cgroup_count++] = value;
  } else {
    return false;
  }
  return true;
}

bool IsPinned(const char* name) {
  struct statfs info {};
  return statfs(name, &info) == 0 && info.f_type == NSFS_MAGIC;
}

Outcome LoopbackUp() {
  const Fd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return Outcome::Errno(errno, "socket");
  ifreq request{};
  request.ifr_name[0] = 'l';
  request.ifr_name[1] = 'o';
  if (ioctl(fd.get(), SIOCGIFFLAGS, &request) != 0) return Outcome::Errno(errno, "flags of lo");
  request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_UP);
  if (ioctl(fd.get(), SIOCSIFFLAGS, &request) != 0) return Outcome::Errno(errno, "set lo up");
  return {};
}

// Becomes root of the user namespace: what is written and started from here on has no other rights.
Outcome BecomeMappedRoot() {
  if (setgroups(0, nullptr) != 0 || setresgid(0, 0, 0) != 0 || setresuid(0, 0, 0) != 0) {
    return Outcome::Errno(errno, "become root of the user namespace");
  }
  return {};
}

// Sets those sysctls that are, or are not, the uts namespace's.
Outcome WriteSysctls(const PinOptions& options, bool uts) {
  for (size_t i = 0; i < options.sysctl_count; ++i) {
    if (CheckSysctl(options.sysctls[i], CLONE_NEWUTS).ok() != uts) continue;
    Outcome set = WriteSysctl(options.sysctls[i], options.flags);
    if (!set.ok()) return set;
  }
  return {};
}

// Writes "0 HOST_ID LENGTH" to a map of the child's new user namespace.
Outcome WriteIdMap(const PinOptions& options, pid_t child, std::string_view name) {
  Text<64> path;
  path.Add("/proc/").AddNumber(child).Add("/").Add(name);
  Text<64> map;
  map.Add("0 ").AddUnsigned(options.host_id).Add(" ").AddUnsigned(options.length);
  return WriteControlFile(path.c_str(), map.view());
}

// The child's half of the maps: asks for them with "?", and waits for the answer.
Outcome AwaitIdMaps(const Fd& ready, const Fd& release) {
  char go = 0;
  if (!WriteAll(ready.get(), "?")) return Outcome::Errno(errno, "ask for id maps");
  ssize_t count = 0;
  do {
    count = read(release.get(), &go, 1);
  } while (count < 0 && errno == EINTR);
  return count == 1 ? Outcome() : Outcome::Words(EIO, "no id maps");
}

// The parent's half. Without the question the child's words are left for ReadAnswer, but for the
// first byte: `first`.
Outcome GiveIdMaps(const PinOptions& options, pid_t child, int ready, int release, char& first) {
  ssize_t count = 0;
  do {
    count = read(ready, &first, 1);
  } while (count < 0 && errno == EINTR);
  if (count != 1) return Outcome::Words(EIO, "the child died");
  if (first != '?') return {};
  first = 0;
  Outcome written = WriteIdMap(options, child, "gid_map");
  if (written.ok()) written = WriteIdMap(options, child, "uid_map");
  if (written.ok() && !WriteAll(release, "!")) return Outcome::Errno(errno, "answer the child");
  return written;
}

// In the child: makes the namespaces and fills them.
Outcome MakeNamespaces(const PinOptions& options, const Fd& ready, const Fd& release) {
  // First, while we may: init inherits it.
  Outcome outcome = EnterCgroups(options.cgroups, options.cgroup_count);
  if (!outcome.ok()) return outcome;
  if (options.user_namespace != nullptr) {
    const Fd user(open(options.user_namespace, O_RDONLY | O_CLOEXEC));
    if (!user.valid() || setns(user.get(), CLONE_NEWUSER) != 0) {
      return Outcome::Errno(errno, "enter the user namespace");
    }
  }
  // Of several at once the user namespace is the first one: it owns the others.
  if (unshare(options.flags) != 0) return Outcome::Errno(errno, "unshare");
  const bool made_user = (options.flags & CLONE_NEWUSER) != 0;
  if (made_user) outcome = AwaitIdMaps(ready, release);
  if (outcome.ok() && (options.flags & CLONE_NEWNET) != 0) outcome = LoopbackUp();
  if (!outcome.ok()) return outcome;
  if (options.hostname != nullptr &&
      sethostname(options.hostname, std::string_view(options.hostname).size()) != 0) {
    return Outcome::Errno(errno, "set the hostname");
  }
  // The kernel lets the machine's root write those of uts, and the namespace's root those of ipc.
  outcome = WriteSysctls(options, true);
  if (outcome.ok() && (made_user || options.user_namespace != nullptr)) {
    outcome = BecomeMappedRoot();
  }
  return outcome.ok() ? WriteSysctls(options, false) : outcome;
}

// Mounts the proc file system of our pid namespace in the current directory, for containers whose
// own user namespaces may not. REQUIRES: we are in that pid namespace.
Outcome MountProc() {
  if (mkdir(kProc, 0555) != 0 && errno != EEXIST) return Outcome::Errno(errno, kProc);
  if (mount("proc", kProc, "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) != 0) {
    return Outcome::Errno(errno, "mount the pod's proc (is part of /proc hidden here?)");
  }
  return {};
}

// Process 1 of the new pid namespace; `ready` is closed when it is, with words when it failed.
[[noreturn]] void BecomeInit(const PinOptions& options, const Fd& ready) {
  setsid();
  const Outcome mounted = options.proc ? MountProc() : Outcome();
  if (!mounted.ok()) {
    static_cast<void>(WriteAll(ready.get(), mounted.text()));
    _exit(kCommandFailed);
  }
  const int null = open("/dev/null", O_RDWR);
  // `ready` may be any number: it goes where the close_range below spares it.
  if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(null, 2) < 0 ||
      (ready.get() != 3 && dup2(ready.get(), 3) < 0) || fcntl(3, F_SETFD, 0) != 0) {
    _exit(kCommandFailed);
  }
  syscall(SYS_close_range, 4U, ~0U, 0U);
  char program[] = "interlink-shim";
  char command[] = "init";
  char option[] = "--ready";
  char number[] = "3";
  char with_parent[] = "--with-parent";
  char* argv[] = {program, command, option, number, options.proc ? with_parent : nullptr, nullptr};
  char* environment[] = {nullptr};
  execve("/proc/self/exe", argv, environment);
  static_cast<void>(WriteAll(3, Outcome::Errno(errno, "exec init").text()));
  _exit(kCommandFailed);
}

// The child: lives in the new namespaces until `release` ends, so that they can be pinned. It tells
// "!" and init's pid, or words.
[[noreturn]] void LiveInside(const PinOptions& options, Fd ready, Fd release) {
  ResetSignals();
  const Outcome made = MakeNamespaces(options, ready, release);
  if (!made.ok()) {
    static_cast<void>(WriteAll(ready.get(), made.text()));
    _exit(kCommandFailed);
  }
  pid_t init = 0;
  if ((options.flags & CLONE_NEWPID) != 0) {
    init = fork();
    if (init == 0) BecomeInit(options, ready);
  }
  Text<64> answer;
  answer.Add("!").AddNumber(init).Add("\n");
  if (init < 0) answer.Clear();
  if (!WriteAll(ready.get(), answer.view())) _exit(kCommandFailed);
  ready.Close();
  char end = 0;
  while (read(release.get(), &end, 1) < 0 && errno == EINTR) {
  }
  _exit(kCommandOk);
}

// Ends the process, TERM first. True: it is gone.
bool EndInit(const PidFile& init) {
  const Fd fd(static_cast<int>(syscall(SYS_pidfd_open, init.pid, 0)));
  if (!fd.valid()) return errno == ESRCH;
  // The descriptor is of that very process only if it lives now that we hold it.
  if (IsAlive(init) == Alive::kNo) return true;
  for (const int number : {SIGTERM, SIGKILL}) {
    if (syscall(SYS_pidfd_send_signal, fd.get(), number, nullptr, 0) != 0 && errno == ESRCH) {
      return true;
    }
    pollfd entry{fd.get(), POLLIN, 0};
    if (poll(&entry, 1, kInitEndMs) > 0) return true;
  }
  return false;
}

// Undoes `pin` in the current directory, as much of it as there is.
Outcome Unpin() {
  Outcome outcome;
  char bytes[256];
  const ssize_t size = ReadSmallFile(kInitPidFile, bytes, sizeof bytes);
  PidFile init;
  if (size >= 0 && ParsePidFile({bytes, static_cast<size_t>(size)}, init) && !EndInit(init)) {
    return Outcome::Words(EBUSY, "init of the pod does not end");
  }
  while (umount2(kProc, MNT_DETACH | UMOUNT_NOFOLLOW) == 0) {
  }
  if (rmdir(kProc) != 0 && errno != ENOENT) outcome = Outcome::Errno(errno, kProc);
  for (const auto& kind : kKinds) {
    while (umount2(kind.name, MNT_DETACH | UMOUNT_NOFOLLOW) == 0) {
    }
    if (unlink(kind.name) != 0 && errno != ENOENT) outcome = Outcome::Errno(errno, kind.name);
  }
  if (unlink(kInitPidFile) != 0 && errno != ENOENT) outcome = Outcome::Errno(errno, kInitPidFile);
  return outcome;
}

// Reads what the child and init told until both closed their ends: init's pid, or why not.
// `first`: a byte that was read before; 0: none.
Outcome ReadAnswer(int ready, char first, pid_t& init) {
  char bytes[1100];
  size_t size = 0;
  if (first != 0) bytes[size++] = first;
  for (;;) {
    const ssize_t count = read(ready, bytes + size, sizeof bytes - size);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    size += static_cast<size_t>(count);
  }
  Scanner scan({bytes, size});
  int64_t pid = 0;
  if (!scan.Skip("!") || !scan.Number(pid) || !scan.Skip("\n")) {
    return Outcome::Words(EIO, size == 0 ? std::string_view("the child died") : scan.rest());
  }
  init = static_cast<pid_t>(pid);
  if (!scan.rest().empty()) return Outcome::Words(EIO, scan.rest());
  return {};
}

Outcome BindNamespace(pid_t pid, const char* name) {
  const Fd target(open(name, O_RDONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!target.valid()) return Outcome::Errno(errno, name);
  Text<64> source;
  source.Add("/proc/").AddNumber(pid).Add("/ns/").Add(name);
  if (mount(source.c_str(), name, nullptr, MS_BIND, nullptr) != 0) {
    return Outcome::Errno(errno, name);
  }
  return {};
}

Outcome PinAll(const PinOptions& options, pid_t child, pid_t init) {
  if (init > 0) {
    PidFile file;
    char bytes[128];
    if (!IdentifyProcess(init, file)) return Outcome::Errno(errno, "init of the pod");
    Outcome written = ReplaceFile(kInitPidFile, {bytes, FormatPidFile(file, bytes, sizeof bytes)});
    if (!written.ok()) return written;
  }
  for (const auto& kind : kKinds) {
    if ((options.flags & kind.flag) == 0) continue;
    Outcome bound = BindNamespace(kind.flag == CLONE_NEWPID ? init : child, kind.name);
    if (!bound.ok()) return bound;
  }
  return {};
}

Outcome Pin(const PinOptions& options) {
  Fd ready_read;
  Fd ready_write;
  Fd release_read;
  Fd release_write;
  Outcome outcome = MakePipe(ready_read, ready_write);
  if (outcome.ok()) outcome = MakePipe(release_read, release_write);
  if (!outcome.ok()) return outcome;
  const pid_t child = fork();
  if (child < 0) return Outcome::Errno(errno, "fork");
  if (child == 0) {
    ready_read.Close();
    release_write.Close();
    LiveInside(options, std::move(ready_write), std::move(release_read));
  }
  ready_write.Close();
  pid_t init = 0;
  char first = 0;
  if ((options.flags & CLONE_NEWUSER) != 0) {
    outcome = GiveIdMaps(options, child, ready_read.get(), release_write.get(), first);
    if (!outcome.ok()) release_write.Close();  // the child tells that it has none, and ends
  }
  const Outcome answer = ReadAnswer(ready_read.get(), first, init);
  if (outcome.ok()) outcome = answer;
  if (outcome.ok()) outcome = PinAll(options, child, init);
  if (!outcome.ok() && init > 0) kill(init, SIGKILL);  // our grandchild: reaped by nobody before
  release_write.Close();
  while (waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
  }
  if (!outcome.ok()) static_cast<void>(Unpin());
  return outcome;
}

}  // namespace

int CommandPin(int argc, char** argv) {
  constexpr std::string_view kUsage =
      "usage: pin --dir DIR [--user HOST_ID:LENGTH] [--user-namespace FILE] [--net] [--ipc] "
      "[--uts] "
      "[--pid [--proc]] [--hostname NAME] [--sysctl NAME=VALUE]... [--cgroup-procs FILE]...";
  PinOptions options;
  Arguments arguments(argc, argv);
  std::string_view name;
  while (arguments.Next(name)) {
    if (!ReadPinOption(name, arguments, options)) return Complain(kCommandUsage, kUsage);
  }
  if (options.directory == nullptr || options.flags == 0) return Complain(kCommandUsage, kUsage);
  if (options.hostname != nullptr && (options.flags & CLONE_NEWUTS) == 0) {
    return Complain(kCommandUsage, "pin: --hostname needs --uts");
  }
  if (options.proc && (options.flags & CLONE_NEWPID) == 0) {
    return Complain(kCommandUsage, "pin: --proc needs --pid");
  }
  if (options.user_namespace != nullptr && (options.flags & CLONE_NEWUSER) != 0) {
    return Complain(kCommandUsage, "pin: --user or --user-namespace, not both");
  }
  for (size_t i = 0; i < options.sysctl_count; ++i) {
    const Outcome allowed = CheckSysctl(options.sysctls[i], options.flags);
    if (!allowed.ok()) return Complain(kCommandUsage, allowed);
  }
  if (chdir(options.directory) != 0) {
    return Complain(kCommandFailed, Outcome::Errno(errno, options.directory));
  }
  for (const auto& kind : kKinds) {
    if (IsPinned(kind.name)) return Complain(kCommandExists, "pin: pinned already");
  }
  const Outcome outcome = Pin(options);
  return outcome.ok() ? kCommandOk : Complain(kCommandFailed, outcome);
}

int CommandUnpin(int argc, char** argv) {
  if (argc != 2 || std::string_view(argv[0]) != "--dir") {
    return Complain(kCommandUsage, "usage: unpin --dir DIR");
  }
  if (chdir(argv[1]) != 0) {
    if (errno == ENOENT) return kCommandOk;
    return Complain(kCommandFailed, Outcome::Errno(errno, argv[1]));
  }
  const Outcome outcome = Unpin();
  return outcome.ok() ? kCommandOk : Complain(kCommandFailed, outcome);
}

}  // namespace interlink::shim
