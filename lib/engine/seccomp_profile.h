// The default system call filter (RuntimeDefault): an allow-list; everything else answers EPERM.
// What needs a capability is allowed to those who have it. Pure.
#ifndef INTERLINK_ENGINE_SECCOMP_PROFILE_H_
#define INTERLINK_ENGINE_SECCOMP_PROFILE_H_

#include <string>

#include "engine/capabilities.h"

namespace interlink::engine {

// The value of linux.seccomp in an OCI config, as JSON text, for this machine's architecture.
std::string DefaultSeccompProfile(CapabilitySet bounding);

}  // namespace interlink::engine

#endif  // INTERLINK_ENGINE_SECCOMP_PROFILE_H_
