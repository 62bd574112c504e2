// The exit codes of the daemons' commands: 0 ok, 1 failed (try again later), 2 the user must act.
#ifndef INTERLINK_CMD_DAEMON_EXIT_CODE_H_
#define INTERLINK_CMD_DAEMON_EXIT_CODE_H_

#include "base/status.h"

namespace interlink::cmd_daemon {

int ExitCodeOf(const Status& status);

}  // namespace interlink::cmd_daemon

#endif  // INTERLINK_CMD_DAEMON_EXIT_CODE_H_
