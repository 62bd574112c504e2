#include "daemon/signals.h"

namespace interlink::cmd_daemon {

sigset_t BlockSignals() {
  // NOLINTNEXTLINE: a peer that leaves is an error of a write, not the end of the daemon
  signal(SIGPIPE, SIG_IGN);
  sigset_t set;
  sigemptyset(&set);
  for (const int number : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&set, number);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  return set;
}

void AwaitEnd(const sigset_t& signals, const std::function<Result<std::string>()>& reload,
              Log& log) {
  int number = 0;
  while (sigwait(&signals, &number) == 0 && number == SIGHUP) {
    const auto done = reload();
    if (done.ok()) {
      log.Info("reloaded", {{"what", *done}});
    } else {
      log.Error("not reloaded", {{"reason", done.status().message()}});
    }
  }
}

}  // namespace interlink::cmd_daemon
