// What `serve` and `check` both build from the configuration.
#ifndef INTERLINK_CMD_INTERLINK_CRI_PARTS_H_
#define INTERLINK_CMD_INTERLINK_CRI_PARTS_H_

#include <string>

#include "base/status.h"
#include "config/cri_config.h"
#include "net/connection.h"

namespace interlink::cmd_cri {

// The site's address with its TLS context. kInvalidArgument, kFailedPrecondition: the certificate
// files.
Result<net::Endpoint> SiteEndpoint(const config::CriConfig& config);

// Versions "major.minor.patch" of a node and its site: the rule for a skew. REST v1 stays
// compatible; other pairs are possible but not tested.
bool AreTestedTogether(const std::string& a, const std::string& b);

// The exit code for an error: 2 when a person must act, else 1.
int ExitCodeOf(const Status& status);

}  // namespace interlink::cmd_cri

#endif  // INTERLINK_CMD_INTERLINK_CRI_PARTS_H_
