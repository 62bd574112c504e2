// HttpServer: HTTP/1.1 over a Listener. Requests of a connection are answered in order (pipelining
// is kept in its queue); chunked and expecting requests are read whole before the handler sees
// them. Over a limit: 400, 408, 413, 429, 431.
#ifndef INTERLINK_NET_HTTP_SERVER_H_
#define INTERLINK_NET_HTTP_SERVER_H_

#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include "net/connection.h"
#include "net/http.h"
#include "net/io.h"

namespace interlink::net {

// How a handler answers one request. Lives as long as the handler's coroutine; not thread-safe: use
// on its strand.
class Responder {
 public:
  virtual ~Responder() = default;
  // Once, unless Begin was called.
  virtual Awaitable<Status> Send(HttpResponse response) = 0;
  // An answer without end: the head now, then chunks; the connection is closed when the handler
  // returns. A write that makes no progress for 30 s fails.
  virtual Awaitable<Status> Begin(HttpResponse head) = 0;
  virtual Awaitable<Status> Write(std::string_view chunk) = 0;
  // For upgrades: the bare connection and what was read beyond the request. Afterwards it is the
  // handler's; the server closes it when the handler returns.
  virtual std::shared_ptr<Connection> Hijack(std::string* early) = 0;
  // Runs `gone` once when the peer closes while the handler is at work. The connection is not kept
  // alive afterwards.
  virtual void WatchPeer(std::function<void()> gone) = 0;
};

using HttpHandler = std::function<Awaitable<void>(HttpRequest request, Responder& responder)>;

struct HttpServerOptions {
  size_t max_connections = 4096;
  size_t max_connections_per_peer =
      512;  // by certificate name, else (in handshakes too) by address
  Duration head_timeout = std::chrono::seconds(10);
  Duration body_timeout = std::chrono::seconds(30);  // without progress
  size_t least_body_rate = 32U << 10U;               // bytes per second, after that time
  Duration idle_timeout = std::chrono::seconds(75);
  size_t max_body = kMaxBody;
  // Bytes of bodies that are held at once, from the first byte to the answer (see BodyBudget).
  size_t max_bodies = 1024U << 20U;
  size_t max_bodies_per_peer = 256U << 20U;  // as connections
  // The body of an error that the server itself answers, by status and text.
  std::function<HttpResponse(int status, const std::string& text)> error_page;
  // Told of a peer that did not get through the TLS handshake, and why; for the log.
  std::function<void(const Peer&, const Status&)> on_handshake_error;
};

class HttpServer {
 public:
  HttpServer(Io& io, std::unique_ptr<Listener> listener, HttpServerOptions options,
             HttpHandler handler);
  // Stops.
  ~HttpServer();
  void Start();
  // No new connections; those that are open end: requests in progress get up to `grace`.
  void Stop(Duration grace);
  uint16_t port() const;

  struct State;

 private:
  std::shared_ptr<State> state_;  // owners: this and the coroutines
};

// One connection from elsewhere (the CRI socket's HTTP) through the same code.
void ServeConnection(Io& io, std::shared_ptr<Connection> connection, std::string early,
                     HttpServerOptions options, HttpHandler handler);

}  // namespace interlink::net

#endif  // INTERLINK_NET_HTTP_SERVER_H_
