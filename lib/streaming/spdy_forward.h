// Internal: a port-forward over SPDY, protocol portforward.k8s.io.
#ifndef INTERLINK_STREAMING_SPDY_FORWARD_H_
#define INTERLINK_STREAMING_SPDY_FORWARD_H_

#include <memory>
#include <string>

#include "net/connection.h"
#include "streaming/spdy_connection.h"
#include "streaming/transport.h"

namespace interlink::streaming {

// Each forwarded connection is two streams with the headers "port" and "requestid": first "error",
// then "data" (without a requestid: the error stream's number, and the data stream's less two).
//
// Over `options.max_forwards` a stream is refused. kubectl says "stream reset" and goes on; a text
// would make it give up all that it forwards.
//
// A connection whose pod takes nothing for `options.held_up` is reset when its client has sent so
// much that other connections wait behind it (see spdy_connection.h): its Read and Write answer
// kResourceExhausted, its error stream ends without a text, for the same reason.
//
// Accept answers nothing when the client has sent GOAWAY and its last stream is over.
//
// `early`: bytes that were read beyond the upgrade. Destroying it cancels it; the streams that it
// gave out end with it. Call it on the connection's strand.
std::shared_ptr<ForwardTransport> StartSpdyForward(std::shared_ptr<net::Connection> connection,
                                                   std::string early, SpdyOptions options);

}  // namespace interlink::streaming

#endif  // INTERLINK_STREAMING_SPDY_FORWARD_H_
