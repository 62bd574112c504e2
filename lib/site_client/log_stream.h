// Internal: /v1/logs, one WebSocket for all containers of the node, opened again with back-off for
// as long as the object lives.
#ifndef INTERLINK_SITE_CLIENT_LOG_STREAM_H_
#define INTERLINK_SITE_CLIENT_LOG_STREAM_H_

#include <memory>

#include "base/log.h"
#include "node/site.h"
#include "site_client/requests.h"

namespace interlink::site_client {

std::unique_ptr<node::Site::LogStream> OpenLogStream(net::Io& io,
                                                     std::shared_ptr<Requests> requests,
                                                     node::LogSink& sink, Log& log);

}  // namespace interlink::site_client

#endif  // INTERLINK_SITE_CLIENT_LOG_STREAM_H_
