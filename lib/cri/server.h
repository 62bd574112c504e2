// Server: the CRI socket. gRPC for kubelet and crictl, and HTTP (health, metrics, commands) on the
// same socket: the acceptor looks at the first bytes of a connection. Thread-safe.
#ifndef INTERLINK_CRI_SERVER_H_
#define INTERLINK_CRI_SERVER_H_

#include <memory>
#include <string>

#include "auth/audit_log.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/status.h"
#include "net/http_server.h"
#include "net/io.h"
#include "node/node.h"

namespace interlink::cri {

struct ServerOptions {
  std::string socket_path;
  Duration request_timeout = std::chrono::minutes(15);  // of calls without a gRPC deadline
};

struct ServerPorts {
  node::Node& node;
  net::Io& io;
  net::HttpHandler http;  // what HTTP connections of the socket get
  Log& log;
  Metrics& metrics;
  auth::AuditLog* audit = nullptr;  // null: nothing is recorded
};

class Server {
 public:
  // Listens: mode 0660, folder made when absent. kFailedPrecondition: another process answers on
  // the socket.
  static Result<std::unique_ptr<Server>> Start(const ServerOptions& options,
                                               const ServerPorts& ports);
  virtual ~Server() = default;
  // Takes no more connections, ends streams, gives calls in progress up to `grace`. Removes the
  // socket.
  virtual void Stop(Duration grace) = 0;
};

}  // namespace interlink::cri

#endif  // INTERLINK_CRI_SERVER_H_
