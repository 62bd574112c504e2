// The site over REST v1: adapter of lib/node/site.h. Protobuf bodies, mTLS and/or a bearer token.
// Thread-safe.
#ifndef INTERLINK_SITE_CLIENT_SITE_CLIENT_H_
#define INTERLINK_SITE_CLIENT_SITE_CLIENT_H_

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "base/log.h"
#include "net/connection.h"
#include "net/io.h"
#include "node/site.h"

namespace interlink::site_client {

struct Options {
  net::Endpoint endpoint;
  std::string user_agent;
  // The bearer token for the next request, or "" for none. Thread-safe; kUnavailable fails the
  // request.
  std::function<Result<std::string>()> token;
  // Told when the site answers 401, so that the source reads its file again.
  std::function<void()> token_refused;
  // A session whose site says nothing for so long is lost (its heartbeat comes every 5 s).
  Duration session_silence = std::chrono::seconds(30);
};

// `io` and `log` outlive the result.
std::unique_ptr<node::Site> Create(net::Io& io, Options options, Log& log);

}  // namespace interlink::site_client

#endif  // INTERLINK_SITE_CLIENT_SITE_CLIENT_H_
