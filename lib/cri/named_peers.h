// NamedPeers: tells calls of gRPC which process has made them. Thread-safe.
//
// gRPC says of a call only the address of its connection's other end, and clients of a unix socket
// have none. So a connection is carried through a socket pair whose outer end has a name of ours:
//
//   client --the CRI socket-- [two coroutines] --outer end, named-- --inner end-- gRPC
//
// Only with an audit log, since it costs two copies of every byte.
#ifndef INTERLINK_CRI_NAMED_PEERS_H_
#define INTERLINK_CRI_NAMED_PEERS_H_

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "base/clock.h"
#include "base/mutex.h"
#include "base/status.h"
#include "base/unique_fd.h"
#include "cri/peer.h"
#include "net/io.h"

namespace interlink::cri {

class NamedPeers : public std::enable_shared_from_this<NamedPeers> {
 public:
  explicit NamedPeers(net::Io& io) : io_(io) {}

  // Carries `client` from now on, until one of the two ends. Returns the inner end, for gRPC.
  Result<UniqueFd> Carry(UniqueFd client, PeerProcess peer);
  // `address`: what gRPC calls the other end ("unix-abstract:NAME"). One that has left is still
  // known for a minute: gRPC may begin its last call after that. Nothing: there was none.
  std::optional<PeerProcess> Find(const std::string& address) const;

 private:
  void Left(const std::string& name);
  void ForgetOld() REQUIRES_LOCK(mutex_);
  friend class Carried;

  net::Io& io_;
  mutable Mutex mutex_;
  std::map<std::string, PeerProcess> peers_ GUARDED_BY(mutex_);             // by name
  std::deque<std::pair<SteadyTime, std::string>> left_ GUARDED_BY(mutex_);  // names, oldest first
};

}  // namespace interlink::cri

#endif  // INTERLINK_CRI_NAMED_PEERS_H_
