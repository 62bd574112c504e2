// The list Auth.OIDC of interlink-api: whose bearer tokens are taken. Values.
#ifndef INTERLINK_CONFIG_OIDC_SECTION_H_
#define INTERLINK_CONFIG_OIDC_SECTION_H_

#include <string>
#include <vector>

#include "config/schema.h"

namespace interlink::config {

// One item. Members are its keys (OidcKey documents them).
struct OidcIssuerConfig {
  std::string where;  // "file:line"
  std::string issuer;
  std::vector<std::string> audiences;
  std::string jwks_file;
  std::string ca_cert_file;
  std::vector<std::string> node_claim = {"sub"};
  std::string node_prefix;
  std::vector<std::string> groups_claim = {"groups"};
  std::vector<std::string> tenant_claim;
};

// Refuses issuers that nobody could trust: without an audience, twice, or by plain http from
// another machine.
Key OidcKey(std::vector<OidcIssuerConfig>* target);

}  // namespace interlink::config

#endif  // INTERLINK_CONFIG_OIDC_SECTION_H_
