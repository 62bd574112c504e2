// Stats: resource usage from memory, refreshed from the site every 10 s, and every 500 ms for 3 s
// after somebody asked (crictl compares two samples one second apart). Metrics of pods are asked
// for at the site, whose memory they come from. Thread-safe; nothing blocks.
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

  // Always the same, whatever the site can measure: kubelet asks once.
  virtual runtime::v1::ListMetricDescriptorsResponse DescribeMetrics() const = 0;
  // Of every sandbox that is READY and its containers that run, with what the site measured at most
  // 15 s ago. What it could not measure is left out. Answers within about 20 s; kUnavailable, at
  // once while the site is out of reach.
  virtual void ListMetrics(Reply<Slices> reply) = 0;
};

}  // namespace interlink::node

#endif  // INTERLINK_NODE_STATS_H_
