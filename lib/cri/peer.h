// Who is at the other end of a connection to the CRI socket.
#ifndef INTERLINK_CRI_PEER_H_
#define INTERLINK_CRI_PEER_H_

#include <sys/types.h>

#include <string>

namespace interlink::cri {

// As the kernel knew it when it connected (SO_PEERCRED, unix(7)): a process that has handed its
// descriptor on is still named.
struct PeerProcess {
  pid_t pid = 0;  // 0: it is in another pid namespace
  uid_t uid = 0;
  gid_t gid = 0;
  std::string executable;  // "": gone already, or not ours to see
};

// Of a connected unix socket. Reads /proc once.
PeerProcess PeerProcessOf(int fd);

}  // namespace interlink::cri

#endif  // INTERLINK_CRI_PEER_H_
