// Linux capabilities of a container's process. Pure.
#ifndef INTERLINK_ENGINE_CAPABILITIES_H_
#define INTERLINK_ENGINE_CAPABILITIES_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace interlink::engine {

// Bit n is the capability with number n.
using CapabilitySet = uint64_t;

struct ProcessCapabilities {
  CapabilitySet bounding = 0;  // permitted and effective too
  CapabilitySet ambient = 0;   // inheritable too
};

struct CapabilityRequest {
  std::vector<std::string> add;
  std::vector<std::string> drop;
  std::vector<std::string> add_ambient;
  bool privileged = false;  // everything that we have; add and drop do not count
};

// `own`: what this process may pass on (its bounding set). Names: with or without CAP_, any case;
// "ALL" is everything that we have. Drops come after adds, except that a capability that is added
// by name survives the drop of ALL. kInvalidArgument: an unknown name, or one added by name that we
// do not have.
Result<ProcessCapabilities> ResolveCapabilities(const CapabilityRequest& request,
                                                CapabilitySet own);

// What a pod may have without AllowPrivileged. Some rule only over what is the pod's own, which for
// NET_ADMIN is true in a network namespace of its own.
CapabilitySet HarmlessCapabilities(bool own_network);

// "CAP_CHOWN", ... in the order of their numbers.
std::vector<std::string> CapabilityNames(CapabilitySet set);

bool Has(CapabilitySet set, std::string_view name);

// CapBnd of this process.
Result<CapabilitySet> OwnBoundingSet();
// CapEff of this process.
Result<CapabilitySet> OwnEffectiveSet();

}  // namespace interlink::engine

#endif  // INTERLINK_ENGINE_CAPABILITIES_H_
