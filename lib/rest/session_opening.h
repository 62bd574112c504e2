// Internal: what the three session routes share: the upgrade, the first message each way, the pump.
#ifndef INTERLINK_REST_SESSION_OPENING_H_
#define INTERLINK_REST_SESSION_OPENING_H_

#include "net/http_server.h"
#include "rest/exchange.h"
#include "rest/session_pump.h"

namespace interlink::rest {

// One route: which request it takes, and how the domain opens it.
struct SessionRoute {
  interlink::v1::SessionRequest::KindCase kind;
  const char* name;  // of the field in SessionRequest
  SessionPump::Kind carries;
  void (*open)(const Exchange& exchange, const interlink::v1::SessionRequest& request,
               site::Reply<site::Session> reply);
};

// `signal` is set when the edge stops.
net::Awaitable<void> ServeSession(ExchangePtr exchange, std::shared_ptr<net::Signal> signal,
                                  net::Responder& responder, const SessionRoute& route);

}  // namespace interlink::rest

#endif  // INTERLINK_REST_SESSION_OPENING_H_
