// What a reload of either daemon's configuration puts in force at once: how much it logs.
#ifndef INTERLINK_CMD_DAEMON_RELOAD_FORMAT_H_
#define INTERLINK_CMD_DAEMON_RELOAD_FORMAT_H_

#include <functional>
#include <utility>

#include "config/reload.h"
#include "telemetry/log.h"

namespace interlink::cmd_daemon {

// `load` reads the same files and variables again; `log` outlives the format.
template <typename Config>
typename config::Reloader<Config>::Format ReloadFormat(std::function<Result<Config>()> load,
                                                       std::function<config::Keys(Config*)> keys,
                                                       telemetry::DaemonLog& log) {
  return {
      .load = std::move(load),
      .keys = std::move(keys),
      .live = {"VerboseLogging", "ErrorsOnlyLogging"},
      .take = [&log](const Config& fresh, Config* running) {
        running->verbose_logging = fresh.verbose_logging;
        running->errors_only_logging = fresh.errors_only_logging;
        log.SetLevel({.verbose = fresh.verbose_logging, .errors_only = fresh.errors_only_logging});
      }};
}

}  // namespace interlink::cmd_daemon

#endif  // INTERLINK_CMD_DAEMON_RELOAD_FORMAT_H_
