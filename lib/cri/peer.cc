#include "cri/peer.h"

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <climits>

namespace interlink::cri {

PeerProcess PeerProcessOf(int fd) {
  ucred who{};
  socklen_t size = sizeof who;
  PeerProcess peer;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) != 0) return peer;
  peer.pid = who.pid;
  peer.uid = who.uid;
  peer.gid = who.gid;
  std::array<char, PATH_MAX> path{};
  const std::string link = "/proc/" + std::to_string(who.pid) + "/exe";
  const ssize_t length = readlink(link.c_str(), path.data(), path.size());
  if (length > 0) peer.executable.assign(path.data(), static_cast<size_t>(length));
  return peer;
}

}  // namespace interlink::cri
