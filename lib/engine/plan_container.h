// What a container needs of this machine: policy checks first (nothing is made), then the OCI
// config once its root is there.
#ifndef INTERLINK_ENGINE_PLAN_CONTAINER_H_
#define INTERLINK_ENGINE_PLAN_CONTAINER_H_

#include <map>
#include <string>
#include <vector>

#include "base/status.h"
#include "engine/capabilities.h"
#include "engine/host_mounts.h"
#include "engine/image_volumes.h"
#include "engine/mount_contents.h"
#include "engine/oci_spec.h"
#include "engine/options.h"
#include "engine/pod_files.h"
#include "engine/rootfs.h"
#include "sdk/host.h"

namespace runtime::v1 {
class ContainerConfig;
class PodSandboxConfig;
}  // namespace runtime::v1

namespace interlink::engine {

// The machine and the pod that a container is made in. Borrowed for one call.
struct ContainerPlace {
  const EngineOptions& options;
  const PodFolder& folder;
  const PodRecord& pod;
  const runtime::v1::PodSandboxConfig& pod_config;
  const sdk::ImageConfig& image;
  CapabilitySet own_capabilities = 0;
  bool may_lower_oom_score = false;  // CAP_SYS_RESOURCE
  CgroupFeatures features;
  bool recursive_read_only = false;  // CanMountRecursivelyReadOnly
  VolumeRoots volumes = {};          // of each image that a mount names
  MountContents contents = {};       // of mounts whose host path is another machine's
  std::map<std::string, std::string> content_places = {};  // MakeContents
  std::string proc = {};                                   // SpecInputs::proc
  uint32_t own_ids = 1;                                    // SpecInputs::own_ids
};

// kPermissionDenied, kInvalidArgument, kUnimplemented: refused, the message names field or key.
Status CheckContainer(const ContainerPlace& place, const runtime::v1::ContainerConfig& config);

// True when the container needs the pod's shared pid namespace.
bool SharesPid(const PodRecord& pod, const runtime::v1::PodSandboxConfig& pod_config,
               const runtime::v1::ContainerConfig& config);

// The score for the OOM killer that a process gets: what was asked for, not below our own where
// that needs CAP_SYS_RESOURCE (`may_lower`).
int OomScore(int64_t asked, bool may_lower);

// Fills `record` (user, stop signal) and answers config.json. Makes the working folder and the
// image's volumes in the root; makes a mount's missing source on the host. The config names each
// mount's source by its place in `host_mounts`, one for each mount of `config`, which must be
// attached before the runtime reads it. REQUIRES: the images that mounts name are mounted.
Result<std::string> PlanContainer(const ContainerPlace& place,
                                  const runtime::v1::ContainerConfig& config, const Rootfs& root,
                                  const std::string& pid_namespace, ContainerRecord& record,
                                  std::vector<HostMount>& host_mounts);

}  // namespace interlink::engine

#endif  // INTERLINK_ENGINE_PLAN_CONTAINER_H_
