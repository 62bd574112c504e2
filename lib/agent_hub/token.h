// The pod token: what an agent shows to be let in. Pure.
#ifndef INTERLINK_AGENT_HUB_TOKEN_H_
#define INTERLINK_AGENT_HUB_TOKEN_H_

#include <string>
#include <string_view>

#include "base/id.h"

namespace interlink::agent_hub {

// HMAC-SHA256(agent key, sandbox id) as 64 lower-case hex digits: nobody without the key makes one,
// and one opens one sandbox only. REQUIRES: `agent_key` is not empty.
std::string PodToken(std::string_view agent_key, const SandboxId& id);

// True when `authorization` is "Bearer " and the token of `id`. Takes the same time wherever the
// first difference is.
bool IsAuthorized(std::string_view agent_key, const SandboxId& id, std::string_view authorization);

}  // namespace interlink::agent_hub

#endif  // INTERLINK_AGENT_HUB_TOKEN_H_
