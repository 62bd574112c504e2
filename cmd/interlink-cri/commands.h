// The commands of interlink-cri. Each returns the exit code: 0 ok, 1 failed (try again later), 2
// the user must act.
#ifndef INTERLINK_CMD_INTERLINK_CRI_COMMANDS_H_
#define INTERLINK_CMD_INTERLINK_CRI_COMMANDS_H_

#include <string>
#include <vector>

#include "config/cri_config.h"

namespace interlink::cmd_cri {

// `environment`: what `config` was loaded with; a reload loads it again.
int Serve(const config::CriConfig& config, const config::Environment& environment);
int PrintDefaults();
int PrintReference();  // docs/config-cri.md
int PrintConfig(const config::CriConfig& config);
// Certificate pair, expiry, and with `online`: reachability, the site's name and version, and
// whether the site refuses the running daemon's link (another store uses this identity).
int Check(const config::CriConfig& config, bool online);
// These talk to the daemon's socket, never to its database.
int ShowStatus(const config::CriConfig& config);
int Reload(const config::CriConfig& config);
int Wipe(const config::CriConfig& config, const std::string& forget_site);

}  // namespace interlink::cmd_cri

#endif  // INTERLINK_CMD_INTERLINK_CRI_COMMANDS_H_
