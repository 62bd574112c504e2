#include "ch_run.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include <cerrno>

#include "commands.h"
#include "console.h"
#include "shim/layout.h"
#include "shim/pidfile.h"

namespace interlink::shim {
namespace {

constexpr int kStartMs = 8000;
constexpr int kKillMs = 5000;
constexpr std::string_view kUsage =
    "usage: ch-run --program CH_RUN --root DIR create --bundle DIR --pid-file FILE "
    "[--console-socket FILE] ID | start ID | exec --detach --process FILE --pid-file FILE "
    "[--console-socket FILE] ID | delete --force ID | try";

bool ReadRequest(int argc, char** argv, ChRunRequest& request) {
  for (int i = 0; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word == "--detach" || word == "--force") continue;
    if (Prefix(word, 2) != "--") {
      (request.verb == nullptr ? request.verb : request.id) = argv[i];
      continue;
    }
    const char* value = ++i < argc ? argv[i] : nullptr;
    const char** to = word == "--program"          ? &request.program
                      : word == "--root"           ? &request.root
                      : word == "--bundle"         ? &request.bundle
                      : word == "--process"        ? &request.process
                      : word == "--pid-file"       ? &request.pid_file
                      : word == "--console-socket" ? &request.console
                                                   : nullptr;
    if (to == nullptr || value == nullptr) return false;
    *to = value;
  }
  return request.program != nullptr && request.root != nullptr && request.verb != nullptr &&
         request.program[0] == '/' && request.root[0] == '/';
}

// The container's folder becomes the current one.
Outcome EnterFolder(const ChRunRequest& request, bool make) {
  if (request.id == nullptr || request.id[0] == '\0' || request.id[0] == '.' ||
      std::memchr(request.id, '/', std::string_view(request.id).size()) != nullptr) {
    return Outcome::Words(EINVAL, kUsage);
  }
  if (chdir(request.root) != 0) return Outcome::Errno(errno, request.root);
  if (make && mkdir(request.id, 0700) != 0) return Outcome::Errno(errno, request.id);
  return chdir(request.id) == 0 ? Outcome() : Outcome::Errno(errno, request.id);
}

Outcome RemoveFolder(const ChRunRequest& request) {
  for (const char* name : {"go", "said", kPidFile}) {
    if (unlink(name) != 0 && errno != ENOENT) return Outcome::Errno(errno, name);
  }
  if (chdir("..") == 0 && rmdir(request.id) == 0) return {};
  return Outcome::Errno(errno, request.id);
}

int Create(const ChRunRequest& request) {
  if (request.bundle == nullptr || request.pid_file == nullptr) {
    return Complain(kCommandUsage, kUsage);
  }
  Text<4200> path;
  path.Add(request.bundle).Add("/launch");
  ContainerParts parts;
  parts.launch = Fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!parts.launch.valid()) return Complain(kCommandFailed, Outcome::Errno(errno, path.view()));
  Launch launch;
  Outcome outcome = launch.Read(parts.launch.get());
  if (outcome.ok() && launch.root() == nullptr) {
    outcome = Outcome::Words(EPROTO, "the launch file has no root");
  }
  if (outcome.ok()) outcome = EnterFolder(request, true);
  if (!outcome.ok()) return Complain(kCommandFailed, outcome);
  pid_t pid = 0;
  outcome = MakeFifo("go", parts.go);
  if (outcome.ok()) outcome = MakeFifo("said", parts.said);
  if (outcome.ok()) outcome = MakeWithChRun(request, launch, parts, pid);
  if (outcome.ok()) outcome = WriteRuntimePid(request.pid_file, pid);
  if (outcome.ok()) return kCommandOk;
  EndChild(pid);
  const Outcome removed = RemoveFolder(request);
  if (!removed.ok()) Complain(kCommandFailed, removed);
  return Complain(kCommandFailed, outcome);
}

int Start(const ChRunRequest& request) {
  const Outcome entered = EnterFolder(request, false);
  if (!entered.ok()) return Complain(kCommandFailed, entered);
  const Fd said(open("said", O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  // ENXIO: nobody reads it, the container has ended.
  const Fd go(open("go", O_WRONLY | O_NONBLOCK | O_CLOEXEC));
  if (!said.valid() || !go.valid() || !WriteAll(go.get(), "!")) {
    return Complain(kCommandFailed, Outcome::Errno(errno, "the container does not wait"));
  }
  pollfd entry{said.get(), POLLIN, 0};
  int ready = 0;
  do {
    ready = poll(&entry, 1, kStartMs);
  } while (ready < 0 && errno == EINTR);
  if (ready <= 0) return Complain(kCommandFailed, "the container does not start");
  char words[1000];
  const ssize_t size = read(said.get(), words, sizeof words);
  if (size == 0) return kCommandOk;
  if (size < 0) return Complain(kCommandFailed, Outcome::Errno(errno, "the container's answer"));
  return Complain(kCommandFailed, std::string_view(words, static_cast<size_t>(size)));
}

// The namespaces of a container that lives, in the order in which they are joined.
struct Joined {
  static constexpr const char* kKinds[] = {"pid", "ipc", "uts", "user", "mnt"};
  Fd namespaces[5];

  Outcome Open() {
    char bytes[256];
    const ssize_t size = ReadSmallFile(kPidFile, bytes, sizeof bytes);
    PidFile file;
    if (size < 0 || !ParsePidFile({bytes, static_cast<size_t>(size)}, file)) {
      return Outcome::Words(ESRCH, "the container is not known");
    }
    for (size_t i = 0; i < 5; ++i) {
      Text<64> path;
      path.Add("/proc/").AddNumber(file.pid).Add("/ns/").Add(kKinds[i]);
      namespaces[i] = Fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
      if (!namespaces[i].valid()) return Outcome::Errno(errno, path.view());
    }
    // What is open is its own if it still lives.
    if (IsAlive(file) == Alive::kYes) return {};
    return Outcome::Words(ESRCH, "the container has ended");
  }
};

// The child of exec; returns only when it fails.
Outcome JoinAndBecome(Launch& launch, const Joined& joined, const Fd& console) {
  if (setsid() < 0) return Outcome::Errno(errno, "setsid");
  Outcome outcome = SetOomScore(launch);
  if (!outcome.ok()) return outcome;
  // The container's processes, of the same user, may not look into us.
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return Outcome::Errno(errno, "hide");
  for (size_t i = 1; i < 5; ++i) {
    if (setns(joined.namespaces[i].get(), 0) != 0) return Outcome::Errno(errno, Joined::kKinds[i]);
  }
  if (launch.terminal()) {
    const Fd master(open("/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NOFOLLOW));
    if (!master.valid()) return Outcome::Errno(errno, "make a terminal");
    outcome = TakeTerminal(console, master);
  }
  if (outcome.ok()) outcome = launch.Prepare();
  return outcome.ok() ? launch.Become() : outcome;
}

// Answers when the program runs: its pid is in the pid file then.
Outcome RunJoined(const ChRunRequest& request, Launch& launch, const Joined& joined,
                  const Fd& console) {
  Fd said_read;
  Fd said;
  Outcome outcome = MakePipe(said_read, said);
  // Of our children only.
  if (outcome.ok() && setns(joined.namespaces[0].get(), CLONE_NEWPID) != 0) {
    outcome = Outcome::Errno(errno, "join the pid namespace");
  }
  if (!outcome.ok()) return outcome;
  const pid_t pid = fork();
  if (pid < 0) return Outcome::Errno(errno, "fork");
  if (pid == 0) {
    const Outcome failed = JoinAndBecome(launch, joined, console);
    static_cast<void>(WriteAll(said.get(), failed.text()));
    _exit(kCommandFailed);
  }
  said.Close();
  char words[1000];
  ssize_t size = 0;
  do {
    size = read(said_read.get(), words, sizeof words);
  } while (size < 0 && errno == EINTR);
  if (size < 0) outcome = Outcome::Errno(errno, "the command's answer");
  if (size > 0) outcome = Outcome::Words(EIO, {words, static_cast<size_t>(size)});
  if (outcome.ok()) outcome = WriteRuntimePid(request.pid_file, pid);
  if (!outcome.ok()) EndChild(pid);
  return outcome;
}

int Exec(const ChRunRequest& request) {
  if (request.process == nullptr || request.pid_file == nullptr) {
    return Complain(kCommandUsage, kUsage);
  }
  const Fd file(open(request.process, O_RDONLY | O_CLOEXEC));
  if (!file.valid()) return Complain(kCommandFailed, Outcome::Errno(errno, request.process));
  Launch launch;
  Joined joined;
  Fd console;
  Outcome outcome = launch.Read(file.get());
  if (outcome.ok()) outcome = EnterFolder(request, false);
  if (outcome.ok()) outcome = joined.Open();
  if (outcome.ok() && launch.terminal()) outcome = ConnectConsole(request.console, console);
  if (outcome.ok()) outcome = RunJoined(request, launch, joined, console);
  return outcome.ok() ? kCommandOk : Complain(kCommandFailed, outcome);
}

// KILLs the container, if it lives, and forgets it.
int Delete(const ChRunRequest& request) {
  Outcome outcome = EnterFolder(request, false);
  if (outcome.error() == ENOENT) return kCommandOk;
  if (!outcome.ok()) return Complain(kCommandFailed, outcome);
  char bytes[256];
  const ssize_t size = ReadSmallFile(kPidFile, bytes, sizeof bytes);
  PidFile file;
  if (size >= 0 && ParsePidFile({bytes, static_cast<size_t>(size)}, file)) {
    const Fd process(static_cast<int>(syscall(SYS_pidfd_open, file.pid, 0)));
    if (process.valid() && IsAlive(file) == Alive::kYes) {
      pollfd entry{process.get(), POLLIN, 0};
      if (syscall(SYS_pidfd_send_signal, process.get(), SIGKILL, nullptr, 0) == 0 &&
          poll(&entry, 1, kKillMs) <= 0) {
        return Complain(kCommandFailed, "the container does not end");
      }
    }
  }
  outcome = RemoveFolder(request);
  return outcome.ok() ? kCommandOk : Complain(kCommandFailed, outcome);
}

// The trial's launch file. Nothing of it runs.
Outcome WriteTrial(const char* root, Fd& file) {
  constexpr char kFirst[] = "root\0";
  constexpr char kRest[] =
      "\0namespace\0pid\0\0"
      "mount\0/proc\0proc\0proc\0"
      "14\0"  // MS_NOSUID | MS_NODEV | MS_NOEXEC
      "0\0\0"
      "user\0"
      "1000\0"
      "1000\0"
      "folder\0/\0"
      "word\0/proc/self/exe";  // and the NUL that ends the array
  file = Fd(memfd_create("trial", MFD_CLOEXEC));
  if (file.valid() && WriteAll(file.get(), {kFirst, sizeof kFirst - 1}) &&
      WriteAll(file.get(), root) && WriteAll(file.get(), {kRest, sizeof kRest})) {
    return {};
  }
  return Outcome::Errno(errno, "write a launch file");
}

// Makes a container of nothing and ends it: whether this program can, on this machine.
Outcome MakeTrial(const ChRunRequest& request, const char* root, pid_t& pid) {
  ContainerParts parts;
  Launch launch;
  Outcome outcome = WriteTrial(root, parts.launch);
  if (outcome.ok()) outcome = launch.Read(parts.launch.get());
  if (outcome.ok()) outcome = MakeFifo("go", parts.go);
  if (outcome.ok()) outcome = MakeFifo("said", parts.said);
  return outcome.ok() ? MakeWithChRun(request, launch, parts, pid) : outcome;
}

// Makes a container of nothing and ends it: whether this program can, on this machine. In a file
// system of its own at the root.
int Try(const ChRunRequest& request) {
  Text<4200> root;
  Text<4200> state;
  root.Add(request.root).Add("/rootfs");
  state.Add(request.root).Add("/state");
  if (unshare(CLONE_NEWNS) != 0 || mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0 ||
      mount("tmpfs", request.root, "tmpfs", MS_NOSUID | MS_NODEV, "size=1m,mode=755") != 0 ||
      mkdir(root.c_str(), 0755) != 0 || mkdir(state.c_str(), 0700) != 0 ||
      chdir(state.c_str()) != 0) {
    return Complain(kCommandRefused, Outcome::Errno(errno, "make a place for a trial"));
  }
  ChRunRequest trial;
  trial.program = request.program;
  trial.root = state.c_str();
  pid_t pid = 0;
  const Outcome outcome = MakeTrial(trial, root.c_str(), pid);
  EndChild(pid);
  return outcome.ok() ? kCommandOk : Complain(kCommandRefused, outcome);
}

constexpr struct {
  std::string_view name;
  int (*run)(const ChRunRequest& request);
} kVerbs[] = {
    {"create", Create}, {"start", Start}, {"exec", Exec}, {"delete", Delete}, {"try", Try}};

}  // namespace

int CommandChRun(int argc, char** argv) {
  ChRunRequest request;
  if (!ReadRequest(argc, argv, request)) return Complain(kCommandUsage, kUsage);
  for (const auto& verb : kVerbs) {
    if (verb.name == request.verb) return verb.run(request);
  }
  return Complain(kCommandUsage, kUsage);
}

}  // namespace interlink::shim
