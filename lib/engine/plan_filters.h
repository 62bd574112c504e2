// The filters that a container asks for, of system calls and AppArmor: a part of its plan.
#ifndef INTERLINK_ENGINE_PLAN_FILTERS_H_
#define INTERLINK_ENGINE_PLAN_FILTERS_H_

#include <string>

#include "base/status.h"
#include "engine/capabilities.h"
#include "engine/plan_container.h"

namespace runtime::v1 {
class LinuxContainerSecurityContext;
}  // namespace runtime::v1

namespace interlink::engine {

// Refused: a profile that cannot be had here, or by this engine; the message names the field.
Status CheckFilters(const ContainerPlace& place,
                    const runtime::v1::LinuxContainerSecurityContext& security);

// The value of linux.seccomp for a container with that bounding set; "": none.
Result<std::string> SeccompOf(const ContainerPlace& place,
                              const runtime::v1::LinuxContainerSecurityContext& security,
                              CapabilitySet bounding);
// The name of a profile that is loaded; "": none.
Result<std::string> AppArmorOf(const runtime::v1::LinuxContainerSecurityContext& security);

}  // namespace interlink::engine

#endif  // INTERLINK_ENGINE_PLAN_FILTERS_H_
