// The static interlink-shim that this program carries: a compute node has nothing installed.
#ifndef INTERLINK_CMD_AGENT_EMBEDDED_SHIM_H_
#define INTERLINK_CMD_AGENT_EMBEDDED_SHIM_H_

#include <string>

#include "base/status.h"

namespace interlink::cmd_agent {

// Writes it to FOLDER/interlink-shim, unless it is there already; answers the path.
// kFailedPrecondition: programs of that folder may not be run.
Result<std::string> UnpackShim(const std::string& folder);

}  // namespace interlink::cmd_agent

#endif  // INTERLINK_CMD_AGENT_EMBEDDED_SHIM_H_
