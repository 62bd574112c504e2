#include "cri/acceptor.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "base/file.h"

namespace interlink::cri {
namespace {

// A socket with a part of the preface stays readable, and SO_RCVLOWAT means nothing to poll on unix
// sockets: it is looked at again after this.
constexpr auto kLookAgain = std::chrono::milliseconds(20);
constexpr auto kIdle = std::chrono::seconds(60);
constexpr std::string_view kHttp2Preface = "PRI ";

Result<sockaddr_un> AddressOf(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path[0] != '/' || path.size() >= sizeof address.sun_path) {
    return InvalidArgument("socket path \"" + path + "\" must be absolute and shorter than " +
                           std::to_string(sizeof address.sun_path) + " characters");
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

// A file left by a daemon that died is removed; a socket on which somebody answers is not ours to
// take.
Status RemoveStale(const std::string& path, const sockaddr_un& address) {
  struct stat about {};
  if (lstat(path.c_str(), &about) != 0) return {};
  if (!S_ISSOCK(about.st_mode))
    return FailedPrecondition("\"" + path +
                              "\" exists and is no socket: remove it or choose another");
  const UniqueFd probe(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 ||
      errno == EAGAIN) {
    return FailedPrecondition("another process answers on \"" + path + "\": stop it first");
  }
  if (unlink(path.c_str()) != 0) return ErrnoStatus(errno, "remove stale socket \"" + path + "\"");
  return {};
}

}  // namespace

Result<std::unique_ptr<Acceptor>> Acceptor::Listen(const std::string& path, Log& log,
                                                   const AcceptorLimits& limits) {
  ASSIGN_OR_RETURN(const sockaddr_un address, AddressOf(path));
  RETURN_IF_ERROR(MakeDirectories(std::filesystem::path(path).parent_path().string(), 0755));
  RETURN_IF_ERROR(RemoveStale(path, address));
  UniqueFd listener(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!listener) return ErrnoStatus(errno, "socket");
  // fchmod before bind sets the rights of the file that bind makes: it never has others, and the
  // umask stays alone.
  if (fchmod(listener.get(), 0660) != 0) return ErrnoStatus(errno, "chmod of the socket");
  if (bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return ErrnoStatus(errno, "listen on \"" + path + "\"");
  }
  if (chmod(path.c_str(), 0660) != 0) return ErrnoStatus(errno, "chmod \"" + path + "\"");
  if (listen(listener.get(), 512) != 0) return ErrnoStatus(errno, "listen on \"" + path + "\"");
  return std::unique_ptr<Acceptor>(
      new Acceptor(path, std::move(listener), log, limits));  // NOLINT: private constructor
}

Acceptor::Acceptor(std::string path, UniqueFd listener, Log& log, const AcceptorLimits& limits)
    : path_(std::move(path)),
      listener_(std::move(listener)),
      wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      log_(log),
      limits_(limits) {
  struct stat about {};
  if (lstat(path_.c_str(), &about) == 0) inode_ = about.st_ino;
}

Acceptor::~Acceptor() {
  Stop();
  struct stat about {};
  if (lstat(path_.c_str(), &about) == 0 && about.st_ino == inode_) unlink(path_.c_str());
}

void Acceptor::Run(Take grpc, Take http) {
  grpc_ = std::move(grpc);
  http_ = std::move(http);
  thread_ = std::jthread([this](const std::stop_token& stop) { Loop(stop); });
}

void Acceptor::Stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  const uint64_t one = 1;
  if (write(wake_.get(), &one, sizeof one) < 0) return;  // a full counter wakes as well
  thread_.join();
}

void Acceptor::Loop(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    Wait();
    if (stop.stop_requested()) return;
    std::erase_if(pending_, [this](Pending& pending) { return Decide(pending); });
    AcceptAll();
  }
}

void Acceptor::Wait() const {
  // poll skips a negative descriptor: without room a connection waits in the kernel's queue.
  const int listener = pending_.size() < limits_.pending ? listener_.get() : -1;
  std::vector<pollfd> items{{wake_.get(), POLLIN, 0}, {listener, POLLIN, 0}};
  const auto now = std::chrono::steady_clock::now();
  Duration wait = kIdle;
  for (const Pending& pending : pending_) {
    wait = std::min<Duration>(wait, pending.deadline - now);
    if (pending.partial) {
      wait = std::min<Duration>(wait, kLookAgain);
    } else {
      items.push_back({pending.fd.get(), POLLIN, 0});
    }
  }
  const auto limit = std::chrono::ceil<std::chrono::milliseconds>(wait).count();
  ::poll(items.data(), items.size(), static_cast<int>(std::max<int64_t>(limit, 0)));
}

void Acceptor::AcceptAll() {
  while (pending_.size() < limits_.pending) {
    UniqueFd fd(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!fd) {
      if (errno == EMFILE || errno == ENFILE) {
        log_.Error("no file descriptor is left for a connection to the CRI socket");
        ::poll(nullptr, 0,
               100);  // back off: the connection stays in the queue and poll would return at once
      }
      return;
    }
    PeerProcess peer = PeerProcessOf(fd.get());
    log_.Debug("a connection to the CRI socket",
               {{"pid", std::to_string(peer.pid)}, {"uid", std::to_string(peer.uid)}});
    Pending pending{std::move(fd), std::move(peer),
                    std::chrono::steady_clock::now() + limits_.first_bytes};
    if (!Decide(pending)) pending_.push_back(std::move(pending));
  }
}

bool Acceptor::Decide(Pending& pending) {
  std::array<char, 4> first{};
  const ssize_t n = recv(pending.fd.get(), first.data(), first.size(), MSG_PEEK);
  if (n == 0) return true;  // it left
  if (n < 0) {
    if (errno != EAGAIN && errno != EINTR) return true;
    return std::chrono::steady_clock::now() >= pending.deadline;
  }
  const std::string_view seen(first.data(), static_cast<size_t>(n));
  if (kHttp2Preface.starts_with(seen)) {
    pending.partial = seen.size() < kHttp2Preface.size();
    if (pending.partial) return std::chrono::steady_clock::now() >= pending.deadline;
    grpc_(std::move(pending.fd), std::move(pending.peer));
  } else {
    http_(std::move(pending.fd), std::move(pending.peer));
  }
  return true;
}

}  // namespace interlink::cri
