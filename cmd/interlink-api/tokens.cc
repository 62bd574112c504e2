#include "tokens.h"

#include <utility>
#include <vector>

namespace interlink::cmd_api {
namespace {

auth::OidcIssuer IssuerOf(const config::OidcIssuerConfig& configured) {
  auth::OidcIssuer issuer;
  issuer.keys.issuer = configured.issuer;
  issuer.keys.jwks_file = configured.jwks_file;
  issuer.keys.ca_file = configured.ca_cert_file;
  issuer.audiences = configured.audiences;
  issuer.node_claim = configured.node_claim;
  issuer.node_prefix = configured.node_prefix;
  issuer.groups_claim = configured.groups_claim;
  issuer.tenant_claim = configured.tenant_claim;
  return issuer;
}

}  // namespace

const auth::TokenVerifier* TokenReaders::verifier() const {
  if (oidc) return oidc.get();
  return file.get();
}

Result<TokenReaders> OpenTokens(const config::ApiConfig& config, net::Io& io, Timer& timer,
                                Log& log, const Clock& clock) {
  TokenReaders readers;
  if (!config.auth.token_file.empty()) {
    ASSIGN_OR_RETURN(readers.file, auth::TokenFile::Open(config.auth.token_file, timer, log));
  }
  if (config.auth.oidc.empty()) return readers;
  std::vector<auth::OidcIssuer> issuers;
  for (const auto& configured : config.auth.oidc) issuers.push_back(IssuerOf(configured));
  auto oidc =
      auth::OidcVerifier::Create(std::move(issuers), readers.file.get(), io, timer, log, clock);
  if (!oidc.ok()) return oidc.status().WithContext("Auth.OIDC");
  readers.oidc = *std::move(oidc);
  return readers;
}

}  // namespace interlink::cmd_api
