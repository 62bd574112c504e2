// HTTP on the CRI socket: health, readiness, metrics, and the commands of interlink-cri (status,
// wipe), which use the daemon's socket and never its database.
//
//   GET|POST /healthz   200 while the process answers         GET|POST /readyz   200 once the first
//   link is done GET /metrics        Prometheus text                        GET /status        JSON
//   POST /wipe[?forget=SITE]                                   text
#ifndef INTERLINK_CRI_HTTP_H_
#define INTERLINK_CRI_HTTP_H_

#include <functional>
#include <string>

#include "net/http_server.h"
#include "node/node.h"

namespace interlink::cri {

// `metrics` gives the exposition text. Both outlive the result.
net::HttpHandler HttpOf(node::Node& node, std::function<std::string()> metrics);

}  // namespace interlink::cri

#endif  // INTERLINK_CRI_HTTP_H_
