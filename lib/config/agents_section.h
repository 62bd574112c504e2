// The section Agents of interlink-api: where the agents of this site's allocations call in. Values.
#ifndef INTERLINK_CONFIG_AGENTS_SECTION_H_
#define INTERLINK_CONFIG_AGENTS_SECTION_H_

#include <cstdint>
#include <string>

#include "base/clock.h"
#include "base/status.h"
#include "config/schema.h"

namespace interlink::config {

// Members are the keys of the section (AgentKeys documents them).
struct AgentsConfig {
  std::string address = "0.0.0.0";
  uint16_t port = 0;                         // 0: no agents
  std::string public_address;                // "host:port"
  std::string server_name;                   // default: the host of public_address
  std::string ca_cert_file;                  // default: TLS.CACertFile
  Duration lease = std::chrono::minutes(5);  // zero: none
  Duration heartbeat = std::chrono::seconds(10);
  Duration idle_timeout = std::chrono::minutes(10);  // zero: none
  int64_t max_agents = 10'000;
};

Keys AgentKeys(AgentsConfig* agents);

// What of the other sections its rules need.
struct AgentSurroundings {
  bool tls = false;
  std::string ca_cert_file;
  uint16_t port = 0;
  uint16_t operator_port = 0;
  std::string file;  // for messages
};

// The rules that span keys. Fills defaults that follow from other keys. kInvalidArgument with
// file:line.
Status CompleteAgents(const AgentSurroundings& around, const Sources& sources,
                      AgentsConfig* agents);

}  // namespace interlink::config

#endif  // INTERLINK_CONFIG_AGENTS_SECTION_H_
