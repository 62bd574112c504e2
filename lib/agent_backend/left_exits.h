// Internal: what an agent has left in its pod's folder when its allocation ended
// (lib/agent/pod_folder.h). The folder is the job's user's: no link is followed, sizes are bounded.
#ifndef INTERLINK_AGENT_BACKEND_LEFT_EXITS_H_
#define INTERLINK_AGENT_BACKEND_LEFT_EXITS_H_

#include <string>

#include "agent_backend/agent_pod.h"
#include "base/log.h"

namespace interlink::agent_backend {

// The record of each container that is there; a damaged one, or one of another pod, is not, and is
// logged; so is a link or a file in the place of the folder. Errors: it cannot be read now.
Result<LeftExits> ReadLeftExits(const std::string& pod_folder, const SandboxId& sandbox, Log& log);

}  // namespace interlink::agent_backend

#endif  // INTERLINK_AGENT_BACKEND_LEFT_EXITS_H_
