// Sessions: the streaming calls of CRI, as use cases. Thread-safe; nothing blocks.
//
//   CRI Exec -> Exec: checks, asks StreamServer for an address
//   a client at that address -> StreamServer -> Open or Dial -> Session
#ifndef INTERLINK_NODE_SESSIONS_H_
#define INTERLINK_NODE_SESSIONS_H_

#include <string>

#include "base/call.h"
#include "node/reply.h"
#include "node/session.h"
#include "runtime/v1/api.pb.h"

namespace interlink::node {

// Port: the server of the addresses (lib/streaming). Thread-safe.
class StreamServer {
 public:
  virtual ~StreamServer() = default;
  // An absolute address, good for one use within one minute. kResourceExhausted: 1000 are unused.
  virtual Result<std::string> AddressFor(StreamRequest request) = 0;
};

class Sessions {
 public:
  virtual ~Sessions() = default;

  // kInvalidArgument: no stream at all, a terminal with stderr, an empty command. kNotFound.
  // kFailedPrecondition: the container does not run. kUnavailable: the site is out of reach.
  virtual Result<runtime::v1::ExecResponse> Exec(const runtime::v1::ExecRequest& request) = 0;
  // As Exec; a terminal is the container's own (`tty` must be what the container has).
  virtual Result<runtime::v1::AttachResponse> Attach(const runtime::v1::AttachRequest& request) = 0;
  // kFailedPrecondition: the sandbox is not READY. Ports are checked when they are dialled.
  virtual Result<runtime::v1::PortForwardResponse> PortForward(
      const runtime::v1::PortForwardRequest& request) = 0;

  // Opens what the address stood for (exec or attach): replies when the site is ready, or why not
  // (kNotFound, kFailedPrecondition, kInvalidArgument: no such binary, user or directory,
  // kResourceExhausted, kUnavailable). The state is checked again. `call` bounds the opening only.
  virtual void Open(const Call& call, const StreamRequest& request, Reply<SessionPtr> reply) = 0;
  // Connects to 127.0.0.1:port, then [::1]:port, inside the sandbox. kFailedPrecondition: nothing
  // listens.
  virtual void Dial(const Call& call, const SandboxId& sandbox, uint16_t port,
                    Reply<SessionPtr> reply) = 0;
};

}  // namespace interlink::node

#endif  // INTERLINK_NODE_SESSIONS_H_
