// Internal: one request to the site, with its headers, deadline and the meaning of its answer.
#ifndef INTERLINK_SITE_CLIENT_REQUESTS_H_
#define INTERLINK_SITE_CLIENT_REQUESTS_H_

#include <functional>
#include <memory>
#include <string>

#include "base/call.h"
#include "base/mutex.h"
#include "net/http_client.h"
#include "node/site.h"
#include "site_client/site_client.h"
#include "wire/routes.h"

namespace interlink::site_client {

// What every request needs beside its route.
struct Ask {
  wire::Route route;
  wire::PathParameters path = {};
  wire::Query query = {};
  std::string body = {};             // protobuf
  node::LinkNumber link = 0;         // 0: none
  Duration wait = Duration::zero();  // Prefer: wait=N
};

// Builds, sends and explains. Thread-safe.
class Requests {
 public:
  Requests(net::Io& io, Options options);

  // A step's request: at most 10 s; fails at once while the site is judged to be out of reach
  // (unless `always`).
  Status Send(const Call& call, const Ask& ask, google::protobuf::Message* answer,
              bool always = false);
  void SendAsync(const Call& call, const Ask& ask,
                 std::function<void(Result<net::HttpResponse>)> reply);
  // Explains an answer that is not 2xx, and decodes the others.
  Status Understand(const net::HttpResponse& response, google::protobuf::Message* answer) const;
  Result<net::HttpRequest> Build(const Call& call, const Ask& ask) const;

  void SetReachable(Status why_not);
  Status reachable() const;
  // `wake` is called each time that the site is said to be in reach. REQUIRES: it only enqueues;
  // asked once.
  void OnReachable(std::function<void()> wake);
  net::HttpClient& http() { return http_; }
  const std::string& name() const { return name_; }
  Duration session_silence() const { return options_.session_silence; }

 private:
  const Options options_;
  const std::string name_;
  net::HttpClient http_;
  mutable Mutex mutex_;
  Status unreachable_ GUARDED_BY(mutex_);
  std::function<void()> on_reachable_ GUARDED_BY(mutex_);
};

}  // namespace interlink::site_client

#endif  // INTERLINK_SITE_CLIENT_REQUESTS_H_
