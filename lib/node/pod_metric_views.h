// Metrics of pods as CRI tells them: what the site measured, with what the node knows. Pure.
#ifndef INTERLINK_NODE_POD_METRIC_VIEWS_H_
#define INTERLINK_NODE_POD_METRIC_VIEWS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/v1/api.pb.h"

namespace interlink::node {

struct ContainerFacts {
  std::string id;
  std::string name;
  std::string image;  // as the user named it
  int64_t started_ns = 0;
  runtime::v1::LinuxContainerResources resources;  // in force
};

struct PodFacts {
  std::string id;
  std::string name;
  std::string name_space;
  std::vector<ContainerFacts> containers;  // those that run
};

// The clocks of both sides at the site's answer.
struct ClockPair {
  int64_t site_ns = 0;
  int64_t node_ns = 0;
};

// Every metric that there may be: always the same.
runtime::v1::ListMetricDescriptorsResponse DescribePodMetrics();

// `measured` of the site, null when it has none of this pod. Labels are prepended, types are ours,
// and times are moved to the node's clock, never into the future. What the site measured of
// containers that do not run, metrics without a descriptor, with other labels than it says, or told
// twice are left out: one of them would cost kubelet all of its metrics.
runtime::v1::PodSandboxMetrics MetricsOf(const PodFacts& pod,
                                         const runtime::v1::PodSandboxMetrics* measured,
                                         const ClockPair& clocks);

}  // namespace interlink::node

#endif  // INTERLINK_NODE_POD_METRIC_VIEWS_H_
