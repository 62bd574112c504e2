// The small parent of an agent in a job: it has the user and mount namespaces that the pod's
// containers live in, so the agent can be killed and started again inside them.
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <cerrno>
#include <cstdint>

#include "commands.h"
#include "shim/layout.h"
#include "shim/pidfile.h"
#include "system.h"

namespace interlink::shim {
namespace {

constexpr int64_t kFirstPauseMs = 1000;
constexpr int64_t kLongestPauseMs = 30000;
constexpr int64_t kPausesOfLease = 4;  // shims end their containers when nobody came for a lease
constexpr int64_t kHealthyMs = 60000;  // a program that lived this long is started again soon

Outcome WriteMap(const char* path, unsigned long outside) {
  char line[64];
  const int size = snprintf(line, sizeof line, "0 %lu 1\n", outside);
  return WriteControlFile(path, {line, static_cast<size_t>(size)});
}

Outcome MakeUserNamespace() {
  if (unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0) return {};
  return Outcome::Errno(errno, "make a user namespace (does this machine allow them?)");
}

// An ordinary user: root of a user namespace whose only id is ours.
Outcome EnterWithOneId() {
  const unsigned long uid = geteuid();
  const unsigned long gid = getegid();
  Outcome outcome = MakeUserNamespace();
  // The kernel's condition for a map of one's own group.
  if (outcome.ok()) outcome = WriteControlFile("/proc/self/setgroups", "deny");
  if (outcome.ok()) outcome = WriteMap("/proc/self/gid_map", gid);
  if (outcome.ok()) outcome = WriteMap("/proc/self/uid_map", uid);
  return outcome;
}

using IdMap = Text<4096>;

// The ids of our user namespace, each for itself.
Outcome ReadOwnIds(const char* path, IdMap& map) {
  char bytes[4096];
  const ssize_t size = ReadSmallFile(path, bytes, sizeof bytes);
  if (size < 0) return Outcome::Errno(errno, path);
  Scanner scan({bytes, static_cast<size_t>(size)});
  std::string_view line;
  while (scan.Until('\n', line)) {
    Scanner fields(line);
    uint64_t numbers[3] = {};  // first id here, first id outside, how many
    for (uint64_t& number : numbers) {
      while (fields.Skip(" ")) {
      }
      if (!fields.Unsigned(number)) return Outcome::Words(EPROTO, "an id map is not understood");
    }
    map.AddUnsigned(numbers[0]).Add(" ").AddUnsigned(numbers[0]).Add(" ");
    map.AddUnsigned(numbers[2]).Add("\n");
  }
  return map.overflow() ? Outcome::Words(E2BIG, "an id map is too long") : Outcome();
}

// Stays outside, where the right over ids is: when `go` tells that `pid` has its namespace, gives
// it the maps, and tells "!" or words.
[[noreturn]] void GiveIds(pid_t pid, const IdMap& users, const IdMap& groups, const Fd& go,
                          const Fd& told) {
  char byte = 0;
  if (read(go.get(), &byte, 1) != 1) _exit(kCommandFailed);
  Text<64> path;
  path.Add("/proc/").AddNumber(pid).Add("/uid_map");
  Outcome written = WriteControlFile(path.c_str(), users.view());
  path.Clear();
  path.Add("/proc/").AddNumber(pid).Add("/gid_map");
  if (written.ok()) written = WriteControlFile(path.c_str(), groups.view());
  const bool sent = WriteAll(told.get(), written.ok() ? std::string_view("!") : written.text());
  _exit(sent ? kCommandOk : kCommandFailed);
}

// A container gets our /sys, and root's files are its root's: what the machine mounts there
// (cgroups, debugfs) is taken out of it. The runtime wants a file system in the place of the
// cgroups.
Outcome HideWhatIsInSys() {
  if (unshare(CLONE_NEWNS) != 0) return Outcome::Errno(errno, "unshare the mount namespace");
  if (mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0) {
    return Outcome::Errno(errno, "keep our mounts to ourselves");
  }
  if (mount("/sys", "/sys", nullptr, MS_BIND, nullptr) != 0) {
    return Outcome::Errno(errno, "cover /sys");
  }
  constexpr unsigned long kEmpty = MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY;
  if (mount("tmpfs", "/sys/fs/cgroup", "tmpfs", kEmpty, "size=4k") != 0) {
    return Outcome::Errno(errno, "cover /sys/fs/cgroup");
  }
  return {};
}

// Root: root of a user namespace that has all of our ids. Its rights end there.
Outcome EnterWithAllIds() {
  IdMap users;
  IdMap groups;
  Fd go_read;
  Fd go_write;
  Fd told_read;
  Fd told_write;
  Outcome outcome = ReadOwnIds("/proc/self/uid_map", users);
  if (outcome.ok()) outcome = ReadOwnIds("/proc/self/gid_map", groups);
  if (outcome.ok()) outcome = MakePipe(go_read, go_write);
  if (outcome.ok()) outcome = MakePipe(told_read, told_write);
  if (!outcome.ok()) return outcome;
  outcome = HideWhatIsInSys();
  if (!outcome.ok()) return outcome;
  const pid_t self = getpid();
  const pid_t helper = fork();
  if (helper < 0) return Outcome::Errno(errno, "fork");
  if (helper == 0) {
    go_write.Close();
    told_read.Close();
    GiveIds(self, users, groups, go_read, told_write);
  }
  go_read.Close();
  told_write.Close();
  outcome = MakeUserNamespace();
  if (outcome.ok() && !WriteAll(go_write.get(), "!"))
    outcome = Outcome::Errno(errno, "ask for ids");
  go_write.Close();
  char answer[1024];
  const ssize_t size = outcome.ok() ? read(told_read.get(), answer, sizeof answer) : 0;
  while (waitpid(helper, nullptr, 0) < 0 && errno == EINTR) {
  }
  if (!outcome.ok()) return outcome;
  const std::string_view words(answer, size > 0 ? static_cast<size_t>(size) : 0);
  if (words == "!") return {};
  return Outcome::Words(EPERM, words.empty() ? std::string_view("no ids were given") : words);
}

Outcome EnterOwnNamespaces() {
  const Outcome entered = geteuid() == 0 ? EnterWithAllIds() : EnterWithOneId();
  if (!entered.ok()) return entered;
  // What the machine mounts later is seen here; what is mounted here is not seen there.
  if (mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0) {
    return Outcome::Errno(errno, "keep our mounts to ourselves");
  }
  return {};
}

pid_t StartProgram(char** argv) {
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid != 0) return pid;
  ResetSignals();
  // Without us nobody would forward the job's end.
  prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
  if (getppid() != parent) _exit(126);
  execv(argv[0], argv);
  _exit(Complain(127, Outcome::Errno(errno, argv[0])));
}

bool IsEnd(int signal) { return signal == SIGTERM || signal == SIGINT || signal == SIGHUP; }

// Starts the program until it ends by itself: see README.md.
class Supervisor {
 public:
  Supervisor(char** argv, int64_t longest_pause_ms)
      : argv_(argv), longest_pause_ms_(longest_pause_ms) {
    HealPause();
    sigfillset(&signals_);
    pthread_sigmask(SIG_SETMASK, &signals_, nullptr);
  }

  int Run() {
    for (;;) {
      const int64_t began = NowMs();
      program_ = StartProgram(argv_);
      if (program_ < 0) return Complain(kCommandFailed, Outcome::Errno(errno, "fork"));
      // Not at once: it would die of it again, before it can handle it.
      tell_at_ms_ = ending_ ? began + kSettledMs : INT64_MAX;
      const int status = AwaitEnd();
      if (WIFEXITED(status) && WEXITSTATUS(status) != kCommandFailed) return WEXITSTATUS(status);
      if (NowMs() - began > kHealthyMs) HealPause();
      Complain(kCommandFailed, "the program has failed and is started again");
      Pause();
    }
  }

 private:
  void HealPause() {
    pause_ms_ = kFirstPauseMs < longest_pause_ms_ ? kFirstPauseMs : longest_pause_ms_;
  }

  // Waits for a signal, reaps what has ended; false: `until` has passed.
  bool Next(int64_t until_ms) {
    const int64_t left = until_ms - NowMs();
    if (left <= 0) return false;
    const timespec timeout{static_cast<time_t>(left / 1000), (left % 1000) * 1000000};
    const int signal = sigtimedwait(&signals_, nullptr, &timeout);
    if (IsEnd(signal)) {
      ending_ = true;
      if (program_ > 0) kill(program_, SIGTERM);
    }
    int status = 0;
    for (pid_t pid = waitpid(-1, &status, WNOHANG); pid > 0; pid = waitpid(-1, &status, WNOHANG)) {
      if (pid != program_) continue;  // a shim
      program_ = -1;
      program_status_ = status;
    }
    return true;
  }

  int AwaitEnd() {
    while (program_ > 0) {
      // Woken by every signal; the limit is only a bound.
      const int64_t bound = NowMs() + kLongestPauseMs;
      Next(bound < tell_at_ms_ ? bound : tell_at_ms_);
      if (NowMs() < tell_at_ms_) continue;
      tell_at_ms_ = INT64_MAX;
      if (program_ > 0) kill(program_, SIGTERM);
    }
    return program_status_;
  }

  void Pause() {
    const int64_t until = NowMs() + pause_ms_;
    pause_ms_ = pause_ms_ * 2 > longest_pause_ms_ ? longest_pause_ms_ : pause_ms_ * 2;
    // A job that ends has no time for pauses.
    while (!ending_ && Next(until)) {
    }
    if (ending_) SleepMs(kEndingPauseMs);
  }

  static constexpr int kEndingPauseMs = 100;
  static constexpr int64_t kSettledMs = 1000;  // from its start to where it handles signals

  char** const argv_;
  const int64_t longest_pause_ms_;
  sigset_t signals_;
  pid_t program_ = -1;
  int program_status_ = 0;
  bool ending_ = false;
  int64_t tell_at_ms_ = INT64_MAX;  // when a program that is started while the job ends hears of it
  int64_t pause_ms_ = 0;
};

}  // namespace

int CommandSupervise(int argc, char** argv) {
  Arguments arguments(argc, argv);
  std::string_view name;
  bool allow_root = false;
  uint64_t lease = 0;
  while (arguments.Next(name)) {
    const char* value = name == "--lease" ? arguments.Value() : nullptr;
    const bool leased = value != nullptr && ParseUnsigned(value, lease);
    if (name == "--allow-root") {
      allow_root = true;
    } else if (!leased || lease == 0 || lease > UINT32_MAX) {
      return Complain(kCommandUsage,
                      "usage: supervise [--allow-root] [--lease SECONDS] -- PROGRAM arguments...");
    }
  }
  if (!arguments.has_rest()) return Complain(kCommandUsage, "supervise: no program behind --");
  if (geteuid() == 0 && !allow_root) {
    return Complain(kCommandUsage,
                    "supervise: this is root, and so would be every container: give --allow-root");
  }
  const Outcome entered = EnterOwnNamespaces();
  if (!entered.ok()) return Complain(kCommandFailed, entered);
  // The shims of containers outlive the program: they come to us.
  prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  const int64_t by_lease = static_cast<int64_t>(lease) * 1000 / kPausesOfLease;
  const bool short_lease = lease != 0 && by_lease < kLongestPauseMs;
  return Supervisor(arguments.rest(), short_lease ? by_lease : kLongestPauseMs).Run();
}

}  // namespace interlink::shim
