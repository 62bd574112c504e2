#include "auth/oidc_verifier.h"

#include <algorithm>

namespace interlink::auth {
namespace {

constexpr int64_t kNanosInSecond = 1'000'000'000;

std::string Shown(const std::vector<std::string>& path) {
  std::string text;
  for (const std::string& name : path) text += (text.empty() ? "\"" : " / \"") + name + "\"";
  return text;
}

Result<TokenIdentity> IdentityOf(const JwtClaims& claims, const OidcIssuer& rules) {
  TokenIdentity identity;
  identity.issuer = rules.keys.issuer;
  identity.subject = claims.String({"sub"}).value_or("");
  const auto named = claims.String(rules.node_claim);
  if (!named || !named->starts_with(rules.node_prefix)) {
    return Unauthenticated(
        "the token: its claim " + Shown(rules.node_claim) + " names no node: it must be a text" +
        (rules.node_prefix.empty() ? std::string()
                                   : " that begins with \"" + rules.node_prefix + "\""));
  }
  const std::string node = named->substr(rules.node_prefix.size());
  if (const Status good = CheckNodeName(node); !good.ok())
    return Unauthenticated("the token: its claim " + Shown(rules.node_claim) + ": " +
                           good.message());
  identity.node = NodeId(node);
  if (!rules.groups_claim.empty())
    identity.groups = claims.Strings(rules.groups_claim).value_or(std::vector<std::string>());
  if (!rules.tenant_claim.empty()) {
    identity.tenant = claims.String(rules.tenant_claim).value_or("");
    // Without one it would be everybody's quota, or nobody's.
    if (identity.tenant.empty())
      return Unauthenticated("the token: its claim " + Shown(rules.tenant_claim) +
                             " names no tenant");
  }
  return identity;
}

}  // namespace

Result<std::unique_ptr<OidcVerifier>> OidcVerifier::Create(std::vector<OidcIssuer> given,
                                                           const TokenVerifier* others, net::Io& io,
                                                           Timer& timer, Log& log,
                                                           const Clock& clock) {
  if (given.empty()) return InvalidArgument("there is no issuer");
  std::vector<Issuer> issuers;
  for (OidcIssuer& rules : given) {
    const std::string& name = rules.keys.issuer;
    const bool twice = std::any_of(issuers.begin(), issuers.end(), [&](const Issuer& one) {
      return one.rules.keys.issuer == name;
    });
    if (twice) return InvalidArgument("issuer \"" + name + "\" is there twice");
    if (rules.audiences.empty())
      return InvalidArgument("issuer \"" + name +
                             "\" has no audience: a token for anybody would be one for this site");
    if (rules.node_claim.empty())
      return InvalidArgument("issuer \"" + name + "\" has no claim that names the node");
    ASSIGN_OR_RETURN(auto keys, IssuerKeys::Create(rules.keys, io, timer, log));
    issuers.push_back({std::move(rules), std::move(keys)});
  }
  return std::unique_ptr<OidcVerifier>(new OidcVerifier(std::move(issuers), others, clock));
}

Status OidcVerifier::CheckClaimsBy(const OidcIssuer& rules, const JwtClaims& claims) const {
  return CheckClaims(claims, {rules.keys.issuer, rules.audiences, rules.leeway_seconds},
                     clock_.WallNanos() / kNanosInSecond);
}

Result<TokenIdentity> OidcVerifier::Verify(std::string_view text) const {
  const Sha256Digest digest = Sha256(text);
  if (const auto known = verified_.Find(digest)) {
    const Issuer& issuer = issuers_[known->issuer];
    if (issuer.keys->Current() == known->keys) {
      RETURN_IF_ERROR(CheckClaimsBy(issuer.rules, known->claims));
      return IdentityOf(known->claims, issuer.rules);
    }
  }
  const auto token = ParseJwt(text);
  if (!token.ok()) {
    // It may be one of theirs; what they say of it is no better than this.
    if (others_ != nullptr) {
      auto identity = others_->Verify(text);
      if (identity.ok()) return identity;
    }
    return token.status();
  }
  const std::string name = token->claims.String({"iss"}).value_or("");
  const auto issuer = std::find_if(issuers_.begin(), issuers_.end(), [&](const Issuer& one) {
    return one.rules.keys.issuer == name;
  });
  if (issuer == issuers_.end())
    return Unauthenticated("the token: its issuer (iss) is not one that this site trusts");
  const OidcIssuer& rules = issuer->rules;
  // Before the signature: it costs nothing, and who waits for a key must have a reason.
  RETURN_IF_ERROR(CheckClaimsBy(rules, token->claims));
  const auto keys = issuer->keys->Current();
  RETURN_IF_ERROR(issuer->keys->Verify(*token));
  // Not when they were read again meanwhile: it is not known by which of the two it was verified.
  if (issuer->keys->Current() == keys) {
    const auto place = static_cast<size_t>(issuer - issuers_.begin());
    verified_.Keep(digest, {place, keys, token->claims});
  }
  return IdentityOf(token->claims, rules);
}

}  // namespace interlink::auth
