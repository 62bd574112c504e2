// What an agent says, as the site's own types. Pure.
#ifndef INTERLINK_AGENT_HUB_FACTS_H_
#define INTERLINK_AGENT_HUB_FACTS_H_

#include "base/id.h"
#include "base/status.h"
#include "sdk/observation.h"

namespace interlink::agent::v1 {
class Fact;
}

namespace interlink::agent_hub {

// kInvalidArgument: an agent of this protocol does not say that (no such state, no id).
Result<sdk::Observation> FromFact(const SandboxId& sandbox, const agent::v1::Fact& fact);

}  // namespace interlink::agent_hub

#endif  // INTERLINK_AGENT_HUB_FACTS_H_
