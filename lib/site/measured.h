// Internal: what backends measured last, and who waits for it. Not thread-safe: LiveSite's mutex
// guards it.
#ifndef INTERLINK_SITE_MEASURED_H_
#define INTERLINK_SITE_MEASURED_H_

#include <map>
#include <memory>
#include <set>
#include <string>

#include "base/clock.h"
#include "base/id.h"
#include "runtime/v1/api.pb.h"
#include "site/site.h"

namespace interlink::site {

// By id.
struct Numbers {
  std::map<std::string, runtime::v1::ContainerStats> containers;
  std::map<std::string, runtime::v1::PodSandboxStats> sandboxes;
};

// Of a backend's pods.
struct PodNumbers {
  SteadyTime began;
  bool unsupported = false;     // it has none, now and later
  std::set<std::string> tried;  // what was up when it began: measured, or it cannot be
  // By sandbox. Owners: the table, and answers that are being made.
  std::map<std::string, std::shared_ptr<const runtime::v1::PodSandboxMetrics>> pods;
};
struct PodMetricsWaiter {
  NodeId node;
  Reply<interlink::v1::PodMetricsResponse> reply;
};

}  // namespace interlink::site

#endif  // INTERLINK_SITE_MEASURED_H_
