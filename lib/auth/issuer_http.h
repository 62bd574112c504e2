// Internal: what is asked of an issuer of tokens over HTTP, and what of its answers is trusted.
// Pure but for AskIssuer.
#ifndef INTERLINK_AUTH_ISSUER_HTTP_H_
#define INTERLINK_AUTH_ISSUER_HTTP_H_

#include <string>

#include "base/status.h"
#include "net/http.h"
#include "net/url.h"

namespace interlink::auth {

// Behind an issuer's URL, which may end with a slash (Discovery 1.0, 4.1).
std::string DiscoveryUrl(std::string issuer);

// What may be asked, and be trusted with an answer: https, or this machine. kInvalidArgument.
Result<net::Url> TrustedUrl(const std::string& text);

// Where the discovery document says that something is ("jwks_uri", "token_endpoint").
// kInvalidArgument: it does not, or it is another issuer's.
Result<std::string> DiscoveredUrl(const std::string& document, const std::string& issuer,
                                  const std::string& member);

// OK for 200; kUnavailable with the status, and with the error's name of RFC 6749, 5.2.
Status CheckIssuerAnswer(const net::HttpResponse& answer);

}  // namespace interlink::auth

#endif  // INTERLINK_AUTH_ISSUER_HTTP_H_
