// The making of a container with ch-run, and what runs in it first.
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cerrno>

#include "ch_run.h"
#include "commands.h"
#include "console.h"
#include "shim/layout.h"
#include "shim/pidfile.h"
#include "tree.h"

namespace interlink::shim {
namespace {

constexpr int64_t kCreateMs = 50'000;
// What `inside` finds open: its program, the launch file, where it tells create that it is there,
// the two fifos.
constexpr int kProgramFd = 3;
constexpr int kLaunchFd = 4;
constexpr int kToldFd = 5;
constexpr int kGoFd = 6;
constexpr int kSaidFd = 7;
constexpr const char* kProgram = "/proc/self/fd/3";
constexpr std::string_view kThere = "there\n";

// A namespace's identity; 0: it cannot be seen.
ino_t NamespaceOf(pid_t pid, std::string_view kind) {
  Text<64> path;
  path.Add("/proc/").AddNumber(pid).Add("/ns/").Add(kind);
  struct stat about {};
  return stat(path.c_str(), &about) == 0 ? about.st_ino : 0;
}

// Enters the namespace that `path` names, or a new one.
Outcome EnterNamespace(const char* path, int kind) {
  if (path == nullptr) return {};
  if (path[0] == '\0') {
    return unshare(kind) == 0 ? Outcome() : Outcome::Errno(errno, "unshare a namespace");
  }
  const Fd entered(open(path, O_RDONLY | O_CLOEXEC));
  if (entered.valid() && setns(entered.get(), kind) == 0) return {};
  return Outcome::Errno(errno, path);
}

// Ourselves as a file that nobody can change, and that is in nobody's file systems: what a
// container could open by /proc/PID/exe must not be what its agent runs.
Outcome CopyOurselves(Fd& copy) {
  const Fd self(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
  struct stat about {};
  copy = Fd(memfd_create("interlink-shim", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!self.valid() || !copy.valid() || fstat(self.get(), &about) != 0) {
    return Outcome::Errno(errno, "copy interlink-shim");
  }
  for (off_t left = about.st_size; left > 0;) {
    const ssize_t count = sendfile(copy.get(), self.get(), nullptr, static_cast<size_t>(left));
    if (count <= 0) return Outcome::Errno(count == 0 ? EIO : errno, "copy interlink-shim");
    left -= count;
  }
  constexpr int kSeals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
  if (fcntl(copy.get(), F_ADD_SEALS, kSeals) == 0) return {};
  return Outcome::Errno(errno, "seal the copy of interlink-shim");
}

// What is opened for the time of the making.
struct Making {
  Fd self;
  Fd told_read;
  Fd told;
  Fd console;
};

// Each at the number where `inside` looks for it, and nothing else open.
Outcome ArrangeDescriptors(const Making& making, const ContainerParts& parts) {
  constexpr int kFar = 64;
  const int order[] = {making.self.get(), parts.launch.get(), making.told.get(), parts.go.get(),
                       parts.said.get()};
  int far[5] = {};
  for (int i = 0; i < 5; ++i) {
    far[i] = fcntl(order[i], F_DUPFD_CLOEXEC, kFar);
    if (far[i] < 0) return Outcome::Errno(errno, "arrange descriptors");
  }
  for (int i = 0; i < 5; ++i) {
    if (dup2(far[i], kProgramFd + i) < 0) return Outcome::Errno(errno, "arrange descriptors");
  }
  syscall(SYS_close_range, static_cast<unsigned>(kSaidFd + 1), ~0U, 0U);
  return {};
}

[[noreturn]] void BecomeChRun(const ChRunRequest& request, const Launch& launch) {
  Text<64> uid;
  Text<64> gid;
  Text<4200> storage;
  Text<4200> temporary;
  uid.Add("--uid=").AddUnsigned(launch.user());
  gid.Add("--gid=").AddUnsigned(launch.group());
  // Where it would look for an image of that name, in everybody's /var/tmp otherwise.
  storage.Add("--storage=").Add(request.root);
  // What this names becomes its /tmp.
  temporary.Add("TMPDIR=").Add(launch.root()).Add("/tmp");
  const char* argv[12] = {request.program, uid.c_str(), gid.c_str(), "--no-passwd",
                          storage.c_str()};
  size_t count = 5;
  if (!launch.read_only()) argv[count++] = "--write";
  for (const char* word : {launch.root(), "--", kProgram, "inside"}) argv[count++] = word;
  const char* environment[] = {"USER=interlink", "PATH=/usr/bin:/bin", temporary.c_str(), nullptr};
  // execve's contract: it does not write to the strings.
  execve(request.program, const_cast<char**>(argv), const_cast<char**>(environment));
  static_cast<void>(WriteAll(kToldFd, Outcome::Errno(errno, request.program).text()));
  _exit(kCommandFailed);
}

// The child of create: everything around the container. Does not return when that is made.
Outcome MakeSurroundings(const ChRunRequest& request, const Launch& launch, const Making& making,
                         const ContainerParts& parts) {
  if (setsid() < 0) return Outcome::Errno(errno, "setsid");
  // Until the container is there it lives no longer than create.
  prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  Outcome outcome = SetOomScore(launch);
  if (outcome.ok()) outcome = EnterNamespace(launch.Namespace("uts"), CLONE_NEWUTS);
  if (outcome.ok()) outcome = EnterNamespace(launch.Namespace("ipc"), CLONE_NEWIPC);
  if (!outcome.ok()) return outcome;
  if (unshare(CLONE_NEWNS) != 0 || mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0) {
    return Outcome::Errno(errno, "make a mount namespace");
  }
  Text<64> ours;
  ours.Add("mounts ").AddUnsigned(NamespaceOf(getpid(), "mnt")).Add("\n");
  if (!WriteAll(making.told.get(), ours.view())) return Outcome::Errno(errno, "tell create");
  outcome = BuildTree(launch);
  if (outcome.ok() && launch.terminal()) {
    Fd master;
    outcome = OpenTerminal(launch.root(), master);
    if (outcome.ok()) outcome = TakeTerminal(making.console, master);
  }
  if (outcome.ok()) outcome = PutInPlace(launch.root());
  if (outcome.ok()) outcome = ArrangeDescriptors(making, parts);
  if (outcome.ok()) BecomeChRun(request, launch);
  return outcome;
}

// A container counts as made only when its first process is in a user and a mount namespace that
// are not of whoever made it, with the container's root as its own.
Outcome ProveIsolation(const ChRunRequest& request, const Launch& launch, pid_t pid,
                       ino_t surroundings) {
  Text<64> path;
  path.Add("/proc/").AddNumber(pid).Add("/root");
  struct stat its {};
  struct stat asked {};
  if (stat(path.c_str(), &its) != 0 || stat(launch.root(), &asked) != 0) {
    return Outcome::Errno(errno, "look at the container's root");
  }
  const ino_t user = NamespaceOf(pid, "user");
  const ino_t mounts = NamespaceOf(pid, "mnt");
  const char* missing = nullptr;
  if (its.st_dev != asked.st_dev || its.st_ino != asked.st_ino) missing = "root";
  if (mounts == 0 || mounts == surroundings || mounts == NamespaceOf(getpid(), "mnt")) {
    missing = "mount namespace";
  }
  if (user == 0 || user == NamespaceOf(getpid(), "user")) missing = "user namespace";
  if (missing == nullptr) return {};
  Text<1000> words;
  words.Add(Prefix(request.program, 800)).Add(" does not isolate: the container has no ");
  words.Add(missing).Add(" of its own");
  return Outcome::Words(EPERM, words.view());
}

// Reads what the child and what it becomes tell, until the container is there.
Outcome AwaitThere(const ChRunRequest& request, const Fd& told, ino_t& surroundings) {
  char bytes[1200];
  size_t size = 0;
  Text<1000> words;
  words.Add(Prefix(request.program, 800));
  const int64_t deadline = NowMs() + kCreateMs;
  for (;;) {
    Scanner scan({bytes, size});
    uint64_t number = 0;
    if (scan.Skip("mounts ") && scan.Unsigned(number) && scan.Skip("\n")) surroundings = number;
    if (scan.rest() == kThere) return {};
    pollfd entry{told.get(), POLLIN, 0};
    const int64_t left = deadline - NowMs();
    const int ready = left > 0 ? poll(&entry, 1, static_cast<int>(left)) : 0;
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) {
      return Outcome::Words(ETIMEDOUT, words.Add(" has not made a container in time").view());
    }
    const ssize_t count = read(told.get(), bytes + size, sizeof bytes - size);
    if (count > 0) {
      size += static_cast<size_t>(count);
      continue;
    }
    if (!scan.rest().empty()) return Outcome::Words(EIO, scan.rest());
    return Outcome::Words(EIO, words.Add(" has ended without a container: is it ch-run?").view());
  }
}

// What is done in the container before its start. Tells create why it failed.
Outcome PrepareInside(Launch& launch) {
  // Create may end from now on.
  prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0);
  Outcome outcome = launch.Read(kLaunchFd);
  if (outcome.ok() && (getuid() != launch.user() || getgid() != launch.group())) {
    outcome = Outcome::Words(EPERM, "ch-run has given another user or group than it was told");
  }
  if (outcome.ok()) outcome = launch.Prepare();
  for (const int fd : {kGoFd, kSaidFd}) {
    if (outcome.ok() && fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) {
      outcome = Outcome::Errno(errno, "the container's fifos");
    }
  }
  return outcome;
}

}  // namespace

Outcome SetOomScore(const Launch& launch) {
  if (launch.oom_score().empty()) return {};
  return WriteControlFile("/proc/self/oom_score_adj", launch.oom_score());
}

Outcome IdentifyInFolder(pid_t pid) {
  PidFile file;
  char bytes[128];
  if (!IdentifyProcess(pid, file)) return Outcome::Errno(errno, "identify the container");
  return ReplaceFile(kPidFile, {bytes, FormatPidFile(file, bytes, sizeof bytes)});
}

Outcome WriteRuntimePid(const char* path, pid_t pid) {
  Text<32> number;
  number.AddNumber(pid);
  const Fd file(open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (file.valid() && WriteAll(file.get(), number.view())) return {};
  return Outcome::Errno(errno, path);
}

Outcome MakeFifo(const char* name, Fd& fifo) {
  if (mkfifo(name, 0600) != 0) return Outcome::Errno(errno, name);
  // Both ways: an open that waits for nobody.
  fifo = Fd(open(name, O_RDWR | O_CLOEXEC));
  return fifo.valid() ? Outcome() : Outcome::Errno(errno, name);
}

void EndChild(pid_t pid) {
  if (pid <= 0) return;
  kill(pid, SIGKILL);
  while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
}

Outcome MakeWithChRun(const ChRunRequest& request, const Launch& launch,
                      const ContainerParts& parts, pid_t& pid) {
  Making making;
  Outcome outcome = CopyOurselves(making.self);
  if (outcome.ok()) outcome = MakePipe(making.told_read, making.told);
  if (outcome.ok() && launch.terminal()) outcome = ConnectConsole(request.console, making.console);
  // Of our children only.
  if (outcome.ok()) outcome = EnterNamespace(launch.Namespace("pid"), CLONE_NEWPID);
  if (!outcome.ok()) return outcome;
  pid = fork();
  if (pid < 0) return Outcome::Errno(errno, "fork");
  if (pid == 0) {
    const Outcome failed = MakeSurroundings(request, launch, making, parts);
    static_cast<void>(WriteAll(making.told.get(), failed.text()));
    _exit(kCommandFailed);
  }
  making.told.Close();
  ino_t surroundings = 0;
  outcome = IdentifyInFolder(pid);
  if (outcome.ok()) outcome = AwaitThere(request, making.told_read, surroundings);
  return outcome.ok() ? ProveIsolation(request, launch, pid, surroundings) : outcome;
}

int CommandInside(int /*argc*/, char** /*argv*/) {
  Launch launch;
  const Outcome prepared = PrepareInside(launch);
  const bool told = WriteAll(kToldFd, prepared.ok() ? kThere : prepared.text());
  if (!prepared.ok() || !told) return kCommandFailed;
  for (const int fd : {kProgramFd, kLaunchFd, kToldFd}) close(fd);
  char go = 0;
  ssize_t count = 0;
  do {
    count = read(kGoFd, &go, 1);
  } while (count < 0 && errno == EINTR);
  if (count != 1) return kCommandFailed;
  const Outcome failed = launch.Become();
  static_cast<void>(WriteAll(kSaidFd, failed.text()));
  return kCommandFailed;
}

}  // namespace interlink::shim
