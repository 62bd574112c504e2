// Internal: one exec, attach or port-forward at the site: a WebSocket of its own
// (proto/interlink/v1/session.proto) with the face of node::Session.
#ifndef INTERLINK_SITE_CLIENT_SESSIONS_H_
#define INTERLINK_SITE_CLIENT_SESSIONS_H_

#include <memory>

#include "interlink/v1/session.pb.h"
#include "node/session.h"
#include "site_client/requests.h"

namespace interlink::site_client {

// Sent once. `reply` comes once, from an io thread or the canceller's; only the end of `io` drops
// it. `call` bounds the opening; its cancellation later means nothing. kUnavailable also when the
// connection broke before the answer: the command may run.
void OpenSession(net::Io& io, std::shared_ptr<Requests> requests, const Call& call, Ask ask,
                 const interlink::v1::SessionRequest& request, node::Reply<node::SessionPtr> reply);

}  // namespace interlink::site_client

#endif  // INTERLINK_SITE_CLIENT_SESSIONS_H_
