// HTTP on the CRI socket: health, readiness, metrics, and the commands of interlink-cri (status,
// wipe), which use the daemon's socket and never its database.
//
//   GET|POST /healthz          200 while the process answers
//   GET|POST /readyz           200 once the site was seen and the CRI's lists are given: a fresh or
//                              restored store waits for the site's; 503 and why before that
//   GET /metrics               Prometheus text
//   GET /status                JSON
//   POST /wipe[?forget=SITE]   text
//   POST /reload               text
#ifndef INTERLINK_CRI_HTTP_H_
#define INTERLINK_CRI_HTTP_H_

#include <functional>
#include <string>

#include "net/http_server.h"
#include "node/node.h"

namespace interlink::cri {

struct HttpPorts {
  node::Node& node;
  std::function<std::string()> metrics;         // the exposition text
  std::function<Result<std::string>()> reload;  // lines for a person; it may block on a disk
};

// What they use outlives the result.
net::HttpHandler HttpOf(HttpPorts ports);

}  // namespace interlink::cri

#endif  // INTERLINK_CRI_HTTP_H_
