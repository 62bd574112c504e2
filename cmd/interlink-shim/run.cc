#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>

#include "commands.h"
#include "container.h"
#include "loop.h"
#include "run_options.h"
#include "sessions.h"
#include "shim/layout.h"
#include "shim/pidfile.h"
#include "system.h"

namespace interlink::shim {
namespace {

constexpr int64_t kLingerMs = 10'000;
constexpr int64_t kAgainMs = 1000;
constexpr uint64_t kLongestLeaseS = uint64_t{30} * 24 * 3600;
constexpr uint64_t kMinLogLimit = uint64_t{64} * 1024;
constexpr std::string_view kUsage =
    "usage: run --dir DIR --id ID --bundle BUNDLE [--stdin] [--stdin-once] [--tty] "
    "[--log-limit BYTES] [--lease SECONDS] [--stream-owner ID] [--cgroup-procs FILE]... -- RUNTIME "
    "[arguments...]";

// The shim itself: everything that lives as long as its container.
class Shim {
 public:
  explicit Shim(const RunOptions& options)
      : lease_ms_(static_cast<int64_t>(options.lease_s) * 1000),
        lease_end_ms_(NowMs() + lease_ms_),
        container_(options, loop_, strays_),
        sessions_(options, loop_, strays_, container_) {
    container_.Connect(sessions_);
    signals_.owner = this;
    signals_.ready = OnSignal;
  }

  // Begins the creation.
  Outcome Begin();
  // Handles events until the creation has ended.
  Outcome AwaitCreation();
  // Handles events until the container has ended and everybody was told.
  void Serve();
  // After a failed creation: nothing of us stays.
  void Withdraw();

 private:
  static void OnSignal(void* self, uint32_t events);
  void Reap();
  void HandleNext(int64_t deadline_ms);
  // When the lease is over: counted from the start, from the end of the last watch or, once it has
  // acted, from its last try. -1: never, as things are.
  int64_t LeaseDeadline() const;
  void TickLease(int64_t now_ms);

  const int64_t lease_ms_;  // 0: none
  int64_t lease_end_ms_;
  Loop loop_;
  Strays strays_;
  Source signals_;
  Container container_;
  Sessions sessions_;
};

Outcome WriteShimPid() {
  PidFile file;
  char bytes[128];
  if (!IdentifyProcess(getpid(), file)) return Outcome::Errno(errno, "identify the shim");
  return ReplaceFile(kShimPidFile, {bytes, FormatPidFile(file, bytes, sizeof bytes)});
}

Outcome Shim::Begin() {
  Outcome outcome = loop_.Open();
  if (!outcome.ok()) return outcome;
  sigset_t signals;
  sigfillset(&signals);
  pthread_sigmask(SIG_SETMASK, &signals,
                  nullptr);  // but for CHLD they stay pending: TERM does nothing
  signal(SIGPIPE, SIG_IGN);
  sigemptyset(&signals);
  sigaddset(&signals, SIGCHLD);
  signals_.fd = Fd(signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals_.fd.valid()) return Outcome::Errno(errno, "signalfd");
  if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0) return Outcome::Errno(errno, "subreaper");
  outcome = loop_.Watch(signals_, EPOLLIN);
  if (outcome.ok()) outcome = WriteShimPid();
  if (outcome.ok()) outcome = sessions_.Listen();
  if (outcome.ok()) outcome = container_.Create();
  return outcome;
}

void Shim::OnSignal(void* self, uint32_t /*events*/) { static_cast<Shim*>(self)->Reap(); }

void Shim::Reap() {
  signalfd_siginfo info{};
  while (read(signals_.fd.get(), &info, sizeof info) > 0) {
  }
  int status = 0;
  pid_t pid = 0;
  while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
    if (!container_.OnReaped(pid, status) && !sessions_.OnReaped(pid, status) &&
        (container_.runtime_busy() || sessions_.runtime_busy())) {
      strays_.Add(pid, status);
    }
  }
  if (!container_.runtime_busy() && !sessions_.runtime_busy()) strays_.Clear();
}

void Shim::HandleNext(int64_t deadline_ms) {
  for (const int64_t other : {container_.Deadline(), sessions_.Deadline(), LeaseDeadline()}) {
    if (other >= 0 && (deadline_ms < 0 || other < deadline_ms)) deadline_ms = other;
  }
  const Outcome outcome = loop_.RunOnce(deadline_ms);
  if (!outcome.ok()) Note(outcome);
  const int64_t now_ms = NowMs();
  container_.Tick(now_ms);
  sessions_.Tick(now_ms);
  TickLease(now_ms);
}

int64_t Shim::LeaseDeadline() const {
  if (lease_ms_ == 0 || container_.ending() || sessions_.watched()) return -1;
  return std::max(lease_end_ms_, sessions_.watch_ended_ms() + lease_ms_);
}

// Whoever runs this container is gone, and somebody else may count on its end.
void Shim::TickLease(int64_t now_ms) {
  const int64_t deadline_ms = LeaseDeadline();
  if (deadline_ms < 0 || now_ms < deadline_ms) return;
  const Outcome ended = container_.End("ended by its lease: nobody watched it any more");
  if (!ended.ok()) Note(ended);
  lease_end_ms_ = now_ms + kAgainMs;
}

Outcome Shim::AwaitCreation() {
  while (container_.creating()) HandleNext(-1);
  return container_.creation();
}

void Shim::Serve() {
  while (!container_.recorded()) HandleNext(-1);
  const int64_t end_ms = NowMs() + kLingerMs;
  while (sessions_.busy() && NowMs() < end_ms) HandleNext(end_ms);
}

void Shim::Withdraw() {
  sessions_.StopListening();
  unlink(kPidFile);
  unlink(kExitReserve);
  unlink(kShimPidFile);
  struct stat info {};
  if (stat(kLogFile, &info) == 0 && info.st_size == 0) unlink(kLogFile);
}

// What the starter is told: the exit code of `run` as a digit, and words.
void Report(Fd report, int exit_code, const Outcome& outcome) {
  Text<1100> text;
  text.AddNumber(exit_code);
  if (!outcome.ok()) text.Add(outcome.text());
  // The starter may be gone: it does not matter to the container.
  static_cast<void>(WriteAll(report.get(), text.view()));
}

[[noreturn]] void BecomeShim(const RunOptions& options, Fd report, Fd lock) {
  ResetSignals();
  signal(SIGPIPE, SIG_IGN);
  umask(022);
  const int null = open("/dev/null", O_RDWR);
  Outcome outcome;
  if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(null, 2) < 0) {
    outcome = Outcome::Errno(errno, "/dev/null");
  }
  if (null > 2) close(null);
  if (outcome.ok()) outcome = EnterCgroups(options.cgroups, options.cgroup_count);
  Shim shim(options);
  if (outcome.ok()) outcome = shim.Begin();
  if (outcome.ok()) outcome = shim.AwaitCreation();
  if (!outcome.ok()) {
    shim.Withdraw();
    // Who is told of the failure may try again at once.
    lock.Close();
    Report(std::move(report), kCommandFailed, outcome);
    _exit(kCommandFailed);
  }
  Report(std::move(report), kCommandOk, {});
  shim.Serve();
  _exit(kCommandOk);
}

// Takes the directory: only one shim, and only once. `lock` is held as long as a copy of it is
// open.
int TakeDirectory(const RunOptions& options, Fd& lock) {
  if (chdir(options.directory) != 0) {
    return Complain(kCommandFailed, Outcome::Errno(errno, options.directory));
  }
  lock = Fd(open("lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!lock.valid()) return Complain(kCommandFailed, Outcome::Errno(errno, kLockFile));
  if (flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK)
      return Complain(kCommandExists, "run: a shim lives in this directory");
    return Complain(kCommandFailed, Outcome::Errno(errno, kLockFile));
  }
  if (access(kPidFile, F_OK) == 0 || access(kExitFile, F_OK) == 0) {
    return Complain(kCommandExists, "run: a container was in this directory before");
  }
  return kCommandOk;
}

int ReadReport(int report) {
  char bytes[1200];
  size_t size = 0;
  for (;;) {
    const ssize_t count = read(report, bytes + size, sizeof bytes - size);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    size += static_cast<size_t>(count);
  }
  if (size == 0) return Complain(kCommandFailed, "run: the shim died");
  const int code = bytes[0] - '0';
  return code == kCommandOk ? kCommandOk : Complain(code, {bytes + 1, size - 1});
}

int StartShim(const RunOptions& options) {
  // Nothing that our starter has open reaches the shim or its container.
  syscall(SYS_close_range, 3U, ~0U, 0U);
  Fd lock;
  const int taken = TakeDirectory(options, lock);
  if (taken != kCommandOk) return taken;
  Fd report_read;
  Fd report_write;
  const Outcome piped = MakePipe(report_read, report_write);
  if (!piped.ok()) return Complain(kCommandFailed, piped);
  const pid_t child = fork();
  if (child < 0) return Complain(kCommandFailed, Outcome::Errno(errno, "fork"));
  if (child == 0) {
    report_read.Close();
    setsid();
    const pid_t shim = fork();
    if (shim == 0) BecomeShim(options, std::move(report_write), std::move(lock));
    _exit(shim < 0 ? kCommandFailed : kCommandOk);
  }
  report_write.Close();
  lock.Close();
  while (waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
  }
  return ReadReport(report_read.get());
}

bool ReadRunOption(std::string_view name, Arguments& arguments, RunOptions& options) {
  if (name == "--stdin") return options.in = true;
  if (name == "--stdin-once") return options.in_once = true;
  if (name == "--tty") return options.tty = true;
  const char* value = arguments.Value();
  if (value == nullptr) return false;
  if (name == "--dir") {
    options.directory = value;
  } else if (name == "--id") {
    options.id = value;
  } else if (name == "--bundle") {
    options.bundle = value;
  } else if (name == "--log-limit") {
    return ParseUnsigned(value, options.log_limit) && options.log_limit >= kMinLogLimit;
  } else if (name == "--lease") {
    return ParseUnsigned(value, options.lease_s) && options.lease_s >= 1 &&
           options.lease_s <= kLongestLeaseS;
  } else if (name == "--stream-owner") {
    return ParseUnsigned(value, options.stream_owner) && options.stream_owner < UINT32_MAX;
  } else if (name == "--cgroup-procs" && options.cgroup_count < RunOptions::kMaxCgroups) {
    options.cgroups[options.cgroup_count++] = value;
  } else {
    return false;
  }
  return true;
}

}  // namespace

int CommandRun(int argc, char** argv) {
  RunOptions options;
  Arguments arguments(argc, argv);
  std::string_view name;
  while (arguments.Next(name)) {
    if (!ReadRunOption(name, arguments, options)) return Complain(kCommandUsage, kUsage);
  }
  options.runtime.prefix = arguments.rest();
  while (options.runtime.prefix[options.runtime.prefix_size] != nullptr) {
    ++options.runtime.prefix_size;
  }
  if (options.directory == nullptr || options.id == nullptr || options.bundle == nullptr ||
      !arguments.has_rest()) {
    return Complain(kCommandUsage, kUsage);
  }
  if (options.bundle[0] != '/' || options.runtime.prefix[0][0] != '/') {
    return Complain(kCommandUsage, "run: BUNDLE and RUNTIME are absolute paths");
  }
  if (options.id[0] == '\0' || options.id[0] == '-' || std::string_view(options.id).size() > 1024) {
    return Complain(kCommandUsage, "run: not an id");
  }
  return StartShim(options);
}

}  // namespace interlink::shim
