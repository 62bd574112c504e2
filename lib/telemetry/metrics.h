// The daemons' metrics: base/metrics.h on prometheus-cpp. Thread-safe.
#ifndef INTERLINK_TELEMETRY_METRICS_H_
#define INTERLINK_TELEMETRY_METRICS_H_

#include <memory>
#include <string>

#include "base/metrics.h"

namespace interlink::telemetry {

struct MetricsOptions {
  // Label sets of one metric. What comes after that is added up under "other", so that no caller
  // can fill the memory.
  size_t max_label_sets = 500;
  // Metrics besides the process's own. What comes after that is refused.
  size_t max_names = 1000;
};

// A name or label that Prometheus does not allow, a name that is already of another type, and a
// name too many are refused and counted in interlink_metrics_refused_total.
class Registry : public Metrics {
 public:
  // Everything, and the process's own memory, descriptors and threads, in the text format of
  // Prometheus (version 0.0.4), with the helps of base/metric_names.h.
  virtual std::string Expose() = 0;
};

std::unique_ptr<Registry> OpenMetrics(const MetricsOptions& options = {});

}  // namespace interlink::telemetry

#endif  // INTERLINK_TELEMETRY_METRICS_H_
