#include "parts.h"

#include <utility>

namespace interlink::cmd_cri {

Result<std::shared_ptr<net::TlsContext>> SiteTls(const config::CriConfig& config) {
  if (!config.https) return std::shared_ptr<net::TlsContext>();
  // Without TLS.Enabled: the system's CAs and a token.
  return net::TlsContext::Client(config.tls.enabled ? config.tls.files : net::TlsFiles{});
}

net::Endpoint SiteEndpoint(const config::CriConfig& config,
                           std::shared_ptr<const net::TlsContext> tls) {
  net::Endpoint endpoint;
  endpoint.host = config.host;
  endpoint.port = config.port;
  endpoint.tls = std::move(tls);
  return endpoint;
}

Result<NodeTokens> OpenTokens(const config::CriConfig& config, net::Io& io, Timer& timer,
                              Log& log) {
  NodeTokens tokens;
  if (!config.token_file.empty())
    tokens.file = std::make_unique<auth::TokenSource>(config.token_file, timer, log);
  const config::CriConfig::Oidc& oidc = config.oidc;
  if (oidc.client_id.empty()) return tokens;
  auth::ClientCredentialsOptions options;
  options.issuer = oidc.issuer;
  options.token_url = oidc.token_url;
  options.client_id = oidc.client_id;
  options.secret_file = oidc.client_secret_file;
  options.scopes = oidc.scopes;
  options.audience = oidc.audience;
  options.ca_file = oidc.ca_cert_file;
  auto grant = auth::ClientCredentials::Create(std::move(options), io, log);
  if (!grant.ok()) return grant.status().WithContext("Auth.OIDC");
  tokens.grant = *std::move(grant);
  return tokens;
}

bool AreTestedTogether(const std::string& a, const std::string& b) {
  const auto major_minor = [](const std::string& version) {
    const size_t dot = version.find('.');
    return dot == std::string::npos ? version : version.substr(0, version.find('.', dot + 1));
  };
  return major_minor(a) == major_minor(b);
}

}  // namespace interlink::cmd_cri
