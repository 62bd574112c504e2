// Acceptor: the unix socket itself. It takes connections, reads who is there (SO_PEERCRED), looks
// at the first bytes without taking them, and hands the descriptor to gRPC or to HTTP. One thread.
#ifndef INTERLINK_CRI_ACCEPTOR_H_
#define INTERLINK_CRI_ACCEPTOR_H_

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "base/status.h"
#include "base/unique_fd.h"
#include "cri/peer.h"

namespace interlink::cri {

struct AcceptorLimits {
  Duration first_bytes = std::chrono::seconds(10);  // then a silent connection is closed
  size_t pending = 256;  // undecided connections; more wait in the kernel's queue
};

class Acceptor {
 public:
  using Take = std::function<void(UniqueFd, PeerProcess)>;

  // Mode 0660; a stale socket file is replaced. kInvalidArgument: not an absolute path of at most
  // 107 bytes. kFailedPrecondition: somebody answers there, or the file is no socket.
  static Result<std::unique_ptr<Acceptor>> Listen(const std::string& path, Log& log,
                                                  const AcceptorLimits& limits = {});
  // Stops and removes the socket file, if it is still ours.
  ~Acceptor();
  Acceptor(const Acceptor&) = delete;
  Acceptor& operator=(const Acceptor&) = delete;

  // Begins. Both run on the acceptor's thread and must not block.
  void Run(Take grpc, Take http);
  void Stop();

 private:
  struct Pending {
    UniqueFd fd;
    PeerProcess peer;
    SteadyTime deadline;
    bool partial = false;  // has sent the beginning of HTTP/2's preface, so it is always readable
  };
  Acceptor(std::string path, UniqueFd listener, Log& log, const AcceptorLimits& limits);
  // The token comes from the thread: `thread_` may not be assigned yet when it begins.
  void Loop(const std::stop_token& stop);
  // Until something happens that Loop can act on.
  void Wait() const;
  void AcceptAll();
  // False: not decided yet.
  bool Decide(Pending& pending);

  const std::string path_;
  UniqueFd listener_;
  UniqueFd wake_;
  uint64_t inode_ = 0;
  Log& log_;
  const AcceptorLimits limits_;
  Take grpc_;
  Take http_;
  std::vector<Pending> pending_;
  std::jthread thread_;
};

}  // namespace interlink::cri

#endif  // INTERLINK_CRI_ACCEPTOR_H_
