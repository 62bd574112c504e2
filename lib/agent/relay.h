// Relay: carries one connection of the pod's agent over a pair of descriptors, a step's stdin and
// stdout, to a site that the agent cannot reach by itself. What passes is TLS between agent and
// hub: the relay understands nothing of it.
//
//   greets, listens -> the agent connects -> bytes in both directions -> both are over, or one is
//                                                                        and `farewell` has passed
// One connection, then the end: whoever wants another one starts another relay. One whose socket
// another relay has replaced ends within 1 s: a site that starts another has lost this one.
#ifndef INTERLINK_AGENT_RELAY_H_
#define INTERLINK_AGENT_RELAY_H_

#include <chrono>
#include <string>

#include "base/clock.h"
#include "base/status.h"
#include "base/unique_fd.h"

namespace interlink::agent {

struct RelayOptions {
  // A Unix socket that the agent dials. Its folder must be ours, 0700. What an earlier relay has
  // left there is replaced.
  std::string socket;
  std::string greeting;  // the first line on `out`: the site sends nothing before it
  Duration wait = std::chrono::seconds(30);     // for the agent
  Duration farewell = std::chrono::seconds(5);  // from the end of one direction to the end of all
};

// Returns when it is over. OK: a connection was carried, or the site left before there was one.
// kUnavailable: no agent has come, or another relay. kFailedPrecondition: the site spoke before the
// agent. kPermissionDenied: others can use the folder. kInvalidArgument: the path is too long. At
// most 128 KiB are held: whoever does not read holds up the other end. REQUIRES: SIGPIPE is
// ignored.
Status RunRelay(const RelayOptions& options, UniqueFd in, UniqueFd out);

}  // namespace interlink::agent

#endif  // INTERLINK_AGENT_RELAY_H_
