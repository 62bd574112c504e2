#include "console.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>

#include <cerrno>
#include <cstring>

namespace interlink::shim {

Outcome ListenConsole(const char* name, Fd& listener) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  TextBuffer path(address.sun_path, sizeof address.sun_path - 1);
  path.Add(name);
  unlink(name);
  listener = Fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!listener.valid()) return Outcome::Errno(errno, "console socket");
  const mode_t before = umask(0177);
  const bool bound =
      bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  umask(before);
  if (!bound || listen(listener.get(), 1) != 0) return Outcome::Errno(errno, "console socket");
  return {};
}

Outcome TakeConsole(const char* name, Fd listener, Fd& master) {
  const Fd peer(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  const int error = errno;
  unlink(name);
  if (!peer.valid()) return Outcome::Errno(error, "no terminal from the runtime");
  char bytes[256];
  iovec part{bytes, sizeof bytes};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  if (recvmsg(peer.get(), &message, MSG_CMSG_CLOEXEC) < 0) {
    return Outcome::Errno(errno, "no terminal from the runtime");
  }
  const cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (header == nullptr || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) {
    return Outcome::Words(EPROTO, "no terminal from the runtime");
  }
  int fd = -1;
  std::memcpy(&fd, CMSG_DATA(header), sizeof fd);
  master = Fd(fd);
  if (!SetNonBlocking(fd)) return Outcome::Errno(errno, "terminal");
  return {};
}

Outcome SendDescriptor(int socket_fd, int fd) {
  char byte = 0;
  iovec part{&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
  if (sendmsg(socket_fd, &message, MSG_NOSIGNAL) != 1) {
    return Outcome::Errno(errno, "send the descriptor");
  }
  return {};
}

Outcome ConnectConsole(const char* path, Fd& connected) {
  if (path == nullptr) return Outcome::Words(EINVAL, "a terminal needs --console-socket");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  TextBuffer name(address.sun_path, sizeof address.sun_path - 1);
  name.Add(path);
  if (name.overflow()) return Outcome::Errno(ENAMETOOLONG, "console socket");
  connected = Fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (connected.valid() &&
      connect(connected.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) {
    return {};
  }
  return Outcome::Errno(errno, "console socket");
}

Outcome OpenSlave(const Fd& master, Fd& slave) {
  int unlocked = 0;
  if (ioctl(master.get(), TIOCSPTLCK, &unlocked) == 0) {
    slave = Fd(ioctl(master.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
  }
  return slave.valid() ? Outcome() : Outcome::Errno(errno, "open the terminal");
}

Outcome TakeTerminal(const Fd& console, const Fd& master) {
  Fd slave;
  Outcome outcome = OpenSlave(master, slave);
  if (outcome.ok()) outcome = SendDescriptor(console.get(), master.get());
  if (!outcome.ok()) return outcome;
  bool taken = ioctl(slave.get(), TIOCSCTTY, 0) == 0;
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    taken = taken && dup2(slave.get(), fd) == fd;
  }
  return taken ? Outcome() : Outcome::Errno(errno, "take the terminal");
}

bool ResizeConsole(int master, const WindowSize& size) {
  winsize window{};
  window.ws_col = size.columns;
  window.ws_row = size.rows;
  return ioctl(master, TIOCSWINSZ, &window) == 0;
}

void WriteEndOfInput(int master) {
  termios mode{};
  if (tcgetattr(master, &mode) != 0 || (mode.c_lflag & ICANON) == 0) return;
  const char end = static_cast<char>(mode.c_cc[VEOF]);
  // A full input queue: the process does not read, the end of input would not matter to it.
  static_cast<void>(WriteAll(master, {&end, 1}));
}

void AddOurPath(TextBuffer& path, std::string_view name) {
  path.Add("/proc/").AddNumber(getpid()).Add("/cwd/").Add(name);
}

}  // namespace interlink::shim
