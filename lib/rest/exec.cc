// GET /v1/sandboxes/{id}/containers/{cid}/exec: a command in a running container.
#include "rest/routes.h"
#include "rest/session_opening.h"

namespace interlink::rest {
namespace {

void OpenExec(const Exchange& exchange, const interlink::v1::SessionRequest& request,
              site::Reply<site::Session> reply) {
  exchange.site().OpenExec(exchange.call, exchange.caller, exchange.sandbox(), exchange.container(),
                           request.exec(), std::move(reply));
}

constexpr SessionRoute kExecRoute{interlink::v1::SessionRequest::kExec, "exec",
                                  SessionPump::Kind::kFrames, OpenExec};

}  // namespace

net::Awaitable<void> ServeExec(ExchangePtr exchange, std::shared_ptr<net::Signal> signal,
                               net::Responder& responder) {
  return ServeSession(std::move(exchange), std::move(signal), responder, kExecRoute);
}

}  // namespace interlink::rest
