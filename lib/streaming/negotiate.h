// Internal: what a client speaks, from its request's head. Pure.
#ifndef INTERLINK_STREAMING_NEGOTIATE_H_
#define INTERLINK_STREAMING_NEGOTIATE_H_

#include <string>
#include <variant>

#include "net/http.h"
#include "node/session.h"
#include "streaming/channels.h"

namespace interlink::streaming {

struct Upgrade {
  enum class Kind {
    kSpdy,
    kChannels,  // WebSocket
    kTunnel,    // SPDY in a WebSocket's messages
  };
  Kind kind = Kind::kSpdy;
  std::string protocol;      // as negotiated, for the log
  int version = 0;           // kSpdy, exec and attach: 1 to 4
  ChannelProtocol channels;  // kChannels
  std::string answer;        // the whole 101
};

// The upgrade, or the answer to a client that cannot be served: 400, it asks for none, or for one
// badly; 403, it offers no protocol that we have.
std::variant<Upgrade, net::HttpResponse> Negotiate(const net::HttpRequest& http,
                                                   const node::StreamRequest& request);

// An answer that people read.
net::HttpResponse TextAnswer(int status, const std::string& text);

}  // namespace interlink::streaming

#endif  // INTERLINK_STREAMING_NEGOTIATE_H_
