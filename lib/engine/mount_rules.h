// What CRI says about one mount: which requests are meant, and what the runtime is told. Pure but
// for what reads the machine, which says so.
#ifndef INTERLINK_ENGINE_MOUNT_RULES_H_
#define INTERLINK_ENGINE_MOUNT_RULES_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace runtime::v1 {
class ContainerConfig;
class Mount;
}  // namespace runtime::v1

namespace interlink::engine {

// kInvalidArgument: fields that contradict each other; what the machine cannot do is told by
// others. The message names the mount and the field.
Status CheckMountRules(const runtime::v1::Mount& mount, bool privileged_container);

// The OCI mount options of a bind.
std::vector<std::string> BindOptions(const runtime::v1::Mount& mount);

// linux.rootfsPropagation: the runtime must not cut its copy of the mount table off from the
// machine's where a mount is to stay connected. Empty: as usual.
std::string RootPropagation(const runtime::v1::ContainerConfig& config);

// A line of /proc/PID/mountinfo.
struct MountInfo {
  std::string mount_point;
  bool shared = false;
  bool slave = false;
};
std::optional<MountInfo> FindMount(std::string_view mountinfo, uint64_t id);

// Whether what is mounted in `source` (O_PATH) can reach a container, or come from it.
// kFailedPrecondition: it cannot, because its mount is private. Reads the machine.
Status CheckSourcePropagation(int source, const runtime::v1::Mount& mount);

}  // namespace interlink::engine

#endif  // INTERLINK_ENGINE_MOUNT_RULES_H_
