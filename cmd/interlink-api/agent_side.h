// What serves schedulers' plugins: the hub that the agents of their allocations call, and a backend
// for each plugin. Thread-safe.
#ifndef INTERLINK_CMD_INTERLINK_API_AGENT_SIDE_H_
#define INTERLINK_CMD_INTERLINK_API_AGENT_SIDE_H_

#include <memory>
#include <string>

#include "agent_backend/agent_backend.h"
#include "agent_backend/agent_directory.h"
#include "agent_hub/hub.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mutex.h"
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
  // The certificate of the agents' port again, after the site's own was. An error is logged: that
  // of before stays in force.
  void RenewCertificate();
  // No agent is heard any more; whatever a backend asks is kUnavailable. REQUIRES: `io` runs.
  void Stop();

 private:
  AgentSide(const config::AgentsConfig& agents, Log& log) : config_(agents), log_(log) {}
  // What agents that start now trust: the file as it is, or as it was when it was last right.
  std::string CaPem();

  const config::AgentsConfig& config_;
  Log& log_;
  Mutex renewal_;  // one at a time: the files' watch and a reload may come together
  Mutex mutex_;
  std::string ca_pem_ GUARDED_BY(mutex_);
  agent_backend::AgentDirectory directory_;
  std::unique_ptr<agent_hub::AgentHub> hub_;
};

}  // namespace interlink::cmd_api

#endif  // INTERLINK_CMD_INTERLINK_API_AGENT_SIDE_H_
