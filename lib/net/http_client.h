// HttpClient: HTTP/1.1 to one origin over kept-alive connections. Never follows redirects.
// Thread-safe.
//
// An idempotent request may go over a kept connection, though not over one whose TLS files have
// been replaced since, and is repeated once on a fresh one when that turned out to be dead before a
// byte of the answer. Any other request gets a connection of its own and is never sent twice.
#ifndef INTERLINK_NET_HTTP_CLIENT_H_
#define INTERLINK_NET_HTTP_CLIENT_H_

#include <functional>
#include <memory>
#include <string>

#include "base/call.h"
#include "net/connection.h"
#include "net/http.h"
#include "net/io.h"
#include "net/websocket.h"

namespace interlink::net {

struct HttpClientOptions {
  Endpoint endpoint;
  std::string host_header;  // empty: the endpoint's
  Duration connect_timeout = std::chrono::seconds(5);
  // Kept-alive connections that were not used for so long are closed.
  Duration idle_timeout = std::chrono::seconds(30);
  size_t max_idle = 64;
  size_t max_response = 64U << 20U;
};

// The answer to an upgrade request.
struct Upgraded {
  std::shared_ptr<WebSocket> socket;  // null: refused
  HttpResponse refusal;
};

class HttpClient {
 public:
  HttpClient(Io& io, HttpClientOptions options);
  ~HttpClient();

  // Blocks until the answer, the call's deadline or its end. `idempotent`: see above. kUnavailable:
  // no answer.
  Result<HttpResponse> Do(const Call& call, HttpRequest request, bool idempotent = true);
  // The same without a thread; `reply` runs on an io thread, never within DoAsync.
  void DoAsync(const Call& call, HttpRequest request, bool idempotent,
               std::function<void(Result<HttpResponse>)> reply);

  // Reads an answer piece by piece. `on_head` decides by its status; `on_bytes` gets the decoded
  // body on an io thread and may take its time: the socket is not read meanwhile. Blocks until the
  // end of the body (OK), an error, `idle` without a byte (kDeadlineExceeded), or the call's end;
  // always for a function that runs, and none runs afterwards.
  Status Stream(const Call& call, HttpRequest request, Duration idle,
                std::function<Status(const HttpResponse& head)> on_head,
                std::function<Status(std::string_view bytes)> on_bytes);

  // An upgrade to WebSocket at request.target. kUnavailable, kDeadlineExceeded: no answer.
  Awaitable<Result<Upgraded>> Upgrade(boost::asio::any_io_executor strand, HttpRequest request,
                                      SteadyTime deadline);
  // Closes idle connections (after a change of certificates, or when the server is known to be
  // gone).
  void DropIdle();

  struct State;

 private:
  std::shared_ptr<State> state_;  // owners: this and its coroutines
};

}  // namespace interlink::net

#endif  // INTERLINK_NET_HTTP_CLIENT_H_
