#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>

#include <cerrno>

#include "commands.h"
#include "console.h"
#include "shim/layout.h"
#include "system.h"

namespace interlink::shim {
namespace {

constexpr int kConnectMs = 5000;

// A blocking socket that is connected, or the error.
Outcome ConnectTo(const sockaddr* address, socklen_t size, Fd& connected) {
  Fd fd(socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return Outcome::Errno(errno, "socket");
  if (connect(fd.get(), address, size) != 0) {
    if (errno != EINPROGRESS) return Outcome::Errno(errno, "connect");
    pollfd entry{fd.get(), POLLOUT, 0};
    const int ready = poll(&entry, 1, kConnectMs);
    int error = ready == 0 ? ETIMEDOUT : errno;
    socklen_t error_size = sizeof error;
    if (ready > 0) getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &error_size);
    if (ready <= 0 || error != 0) return Outcome::Errno(error, "connect");
  }
  const int flags = fcntl(fd.get(), F_GETFL);
  if (flags < 0 || fcntl(fd.get(), F_SETFL, flags & ~O_NONBLOCK) != 0) {
    return Outcome::Errno(errno, "fcntl");
  }
  connected = std::move(fd);
  return {};
}

Outcome ConnectLoopback(uint16_t port, Fd& connected) {
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  v4.sin_port = htons(port);
  v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  Outcome first = ConnectTo(reinterpret_cast<sockaddr*>(&v4), sizeof v4, connected);
  if (first.ok()) return first;
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(port);
  v6.sin6_addr = in6addr_loopback;
  if (ConnectTo(reinterpret_cast<sockaddr*>(&v6), sizeof v6, connected).ok()) return {};
  return first;
}

}  // namespace

int CommandDial(int argc, char** argv) {
  const char* netns = nullptr;
  uint64_t port = 0;
  uint64_t fd = 3;
  Arguments arguments(argc, argv);
  std::string_view name;
  while (arguments.Next(name)) {
    const char* value = arguments.Value();
    const bool good = value != nullptr && ((name == "--netns" && (netns = value) != nullptr) ||
                                           (name == "--port" && ParseUnsigned(value, port)) ||
                                           (name == "--fd" && ParseUnsigned(value, fd)));
    if (!good) return Complain(kCommandUsage, "usage: dial [--netns FILE] --port N [--fd FD]");
  }
  if (port < 1 || port > 65535 || fd > 1024) {
    return Complain(kCommandUsage, "dial: --port is 1 to 65535, --fd at most 1024");
  }
  if (netns != nullptr) {
    const Fd ns(open(netns, O_RDONLY | O_CLOEXEC));
    if (!ns.valid() || setns(ns.get(), CLONE_NEWNET) != 0) {
      return Complain(kCommandFailed, Outcome::Errno(errno, netns));
    }
  }
  Fd connected;
  Outcome outcome = ConnectLoopback(static_cast<uint16_t>(port), connected);
  if (outcome.ok()) outcome = SendDescriptor(static_cast<int>(fd), connected.get());
  if (outcome.error() == ECONNREFUSED) {
    Text<128> words;
    words.Add("nothing listens on 127.0.0.1 and [::1], port ").AddUnsigned(port);
    return Complain(kCommandRefused, words.view());
  }
  return outcome.ok() ? kCommandOk : Complain(kCommandFailed, outcome);
}

}  // namespace interlink::shim
