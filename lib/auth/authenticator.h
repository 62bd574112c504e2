// Who is asking, at the site: the only source of a node's name is the verified TLS peer or a
// verified bearer token (DESIGN 5). Thread-safe.
#ifndef INTERLINK_AUTH_AUTHENTICATOR_H_
#define INTERLINK_AUTH_AUTHENTICATOR_H_

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/id.h"
#include "base/status.h"
#include "net/connection.h"
#include "net/tls.h"

namespace interlink::auth {

// Whom a token speaks for. Empty: it does not say.
struct TokenIdentity {
  NodeId node;
  std::string issuer;
  std::string subject;
  std::vector<std::string> groups;
  std::string tenant;
};

// One way to read a bearer token: TokenFile, OidcVerifier. Thread-safe; called on io threads, so it
// answers from memory.
class TokenVerifier {
 public:
  virtual ~TokenVerifier() = default;
  // kUnauthenticated: the token is not good (the text never contains it). kUnavailable: that cannot
  // be told now.
  virtual Result<TokenIdentity> Verify(std::string_view token) const = 0;
};

class DenyList;

// How a certificate names its node.
struct CertificateRule {
  // Empty: the node is the subject's common name, without `common_name_prefix`, which it must then
  // have. Otherwise: the node is the rest of the one URI alternative name that begins with this.
  std::string uri_prefix;
  std::string common_name_prefix;
};

struct AuthenticatorOptions {
  // kRequire: a verified certificate is needed. kVerify: it counts when there is one. kNone: none
  // was asked for in the handshake. Must be what the TLS listener was made with.
  net::ClientAuth client_auth = net::ClientAuth::kRequire;
  CertificateRule rule;
  // A token is needed too, as a second factor. Without it a certificate alone is enough.
  bool require_token = false;
  // Whether a certificate has been revoked since its connection was made. Null: none ever is.
  std::function<bool(const net::Peer&)> revoked = nullptr;
};

struct Identity {
  NodeId node;
  bool by_certificate = false;
  bool by_token = false;
  TokenIdentity token;  // REQUIRES: by_token
};

class Authenticator {
 public:
  // `tokens` and `denied` outlive this. `tokens` null: no tokens are accepted; `denied` null:
  // nobody is denied by name. kInvalidArgument: with these options nobody could ever be identified.
  static Result<Authenticator> Create(AuthenticatorOptions options, const TokenVerifier* tokens,
                                      const DenyList* denied = nullptr);

  // `authorization`: the value of that header, when there is one. What is presented must be right:
  // a wrong token is refused whatever the certificate says, and both must name the same node. A
  // certificate counts until it is revoked or expires, also on a connection that stands.
  // kUnauthenticated: who asks is not known, and what is missing. kPermissionDenied: the two
  // identities differ. kUnavailable: as TokenVerifier. Whoever it is may still be denied by name.
  Result<Identity> Authenticate(const net::Peer& peer,
                                const std::optional<std::string>& authorization) const;
  // For each request, after Authenticate: a second step, so that who is denied can be named.
  // kPermissionDenied: `identity` is on the deny list.
  Status CheckDenied(const Identity& identity) const;

 private:
  Authenticator(AuthenticatorOptions options, const TokenVerifier* tokens, const DenyList* denied)
      : options_(std::move(options)), tokens_(tokens), denied_(denied) {}
  Result<NodeId> NodeOfCertificate(const net::Peer& peer) const;
  Result<TokenIdentity> IdentityOfToken(const std::string& authorization) const;

  AuthenticatorOptions options_;
  const TokenVerifier* tokens_;
  const DenyList* denied_;
};

// A node's name becomes a part of paths, cgroups and job names: 1 to 253 characters of
// [A-Za-z0-9._-], beginning with a letter or digit. kInvalidArgument says what is wrong.
Status CheckNodeName(std::string_view name);

}  // namespace interlink::auth

#endif  // INTERLINK_AUTH_AUTHENTICATOR_H_
