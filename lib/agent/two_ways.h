// TwoWays: a channel of an agent that can reach its site directly or by a relay beside it
// (relay.h). Each control stream that was of no use is followed by a try of the other way, where
// there is one; a way that has brought a message is kept.
#ifndef INTERLINK_AGENT_TWO_WAYS_H_
#define INTERLINK_AGENT_TWO_WAYS_H_

#include <functional>
#include <memory>
#include <string>

#include "agent/channel.h"

namespace interlink::agent {

struct Ways {
  std::function<std::unique_ptr<Channel>()> direct;
  std::function<std::unique_ptr<Channel>()> relay;
  // A relay has been there. A try that finds it gone costs nothing.
  std::function<bool()> relay_there;
};

// The direct way first. Thread-safe; control streams are opened by one thread.
std::unique_ptr<Channel> MakeTwoWays(Ways ways);

}  // namespace interlink::agent

#endif  // INTERLINK_AGENT_TWO_WAYS_H_
