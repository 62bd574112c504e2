#ifndef INTERLINK_CMD_AGENT_RELAY_H_
#define INTERLINK_CMD_AGENT_RELAY_H_

#include "options.h"

namespace interlink::cmd_agent {

// Carries one connection between the agent and this process's stdin and stdout. The exit code: 0
// it is over; 1 failed; 2 wrong usage, or others can use the socket's folder; 3 no agent has come.
int Relay(const RelayCommandOptions& options);

}  // namespace interlink::cmd_agent

#endif  // INTERLINK_CMD_AGENT_RELAY_H_
