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

namespace interlink::cri {

class Acceptor {
 public:
  using Take = std::function<void(UniqueFd)>;

  // Mode 0660; a stale socket file is replaced. kFailedPrecondition: somebody answers there.
  static Result<std::unique_ptr<Acceptor>> Listen(const std::string& path, Log& log);
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
    SteadyTime deadline;
  };
  Acceptor(std::string path, UniqueFd listener, Log& log);
  void Loop();
  void AcceptAll();
  // False: not decided yet.
  bool Decide(Pending& pending);

  const std::string path_;
  UniqueFd listener_;
  UniqueFd wake_;
  uint64_t inode_ = 0;
  Log& log_;
  Take grpc_;
  Take http_;
  std::vector<Pending> pending_;
  std::jthread thread_;
};

}  // namespace interlink::cri

#endif  // INTERLINK_CRI_ACCEPTOR_H_
