// Stats: resource usage from memory, refreshed from the site every 10 s, and every 500 ms for 3 s
// after somebody asked (crictl compares two samples one second apart). Thread-safe; nothing blocks.
#ifndef INTERLINK_NODE_STATS_H_
#define INTERLINK_NODE_STATS_H_

#include "base/status.h"
#include "node/reply.h"
#include "runtime/v1/api.pb.h"

namespace interlink::node {

class Stats {
 public:
  virtual ~Stats() = default;
  virtual Result<runtime::v1::ContainerStatsResponse> GetContainer(
      const runtime::v1::ContainerStatsRequest& request) = 0;
  // Every running container has an entry with memory.
  virtual Result<Slices> ListContainers(const runtime::v1::ContainerStatsFilter& filter) = 0;
  virtual Result<runtime::v1::PodSandboxStatsResponse> GetSandbox(
      const runtime::v1::PodSandboxStatsRequest& request) = 0;
  virtual Result<Slices> ListSandboxes(const runtime::v1::PodSandboxStatsFilter& filter) = 0;
};

}  // namespace interlink::node

#endif  // INTERLINK_NODE_STATS_H_
