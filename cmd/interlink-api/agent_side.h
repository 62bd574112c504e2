// What serves schedulers' plugins: the hub that the agents of their allocations call, and a backend
// for each plugin. Thread-safe.
#ifndef INTERLINK_CMD_INTERLINK_API_AGENT_SIDE_H_
#define INTERLINK_CMD_INTERLINK_API_AGENT_SIDE_H_

#include <memory>

#include "agent_backend/agent_backend.h"
#include "agent_backend/agent_directory.h"
#include "agent_hub/hub.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/status.h"
#include "config/api_config.h"
#include "net/io.h"
#include "sdk/host.h"

namespace interlink::cmd_api {

// It outlives the backends that it makes.
class AgentSide {
 public:
  // Without Agents.Port there is no hub. `config`, `io`, `log` and `clock` outlive it. Errors name
  // the section.
  static Result<std::unique_ptr<AgentSide>> Start(const config::ApiConfig& config, net::Io& io,
                                                  Log& log, const Clock& clock);
  // A backend without its provisioner yet. kInvalidArgument: there is no hub.
  Result<std::unique_ptr<agent_backend::AgentBackend>> MakeBackend(sdk::Host& host);
  // No agent is heard any more; whatever a backend asks is kUnavailable. REQUIRES: `io` runs.
  void Stop();

 private:
  explicit AgentSide(const config::AgentsConfig& agents) : config_(agents) {}

  const config::AgentsConfig& config_;
  std::string ca_pem_;
  agent_backend::AgentDirectory directory_;
  std::unique_ptr<agent_hub::AgentHub> hub_;
};

}  // namespace interlink::cmd_api

#endif  // INTERLINK_CMD_INTERLINK_API_AGENT_SIDE_H_
