// OidcVerifier: bearer tokens that issuers of OpenID Connect have signed; Kubernetes' service
// accounts are one. Thread-safe.
#ifndef INTERLINK_AUTH_OIDC_VERIFIER_H_
#define INTERLINK_AUTH_OIDC_VERIFIER_H_

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "auth/authenticator.h"
#include "auth/issuer_keys.h"
#include "auth/jwt.h"
#include "auth/verified_tokens.h"
#include "base/clock.h"

namespace interlink::auth {

// What a token of one issuer says, and what it means here.
struct OidcIssuer {
  IssuerKeysOptions keys;
  std::vector<std::string> audiences;  // of which a token must have one; never empty
  int64_t leeway_seconds = 30;
  // Where a token names its node: names from the top of the claims. What is there must begin with
  // `node_prefix`; the rest is the node's name.
  std::vector<std::string> node_claim = {"sub"};
  std::string node_prefix;
  // For whoever decides by them; the configuration has no keys for these until somebody does.
  std::vector<std::string> groups_claim;  // a string or a list; empty: no groups
  std::vector<std::string> tenant_claim;  // a string; empty: no tenant
};

class OidcVerifier final : public TokenVerifier {
 public:
  // `others` has the tokens that are no JWTs; null: there are none. All but `issuers` outlive it.
  // kInvalidArgument: two issuers of one name, or none, or one without an audience; else as
  // IssuerKeys::Create.
  static Result<std::unique_ptr<OidcVerifier>> Create(std::vector<OidcIssuer> issuers,
                                                      const TokenVerifier* others, net::Io& io,
                                                      Timer& timer, Log& log, const Clock& clock);

  // A signature is verified once for each set of the issuer's keys; its times are looked at each
  // time. kUnavailable: the issuer's keys are not known (now): ask again.
  Result<TokenIdentity> Verify(std::string_view token) const override;

 private:
  struct Issuer {
    OidcIssuer rules;
    std::unique_ptr<IssuerKeys> keys;
  };
  OidcVerifier(std::vector<Issuer> issuers, const TokenVerifier* others, const Clock& clock)
      : issuers_(std::move(issuers)), others_(others), clock_(clock) {}
  Status CheckClaimsBy(const OidcIssuer& rules, const JwtClaims& claims) const;

  const std::vector<Issuer> issuers_;
  const TokenVerifier* const others_;
  const Clock& clock_;
  mutable VerifiedTokens verified_;
};

}  // namespace interlink::auth

#endif  // INTERLINK_AUTH_OIDC_VERIFIER_H_
