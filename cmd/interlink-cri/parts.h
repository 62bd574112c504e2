// What `serve` and `check` both build from the configuration.
#ifndef INTERLINK_CMD_INTERLINK_CRI_PARTS_H_
#define INTERLINK_CMD_INTERLINK_CRI_PARTS_H_

#include <memory>
#include <string>

#include "auth/client_credentials.h"
#include "auth/token_source.h"
#include "base/status.h"
#include "config/cri_config.h"
#include "net/connection.h"
#include "net/io.h"

namespace interlink::cmd_cri {

// What the site is spoken to with; null: plain HTTP. kInvalidArgument, kFailedPrecondition: the
// certificate files.
Result<std::shared_ptr<net::TlsContext>> SiteTls(const config::CriConfig& config);
// The site's address.
net::Endpoint SiteEndpoint(const config::CriConfig& config,
                           std::shared_ptr<const net::TlsContext> tls);

// Where this node's bearer token comes from: VK_TOKEN_FILE, Auth.OIDC, or nowhere.
struct NodeTokens {
  std::unique_ptr<auth::TokenSource> file;
  std::unique_ptr<auth::ClientCredentials> grant;

  // Both: for site_client::Options; they refer to this. REQUIRES: there is one.
  Result<std::string> Token() const { return file ? file->Token() : grant->Token(); }
  void Refused() const { file ? file->Refused() : grant->Refused(); }
  bool any() const { return file != nullptr || grant != nullptr; }
};
// `io`, `timer` and `log` outlive the result. Does not wait for an issuer.
Result<NodeTokens> OpenTokens(const config::CriConfig& config, net::Io& io, Timer& timer, Log& log);

// Versions "major.minor.patch" of a node and its site: the rule for a skew. REST v1 stays
// compatible; other pairs are possible but not tested.
bool AreTestedTogether(const std::string& a, const std::string& b);

}  // namespace interlink::cmd_cri

#endif  // INTERLINK_CMD_INTERLINK_CRI_PARTS_H_
