// What `serve` and `check` both build from the configuration.
#ifndef INTERLINK_CMD_INTERLINK_CRI_PARTS_H_
#define INTERLINK_CMD_INTERLINK_CRI_PARTS_H_

#include <memory>
#include <string>

#include "base/status.h"
#include "config/cri_config.h"
#include "net/connection.h"

namespace interlink::cmd_cri {

// What the site is spoken to with; null: plain HTTP. kInvalidArgument, kFailedPrecondition: the
// certificate files.
Result<std::shared_ptr<net::TlsContext>> SiteTls(const config::CriConfig& config);
// The site's address.
net::Endpoint SiteEndpoint(const config::CriConfig& config,
                           std::shared_ptr<const net::TlsContext> tls);

// Versions "major.minor.patch" of a node and its site: the rule for a skew. REST v1 stays
// compatible; other pairs are possible but not tested.
bool AreTestedTogether(const std::string& a, const std::string& b);

// The exit code for an error: 2 when a person must act, else 1.
int ExitCodeOf(const Status& status);

}  // namespace interlink::cmd_cri

#endif  // INTERLINK_CMD_INTERLINK_CRI_PARTS_H_
