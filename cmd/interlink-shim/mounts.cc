#include "mounts.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/vfs.h>

#include <cerrno>

#include "commands.h"
#include "shim/layout.h"
#include "shim/pidfile.h"

namespace interlink::shim {
namespace {

constexpr const char* kCgroups = "/sys/fs/cgroup";
constexpr const char* kUnified = "/sys/fs/cgroup/unified";
constexpr size_t kMaxPrefix = 32;

bool HybridCgroups() {
  struct statfs info {};
  if (statfs(kCgroups, &info) != 0 || info.f_type != TMPFS_MAGIC) return false;
  char controllers[256];
  return ReadSmallFile("/sys/fs/cgroup/unified/cgroup.controllers", controllers,
                       sizeof controllers) > 1;
}

void RedirectOrDie(int from, int to) {
  const int source = from >= 0 ? from : open("/dev/null", O_RDWR | O_CLOEXEC);
  if (source < 0 || dup2(source, to) < 0) _exit(126);
}

}  // namespace

Outcome EnterRuntimeMounts() {
  if (!HybridCgroups()) return {};
  if (unshare(CLONE_NEWNS) != 0) return Outcome::Errno(errno, "unshare the mount namespace");
  // Private first: the umount below must not reach the host's /sys/fs/cgroup.
  if (mount(nullptr, kCgroups, nullptr, MS_PRIVATE, nullptr) != 0) {
    return Outcome::Errno(errno, "make /sys/fs/cgroup private");
  }
  if (umount2(kUnified, MNT_DETACH) == 0) return {};
  // Locked by an outer user namespace: cover it instead.
  if (mount("tmpfs", kUnified, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=4k") != 0) {
    return Outcome::Errno(errno, "hide /sys/fs/cgroup/unified");
  }
  return {};
}

pid_t StartRuntime(const Runtime& runtime, const RuntimeCall& call) {
  if (runtime.prefix_size == 0 || runtime.prefix_size > kMaxPrefix) {
    errno = EINVAL;
    return -1;
  }
  const pid_t pid = fork();
  if (pid != 0) return pid;
  ResetSignals();
  setsid();
  RedirectOrDie(call.in, STDIN_FILENO);
  RedirectOrDie(call.out, STDOUT_FILENO);
  RedirectOrDie(call.err, STDERR_FILENO);
  char* argv[kMaxPrefix + RuntimeCall::kMaxArguments + 1];
  size_t count = 0;
  for (size_t i = 0; i < runtime.prefix_size; ++i) argv[count++] = runtime.prefix[i];
  // execv's contract: it does not write to the strings.
  for (size_t i = 0; i < call.size; ++i) argv[count++] = const_cast<char*>(call.arguments[i]);
  argv[count] = nullptr;
  const Outcome mounts = EnterRuntimeMounts();
  if (!mounts.ok()) _exit(Complain(126, mounts));
  execv(argv[0], argv);
  _exit(Complain(126, Outcome::Errno(errno, argv[0])));
}

int CommandOci(int argc, char** argv) {
  Arguments arguments(argc, argv);
  std::string_view name;
  if (arguments.Next(name)) return Complain(kCommandUsage, "usage: oci -- RUNTIME arguments...");
  if (!arguments.has_rest()) return Complain(kCommandUsage, "oci: no runtime behind --");
  const Outcome mounts = EnterRuntimeMounts();
  if (!mounts.ok()) return Complain(kCommandFailed, mounts);
  execvp(arguments.rest()[0], arguments.rest());
  return Complain(kCommandFailed, Outcome::Errno(errno, arguments.rest()[0]));
}

}  // namespace interlink::shim
