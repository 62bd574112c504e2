// Internal: what a TlsContext holds. Only .cc files that own TLS sockets include it.
#ifndef INTERLINK_NET_TLS_STATE_H_
#define INTERLINK_NET_TLS_STATE_H_

#include <boost/asio/ssl/context.hpp>
#include <set>
#include <string>
#include <utility>

#include "net/tls.h"
#include "net/tls_sessions.h"

struct X509_name_st;
struct asn1_string_st;

namespace interlink::net {

struct TlsContext::State {
  TlsSessions sessions;  // of clients; before `context`, whose connections use it
  boost::asio::ssl::context context{boost::asio::ssl::context::tls};
  int64_t not_after = 0;
  std::set<std::string> revoked;  // CertificateId of each
};

// What tells a certificate apart: who has signed it, and its serial number there.
std::string CertificateId(const X509_name_st* issuer, const asn1_string_st* serial);

// Unix seconds; 0: no time.
int64_t UnixTime(const asn1_string_st* time);

// The newest text of OpenSSL's error queue, which is emptied.
std::string TlsErrorText();

}  // namespace interlink::net

#endif  // INTERLINK_NET_TLS_STATE_H_
