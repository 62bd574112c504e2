#include "base/spawn.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <optional>

namespace interlink {
namespace {

constexpr int kSignalCode = 128;  // a signal's code is that much more

// RAII of the two posix_spawn objects.
class Actions {
 public:
  Actions() {
    posix_spawn_file_actions_init(&files_);
    posix_spawnattr_init(&attributes_);
  }
  ~Actions() {
    posix_spawn_file_actions_destroy(&files_);
    posix_spawnattr_destroy(&attributes_);
  }
  Actions(const Actions&) = delete;
  Actions& operator=(const Actions&) = delete;

  posix_spawn_file_actions_t* files() { return &files_; }
  posix_spawnattr_t* attributes() { return &attributes_; }

 private:
  posix_spawn_file_actions_t files_{};
  posix_spawnattr_t attributes_{};
};

// Children start with default signals and an empty mask, whatever the daemon's threads have.
void ResetSignals(posix_spawnattr_t* attributes, bool new_session) {
  sigset_t none;
  sigset_t all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(attributes, &none);
  posix_spawnattr_setsigdefault(attributes, &all);
  int flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
  if (new_session) flags |= POSIX_SPAWN_SETSID;
  posix_spawnattr_setflags(attributes, static_cast<short>(flags));
}

// Gives the child exactly the descriptors named. Ours are first moved above every target, so that
// no dup2 overwrites a source that a later one needs; dup2 clears FD_CLOEXEC, all else has it or is
// closed.
Status MapDescriptors(const SpawnOptions& options, Actions& actions, std::vector<UniqueFd>& moved) {
  int highest = 2;
  for (const auto& [ours, theirs] : options.descriptors) highest = std::max(highest, theirs);
  std::array<bool, 3> named{};
  for (const auto& [ours, theirs] : options.descriptors) {
    const int copy = fcntl(ours, F_DUPFD_CLOEXEC, highest + 1);
    if (copy < 0) return ErrnoStatus(errno, "duplicate a descriptor for a child");
    moved.emplace_back(copy);
    posix_spawn_file_actions_adddup2(actions.files(), copy, theirs);
    if (theirs >= 0 && theirs < 3) named.at(static_cast<size_t>(theirs)) = true;
  }
  for (int fd = 0; fd < 3; ++fd) {
    if (!named.at(static_cast<size_t>(fd))) {
      posix_spawn_file_actions_addopen(actions.files(), fd, "/dev/null",
                                       fd == 0 ? O_RDONLY : O_WRONLY, 0);
    }
  }
  // Libraries open descriptors without O_CLOEXEC now and then: nothing above the named ones
  // survives.
  posix_spawn_file_actions_addclosefrom_np(actions.files(), highest + 1);
  return {};
}

std::vector<char*> Pointers(const std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  pointers.reserve(texts.size() + 1);
  for (const std::string& text : texts) pointers.push_back(const_cast<char*>(text.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

int PollMillis(const Call& call) {
  // 50 ms bounds how late a cancellation is seen; ends of children wake the poll by themselves.
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(call.remaining()).count();
  return static_cast<int>(std::clamp<int64_t>(left, 0, 50));
}

Exit Decode(const siginfo_t& info) {
  if (info.si_code == CLD_EXITED) return {info.si_status, 0};
  return {kSignalCode + info.si_status, info.si_status};
}

std::optional<Exit> TryReap(const Child& child) {
  siginfo_t info{};
  if (waitid(P_PID, static_cast<id_t>(child.pid), &info, WEXITED | WNOHANG) == 0 &&
      info.si_pid != 0) {
    return Decode(info);
  }
  return std::nullopt;
}

void KillAndReap(const Child& child) {
  ::kill(child.leads_group ? -child.pid : child.pid, SIGKILL);
  siginfo_t info{};
  while (waitid(P_PID, static_cast<id_t>(child.pid), &info, WEXITED) != 0 && errno == EINTR) {
  }
}

Status MakePipe(UniqueFd& read_end, UniqueFd& write_end) {
  std::array<int, 2> fds{};
  if (pipe2(fds.data(), O_CLOEXEC) != 0) return ErrnoStatus(errno, "pipe");
  read_end = UniqueFd(fds[0]);
  write_end = UniqueFd(fds[1]);
  return {};
}

// One collected stream: keeps the first `limit` bytes, reads on so that the child never blocks.
struct Collector {
  UniqueFd fd;
  std::string* text;
  size_t limit;

  void Read() {
    std::array<char, 16384> buffer;
    const ssize_t n = ::read(fd.get(), buffer.data(), buffer.size());
    if (n > 0) {
      const size_t room = limit - std::min(limit, text->size());
      text->append(buffer.data(), std::min(room, static_cast<size_t>(n)));
    } else if (n == 0 || (errno != EINTR && errno != EAGAIN)) {
      fd.Reset();
    }
  }
};

void DrainNow(Collector& collector) {
  if (!collector.fd) return;
  fcntl(collector.fd.get(), F_SETFL, O_NONBLOCK);
  pollfd item{collector.fd.get(), POLLIN, 0};
  while (collector.fd && ::poll(&item, 1, 0) > 0 && (item.revents & POLLIN) != 0) collector.Read();
}

void Feed(UniqueFd& fd, std::string_view& input) {
  if (input.empty()) {
    fd.Reset();
    return;
  }
  const ssize_t n = ::write(fd.get(), input.data(), input.size());
  if (n > 0) {
    input.remove_prefix(static_cast<size_t>(n));
  } else if (errno != EINTR && errno != EAGAIN) {
    fd.Reset();
  }
  if (input.empty()) fd.Reset();
}

}  // namespace

Result<Child> Spawn(const SpawnOptions& options) {
  if (options.argv.empty()) return InvalidArgument("no program to start");
  Actions actions;
  std::vector<UniqueFd> moved;
  RETURN_IF_ERROR(MapDescriptors(options, actions, moved));
  ResetSignals(actions.attributes(), options.new_session);
  std::vector<std::string> environment = options.environment;
  if (environment.empty()) {
    environment = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"};
  }
  Child child;
  const int error =
      posix_spawnp(&child.pid, options.argv[0].c_str(), actions.files(), actions.attributes(),
                   Pointers(options.argv).data(), Pointers(environment).data());
  if (error != 0) return ErrnoStatus(error, "start \"" + options.argv[0] + "\"");
  child.leads_group = options.new_session;
  child.pidfd = UniqueFd(static_cast<int>(syscall(SYS_pidfd_open, child.pid, 0)));
  if (!child.pidfd) {
    const Status status = ErrnoStatus(errno, "pidfd of \"" + options.argv[0] + "\"");
    KillAndReap(child);
    return status;
  }
  return child;
}

Result<Exit> WaitOrKill(const Call& call, Child child) {
  while (true) {
    if (auto exit = TryReap(child)) return *exit;
    const Status status = call.Check("wait for a child");
    if (!status.ok()) {
      KillAndReap(child);
      return status;
    }
    pollfd item{child.pidfd.get(), POLLIN, 0};
    ::poll(&item, 1, PollMillis(call));
  }
}

Result<Output> RunCommand(const Call& call, const SpawnOptions& options, std::string_view input,
                          size_t limit) {
  ASSIGN_OR_RETURN(Output output, RunOrKill(call, options, input, limit));
  RETURN_IF_ERROR(output.killed);
  return output;
}

Result<Output> RunOrKill(const Call& call, const SpawnOptions& options, std::string_view input,
                         size_t limit) {
  UniqueFd in_read;
  UniqueFd in_write;
  UniqueFd out_read;
  UniqueFd out_write;
  UniqueFd err_read;
  UniqueFd err_write;
  RETURN_IF_ERROR(MakePipe(in_read, in_write));
  RETURN_IF_ERROR(MakePipe(out_read, out_write));
  RETURN_IF_ERROR(MakePipe(err_read, err_write));
  SpawnOptions with_pipes = options;
  with_pipes.descriptors.insert(with_pipes.descriptors.end(),
                                {{in_read.get(), 0}, {out_write.get(), 1}, {err_write.get(), 2}});
  ASSIGN_OR_RETURN(Child child, Spawn(with_pipes));
  in_read.Reset();
  out_write.Reset();
  err_write.Reset();
  fcntl(in_write.get(), F_SETFL, O_NONBLOCK);

  Output output;
  Collector out{std::move(out_read), &output.out, limit};
  Collector err{std::move(err_read), &output.err, limit};
  std::optional<Exit> exit;
  // A grandchild may keep the pipes open after the child's end: what is there by then is the
  // output.
  while (!exit) {
    if (output.killed = call.Check(options.argv[0]); !output.killed.ok()) {
      KillAndReap(child);
      exit = Exit{kSignalCode + SIGKILL, SIGKILL};
      break;
    }
    std::array<pollfd, 4> items{pollfd{in_write.get(), POLLOUT, 0}, pollfd{out.fd.get(), POLLIN, 0},
                                pollfd{err.fd.get(), POLLIN, 0},
                                pollfd{child.pidfd.get(), POLLIN, 0}};
    ::poll(items.data(), items.size(), PollMillis(call));
    if (items[0].revents != 0) Feed(in_write, input);
    if (items[1].revents != 0) out.Read();
    if (items[2].revents != 0) err.Read();
    if (items[1].revents == 0 && items[2].revents == 0) exit = TryReap(child);
  }
  // What the child wrote between the last poll and its end is still in the pipes.
  DrainNow(out);
  DrainNow(err);
  output.exit = *exit;
  return output;
}

}  // namespace interlink
