// Internal: how many GPUs a request asks for, as far as the site can tell without its plugin: what
// quotas count.
//
// Pods: what they and their node ask of SLURM (slurm_wishes/wishes.h); nothing where that cannot be
// read: the plugin slurm refuses such a pod, and to others it means nothing. Containers: devices by
// CDI name (VENDOR/gpu=NAME; `all` is more than any quota) and by path (/dev/nvidiaN,
// /dev/dri/renderDN).
#ifndef INTERLINK_SITE_GPUS_H_
#define INTERLINK_SITE_GPUS_H_

#include <cstdint>

#include "interlink/v1/record.pb.h"

namespace interlink::site {

// One that cannot be counted: more than any quota gives.
inline constexpr uint64_t kAllGpus = 1'000'000;

uint64_t GpusAskedBy(const interlink::v1::RunSandboxRequest& request);
uint64_t GpusAskedBy(const interlink::v1::CreateContainerRequest& request);

}  // namespace interlink::site

#endif  // INTERLINK_SITE_GPUS_H_
