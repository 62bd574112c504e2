// Internal: carries an agent's connection between a relay's socket and the hub's own port. What
// passes is TLS between the agent and the hub. Runs on its own strand of io.
//
// One read at a time in each direction: whoever does not read holds up the other end. A direction
// that ends half-closes the other side; then the rest has 10 s.
#ifndef INTERLINK_AGENT_HUB_RELAY_PUMP_H_
#define INTERLINK_AGENT_HUB_RELAY_PUMP_H_

#include <cstdint>
#include <functional>
#include <string>

#include "base/status.h"
#include "base/unique_fd.h"
#include "net/connection.h"
#include "net/io.h"

namespace interlink::agent_hub {

// `over` is called once, when it has ended or `io` was stopped; not after an error.
Status CarryRelay(net::Io& io, UniqueFd relay, const net::Endpoint& hub,
                  std::function<void()> over);

// How a process of this machine reaches a port that is served at `address`, an IP address. Pure.
net::Endpoint LoopbackOf(const std::string& address, uint16_t port);

}  // namespace interlink::agent_hub

#endif  // INTERLINK_AGENT_HUB_RELAY_PUMP_H_
