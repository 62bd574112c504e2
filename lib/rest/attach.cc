// GET /v1/sandboxes/{id}/containers/{cid}/attach: the stdio of a container itself.
#include "rest/routes.h"
#include "rest/session_opening.h"

namespace interlink::rest {
namespace {

void OpenAttach(const Exchange& exchange, const interlink::v1::SessionRequest& request,
                site::Reply<site::Session> reply) {
  exchange.site().OpenAttach(exchange.call, exchange.caller, exchange.sandbox(),
                             exchange.container(), request.attach(), std::move(reply));
}

constexpr SessionRoute kAttachRoute{interlink::v1::SessionRequest::kAttach, "attach",
                                    SessionPump::Kind::kFrames, OpenAttach};

}  // namespace

net::Awaitable<void> ServeAttach(ExchangePtr exchange, std::shared_ptr<net::Signal> signal,
                                 net::Responder& responder) {
  return ServeSession(std::move(exchange), std::move(signal), responder, kAttachRoute);
}

}  // namespace interlink::rest
