// GET /v1/sandboxes/{id}/port-forward: one TCP connection into a sandbox.
#include "rest/routes.h"
#include "rest/session_opening.h"

namespace interlink::rest {
namespace {

void OpenPort(const Exchange& exchange, const interlink::v1::SessionRequest& request,
              site::Reply<site::Session> reply) {
  exchange.site().OpenPort(exchange.call, exchange.caller, exchange.sandbox(),
                           request.port_forward(), std::move(reply));
}

constexpr SessionRoute kPortRoute{interlink::v1::SessionRequest::kPortForward, "port_forward",
                                  SessionPump::Kind::kBytes, OpenPort};

}  // namespace

net::Awaitable<void> ServePortForward(ExchangePtr exchange, std::shared_ptr<net::Signal> signal,
                                      net::Responder& responder) {
  return ServeSession(std::move(exchange), std::move(signal), responder, kPortRoute);
}

}  // namespace interlink::rest
