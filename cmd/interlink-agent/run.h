#ifndef INTERLINK_CMD_AGENT_RUN_H_
#define INTERLINK_CMD_AGENT_RUN_H_

#include "options.h"

namespace interlink::cmd_agent {

// The exit code: 0 left, everything has ended; 1 failed, may be started again; 2 refused, or wrong
// usage; 3 left, and something may still run. `argv`: of this program, for its supervised self.
int Run(const RunOptions& options, char** argv);

}  // namespace interlink::cmd_agent

#endif  // INTERLINK_CMD_AGENT_RUN_H_
