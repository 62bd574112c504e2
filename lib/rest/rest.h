// Edge: REST v1 of interlink-api over HTTP (DESIGN 5). Decodes, authenticates, calls the domain and
// encodes; it decides nothing. One file per route or small group of routes.
//
// Call order: constructor -> Serve... -> Stop -> destructor. Site::Stop comes after Stop and before
// the end of `io`: requests that still wait are answered by it.
#ifndef INTERLINK_REST_REST_H_
#define INTERLINK_REST_REST_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "auth/audit_log.h"
#include "auth/authenticator.h"
#include "base/log.h"
#include "base/metrics.h"
#include "net/connection.h"
#include "net/io.h"
#include "site/site.h"

namespace interlink::rest {

struct Options {
  std::string site;  // its name, for problem bodies
  size_t max_connections = 4096;
  size_t max_connections_per_node = 512;         // by certificate, else by address
  size_t max_requests_per_node = 1024;           // in progress at once, streams included
  Duration heartbeat = std::chrono::seconds(4);  // of /v1/events and /v1/logs; at most 5 s
};

// A request that comes too soon: it is answered with 429 and may be repeated after `wait`.
struct Throttled {
  std::string why;
  Duration wait{};
};

struct Ports {
  site::Site& site;
  const auth::Authenticator& authenticator;
  net::Io& io;
  Log& log;
  Metrics& metrics;
  std::function<std::string()> metrics_text;  // of GET /metrics; must not block
  auth::AuditLog* audit = nullptr;            // null: nothing is recorded
  // Asked before a request that begins something, with the bytes of its body; it must not block.
  // Empty: all may go on.
  std::function<std::optional<Throttled>(const site::Caller&, size_t)> throttle = nullptr;
  // Of the control socket: lines for a person. It may block on a disk. Empty: there is none.
  std::function<Result<std::string>()> reload = nullptr;
};

// What a listener serves.
enum class Face {
  kSite,      // REST v1 for nodes
  kOperator,  // the same; /metrics needs no identity. REQUIRES: a loopback address
  kControl,   // `interlink-api node ...`: a unix socket with mode 0600
};

class Edge {
 public:
  Edge(Options options, Ports ports);
  // Stops.
  ~Edge();
  Edge(const Edge&) = delete;
  Edge& operator=(const Edge&) = delete;

  // Serves from now on.
  void Serve(std::unique_ptr<net::Listener> listener, Face face);
  // Ends streams at once and refuses new requests; those in progress get up to `grace`, then an
  // error. Blocks. Idempotent.
  void Stop(Duration grace);

  struct State;

 private:
  std::shared_ptr<State> state_;  // owners: this and the requests in progress
};

}  // namespace interlink::rest

#endif  // INTERLINK_REST_REST_H_
