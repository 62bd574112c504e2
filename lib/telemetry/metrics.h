// Metrics on prometheus-cpp, behind base/metrics.h. Thread-safe.
#ifndef INTERLINK_TELEMETRY_METRICS_H_
#define INTERLINK_TELEMETRY_METRICS_H_

#include <memory>
#include <string>

#include "base/metrics.h"

namespace interlink::telemetry {

class Registry : public Metrics {
 public:
  // The Prometheus text format, with the process's own memory, descriptors and threads.
  virtual std::string Expose() = 0;
};

std::unique_ptr<Registry> OpenMetrics();

}  // namespace interlink::telemetry

#endif  // INTERLINK_TELEMETRY_METRICS_H_
