#include "agent/relay.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

namespace interlink::agent {
namespace {

constexpr size_t kRelayBuffer = size_t{64} << 10U;
// How soon a relay sees that another one has its place.
constexpr auto kLongestPoll = std::chrono::seconds(1);

SteadyTime RelayNow() { return std::chrono::steady_clock::now(); }

int MillisUntil(SteadyTime when) {
  const auto left = std::min<Duration>(std::max(Duration::zero(), when - RelayNow()), kLongestPoll);
  // Rounded up: never a poll of 0 again and again.
  return static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(left).count());
}

// Only whoever could also read the pod's token can reach what is in it.
Status CheckPrivate(const std::string& folder) {
  struct stat about {};
  if (lstat(folder.c_str(), &about) != 0) return ErrnoStatus(errno, "stat \"" + folder + "\"");
  if (!S_ISDIR(about.st_mode)) return FailedPrecondition("\"" + folder + "\" is no folder");
  if (about.st_uid != geteuid() || (about.st_mode & 077U) != 0) {
    return PermissionDenied("\"" + folder +
                            "\" can be used by others: its mode must be 0700, and "
                            "its owner the user of this process");
  }
  return {};
}

// The name of a socket, and which file has it.
struct Place {
  std::string path;
  dev_t device = 0;
  ino_t inode = 0;

  // False: another relay has it, or the pod's folder is gone. A site has one relay of a pod: it
  // gave this one up.
  bool IsOurs() const {
    struct stat about {};
    return lstat(path.c_str(), &about) == 0 && about.st_dev == device && about.st_ino == inode;
  }
};

struct Listening {
  UniqueFd socket;
  Place place;
};

// Bound beside its name and moved there: whoever dials finds the old one or this one.
Result<Listening> ListenAt(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos || slash == 0) {
    return InvalidArgument("\"" + path + "\" is not the absolute path of a socket");
  }
  const std::string folder = path.substr(0, slash);
  RETURN_IF_ERROR(CheckPrivate(folder));
  const std::string own = folder + "/hub." + std::to_string(getpid());
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (own.size() >= sizeof(address.sun_path)) {
    return InvalidArgument("\"" + folder + "\" is too long for a Unix socket");
  }
  std::memcpy(address.sun_path, own.data(), own.size());
  Listening listening;
  listening.place.path = path;
  listening.socket = UniqueFd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const int fd = listening.socket.get();
  if (fd < 0) return ErrnoStatus(errno, "make a Unix socket");
  unlink(own.c_str());
  if (bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return ErrnoStatus(errno, "bind \"" + own + "\"");
  }
  struct stat about {};
  if (listen(fd, 1) != 0 || lstat(own.c_str(), &about) != 0 ||
      rename(own.c_str(), path.c_str()) != 0) {
    const Status failed = ErrnoStatus(errno, "listen at \"" + path + "\"");
    unlink(own.c_str());
    return failed;
  }
  listening.place.device = about.st_dev;
  listening.place.inode = about.st_ino;
  return listening;
}

bool IsOwn(int connection) {
  ucred peer{};
  socklen_t size = sizeof(peer);
  return getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
         peer.uid == geteuid();
}

// The agent's connection; none: the site has left meanwhile.
Result<UniqueFd> AwaitAgent(const Listening& listening, int in, Duration wait) {
  const int listener = listening.socket.get();
  const SteadyTime limit = RelayNow() + wait;
  while (RelayNow() < limit) {
    std::array<pollfd, 2> items{pollfd{listener, POLLIN, 0}, pollfd{in, POLLIN, 0}};
    if (poll(items.data(), items.size(), MillisUntil(limit)) < 0 && errno != EINTR) {
      return ErrnoStatus(errno, "wait for the agent");
    }
    if (!listening.place.IsOurs()) return Unavailable("another relay has this one's place");
    if (items[0].revents != 0) {
      UniqueFd agent(accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
      if (agent && IsOwn(agent.get())) return agent;
    } else if (items[1].revents != 0) {
      char byte = 0;
      const ssize_t n = read(in, &byte, 1);
      if (n > 0) return FailedPrecondition("the site spoke before the agent");
      if (n == 0 || (errno != EAGAIN && errno != EINTR)) return UniqueFd();
    }
  }
  return Unavailable("no agent has come");
}

// One direction: what was read and not yet written.
struct Direction {
  std::vector<char> bytes = std::vector<char>(kRelayBuffer);
  size_t begin = 0;
  size_t end = 0;
  bool ended = false;  // nothing more comes
  bool over = false;   // and all of it is written, or nobody takes it

  bool empty() const { return begin == end; }
  bool wants_read() const { return empty() && !ended && !over; }
  bool wants_write() const { return !empty() && !over; }

  void Read(int from) {
    const ssize_t n = read(from, bytes.data(), bytes.size());
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    begin = 0;
    end = n > 0 ? static_cast<size_t>(n) : 0;
    ended = n <= 0;
    over = over || ended;
  }
  // False: nobody takes it any more.
  bool Write(int to) {
    const ssize_t n = write(to, bytes.data() + begin, end - begin);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return true;
    if (n < 0) over = true;
    if (n > 0) begin += static_cast<size_t>(n);
    return n >= 0;
  }
};

void SetNonblocking(int fd) { fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK); }

class Carrier {
 public:
  Carrier(UniqueFd in, UniqueFd out, UniqueFd agent, Place place, Duration farewell)
      : in_(std::move(in)),
        out_(std::move(out)),
        agent_(std::move(agent)),
        place_(std::move(place)),
        farewell_(farewell) {
    SetNonblocking(in_.get());
    SetNonblocking(out_.get());
  }

  void Run() {
    while (!(up_.over && down_.over) && RelayNow() < limit_ && StillOurs()) {
      if (!Turn()) return;
      if (up_.over) EndUp();
      if (down_.over) EndDown();
    }
  }

 private:
  bool StillOurs() {
    const SteadyTime now = RelayNow();
    if (now < look_) return true;
    look_ = now + kLongestPoll;
    return place_.IsOurs();
  }

  // A descriptor of which nothing is wanted is left out: one whose peer is gone is always ready.
  // But of an agent that has said all it is wanted whether it still listens.
  bool Turn() {
    const short agent_events =
        static_cast<short>((up_.wants_read() ? POLLIN : 0) | (down_.wants_write() ? POLLOUT : 0));
    std::array<pollfd, 3> items{
        pollfd{down_.wants_read() ? in_.get() : -1, POLLIN, 0},
        pollfd{up_.over ? -1 : out_.get(), static_cast<short>(up_.wants_write() ? POLLOUT : 0), 0},
        pollfd{agent_events != 0 || up_.over ? agent_.get() : -1, agent_events, 0}};
    if (poll(items.data(), items.size(), MillisUntil(limit_)) < 0) return errno == EINTR;
    if (items[0].revents != 0) down_.Read(in_.get());
    if (up_.over && (items[2].revents & (POLLHUP | POLLERR)) != 0) down_.over = true;
    if (items[2].revents != 0 && up_.wants_read()) up_.Read(agent_.get());
    // Whoever cannot be told anything any more: the whole connection is of no use.
    if ((items[1].revents & (POLLERR | POLLNVAL)) != 0) return false;
    if (up_.wants_write() && !up_.Write(out_.get())) return false;
    if (down_.wants_write()) down_.Write(agent_.get());
    return true;
  }

  void EndUp() {
    if (!out_) return;
    out_.Reset();
    limit_ = std::min(limit_, RelayNow() + farewell_);
  }
  void EndDown() {
    if (!in_) return;
    in_.Reset();
    shutdown(agent_.get(), SHUT_WR);
    limit_ = std::min(limit_, RelayNow() + farewell_);
  }

  UniqueFd in_;
  UniqueFd out_;
  UniqueFd agent_;
  const Place place_;
  const Duration farewell_;
  Direction up_;    // agent -> out
  Direction down_;  // in -> agent
  SteadyTime limit_ = SteadyTime::max();
  SteadyTime look_{};
};

}  // namespace

Status RunRelay(const RelayOptions& options, UniqueFd in, UniqueFd out) {
  ASSIGN_OR_RETURN(Listening listening, ListenAt(options.socket));
  const std::string greeting = options.greeting + "\n";
  if (write(out.get(), greeting.data(), greeting.size()) != static_cast<ssize_t>(greeting.size())) {
    return ErrnoStatus(errno, "greet the site");
  }
  ASSIGN_OR_RETURN(UniqueFd agent, AwaitAgent(listening, in.get(), options.wait));
  // Its name stays: another relay may have it by now.
  listening.socket.Reset();
  if (!agent) return {};
  Carrier(std::move(in), std::move(out), std::move(agent), std::move(listening.place),
          options.farewell)
      .Run();
  return {};
}

}  // namespace interlink::agent
