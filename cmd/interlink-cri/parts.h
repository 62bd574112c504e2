// What `serve` and `check` both build from the configuration.
#ifndef INTERLINK_CMD_INTERLINK_CRI_PARTS_H_
#define INTERLINK_CMD_INTERLINK_CRI_PARTS_H_

#include "base/status.h"
#include "config/cri_config.h"
#include "net/connection.h"

namespace interlink::cmd_cri {

// The site's address with its TLS context. kInvalidArgument, kFailedPrecondition: the certificate
// files.
Result<net::Endpoint> SiteEndpoint(const config::CriConfig& config);

// The exit code for an error: 2 when a person must act, else 1.
int ExitCodeOf(const Status& status);

}  // namespace interlink::cmd_cri

#endif  // INTERLINK_CMD_INTERLINK_CRI_PARTS_H_
