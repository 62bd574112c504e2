// Server: what stands behind the addresses that CRI's Exec, Attach and PortForward answer. kubelet,
// kubectl through it, crictl and critest connect to them with SPDY/3.1 or WebSocket.
//
// Call order: Create -> (Node::Create) -> Start -> AddressFor -> Stop. Thread-safe.
#ifndef INTERLINK_STREAMING_SERVER_H_
#define INTERLINK_STREAMING_SERVER_H_

#include <memory>
#include <string>

#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "net/connection.h"
#include "net/io.h"
#include "node/sessions.h"
#include "streaming/limits.h"

namespace interlink::streaming {

struct Options {
  std::string address = "127.0.0.1";           // a literal IP address that the clients reach
  uint16_t port = 0;                           // 0: any free one
  std::shared_ptr<const net::TlsContext> tls;  // null: http
  Limits limits;
};

struct Ports {
  net::Io& io;
  Log& log;
  Metrics& metrics;
  const Clock& clock;
};

class Server final : public node::StreamServer {
 public:
  // Listens, and answers nothing yet. kInvalidArgument, kUnavailable: the address.
  static Result<std::unique_ptr<Server>> Create(Options options, const Ports& ports);
  // Stops.
  ~Server() override;

  // Once. `sessions` outlives Stop.
  void Start(node::Sessions& sessions);
  // Tells every client that the daemon shuts down, ends their sessions and closes. After `limit`
  // (and a second) connections are cut. Not from an io thread. Idempotent.
  void Stop(Duration limit);

  // kUnavailable: before Start, after Stop. kResourceExhausted: too many unused addresses.
  Result<std::string> AddressFor(node::StreamRequest request) override;
  uint16_t port() const;

  struct State;

 private:
  explicit Server(std::shared_ptr<State> state);
  const std::shared_ptr<State> state_;  // owners: this and the requests in progress
};

}  // namespace interlink::streaming

#endif  // INTERLINK_STREAMING_SERVER_H_
