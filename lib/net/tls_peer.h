// Internal: what a certificate says about the peer, and what is expected of it.
#ifndef INTERLINK_NET_TLS_PEER_H_
#define INTERLINK_NET_TLS_PEER_H_

#include <string>

#include "net/connection.h"

struct ssl_st;   // OpenSSL's SSL
struct x509_st;  // OpenSSL's X509

namespace interlink::net {

// Fills common_name, names and uris.
void ReadPeerNames(x509_st& leaf, Peer& peer);

// The handshake fails unless the server's certificate is for this name or address.
void ExpectServerName(ssl_st* ssl, const std::string& host);

// What a person would look at after this X509_V_ERR_ verdict: "" or " (...)".
const char* VerdictHint(long verdict);

}  // namespace interlink::net

#endif  // INTERLINK_NET_TLS_PEER_H_
