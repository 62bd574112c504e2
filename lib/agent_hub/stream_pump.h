// Internal: carries a session between an agent's Stream call and the descriptor that the site got.
// Runs on its own strand of io.
//
//   the agent's pieces -> the descriptor      one piece at a time: back-pressure is gRPC's
//   the descriptor -> pieces                  one read at a time
//
// A session of frames ends with either side's end. Bare bytes half-close in each direction, and end
// when both have.
#ifndef INTERLINK_AGENT_HUB_STREAM_PUMP_H_
#define INTERLINK_AGENT_HUB_STREAM_PUMP_H_

#include <memory>

#include "agent_hub/stream.h"
#include "base/unique_fd.h"
#include "net/io.h"

namespace interlink::agent_hub {

// `counted` is kept until it has ended.
void PumpStream(net::Io& io, StreamPtr stream, UniqueFd end, bool frames,
                std::shared_ptr<void> counted);

}  // namespace interlink::agent_hub

#endif  // INTERLINK_AGENT_HUB_STREAM_PUMP_H_
