// Internal: what a TlsContext holds. Only .cc files that own TLS sockets include it.
#ifndef INTERLINK_NET_TLS_STATE_H_
#define INTERLINK_NET_TLS_STATE_H_

#include <boost/asio/ssl/context.hpp>
#include <utility>

#include "net/tls.h"

namespace interlink::net {

struct TlsContext::State {
  boost::asio::ssl::context context{boost::asio::ssl::context::tls};
  int64_t not_after = 0;
};

// The newest text of OpenSSL's error queue, which is emptied.
std::string TlsErrorText();

}  // namespace interlink::net

#endif  // INTERLINK_NET_TLS_STATE_H_
