// What the backend sees, as the protocol says it. Pure.
#ifndef INTERLINK_AGENT_FACTS_H_
#define INTERLINK_AGENT_FACTS_H_

#include "interlink/agent/v1/agent.pb.h"
#include "sdk/observation.h"

namespace interlink::agent {

v1::Fact ToFact(const sdk::Observation& seen);

}  // namespace interlink::agent

#endif  // INTERLINK_AGENT_FACTS_H_
