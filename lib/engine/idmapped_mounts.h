// Mounts that show the owners of their files as a user namespace has them: what belongs to 0 on
// disk belongs to the namespace's root.
#ifndef INTERLINK_ENGINE_IDMAPPED_MOUNTS_H_
#define INTERLINK_ENGINE_IDMAPPED_MOUNTS_H_

#include <string>
#include <vector>

#include "base/status.h"
#include "engine/user_namespace.h"

namespace runtime::v1 {
class ContainerConfig;
}

namespace interlink::engine {

struct HostMount;
class ShimClient;

// Maps the owners of `tree`, which is a mount that is mounted nowhere yet. `namespace_file`: a
// pinned user namespace. kFailedPrecondition: the file system cannot.
Status MapOwners(int tree, const std::string& namespace_file);

// Mounts each of `layers` with mapped owners below `folder`, for an overlay: undone by
// DetachHostMounts as soon as that is mounted, which keeps them. Answers their places, in order.
Result<std::vector<std::string>> AttachMappedLayers(const std::vector<std::string>& layers,
                                                    const std::string& folder,
                                                    const std::string& namespace_file);

// The runtime shows in a user namespace what it is given, without what is mounted below:
// kFailedPrecondition names the mount of `config` that would lose something. REQUIRES: attached,
// one for each mount of `config`.
Status RefuseMountsBelow(const std::vector<HostMount>& mounts,
                         const runtime::v1::ContainerConfig& config);

// Gives `path` to root of the pod's user namespace; without one nothing.
Status GiveToRootOf(const IdRange& users, const std::string& path);

// Tries all that a pod with a user namespace needs of this machine, in `folder`, which is made and
// removed. The error says what is missing.
Status ProbeUserNamespaces(const ShimClient& shim, const std::string& folder);

}  // namespace interlink::engine

#endif  // INTERLINK_ENGINE_IDMAPPED_MOUNTS_H_
