// The signals of a daemon: TERM and INT end it, HUP makes it read its files again, PIPE is ignored.
#ifndef INTERLINK_CMD_DAEMON_SIGNALS_H_
#define INTERLINK_CMD_DAEMON_SIGNALS_H_

#include <csignal>
#include <functional>
#include <string>

#include "base/log.h"
#include "base/status.h"

namespace interlink::cmd_daemon {

// Keeps them from this thread, and from those that it starts, for AwaitEnd to take. Before any
// other thread.
sigset_t BlockSignals();

// Returns at the one that ends the daemon. `reload`: what HUP asks for; what it did is logged.
void AwaitEnd(const sigset_t& signals, const std::function<Result<std::string>()>& reload,
              Log& log);

}  // namespace interlink::cmd_daemon

#endif  // INTERLINK_CMD_DAEMON_SIGNALS_H_
