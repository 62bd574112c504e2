// The metrics interface of every layer; lib/telemetry implements it with prometheus-cpp.
// Thread-safe. Names follow Prometheus: interlink_<what>_<unit>[_total]. Labels have few values,
// never ids.
#ifndef INTERLINK_BASE_METRICS_H_
#define INTERLINK_BASE_METRICS_H_

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace interlink {

using MetricLabels = std::vector<std::pair<std::string, std::string>>;

class Metrics {
 public:
  virtual ~Metrics() = default;
  // Adds to a counter; by >= 0.
  virtual void Count(std::string_view name, const MetricLabels& labels, double by) = 0;
  // Sets a gauge.
  virtual void Gauge(std::string_view name, const MetricLabels& labels, double value) = 0;
  // Adds one observation to a histogram of seconds.
  virtual void Observe(std::string_view name, const MetricLabels& labels, double seconds) = 0;
};

class NullMetrics final : public Metrics {
 public:
  void Count(std::string_view, const MetricLabels&, double) override {}
  void Gauge(std::string_view, const MetricLabels&, double) override {}
  void Observe(std::string_view, const MetricLabels&, double) override {}
};

}  // namespace interlink

#endif  // INTERLINK_BASE_METRICS_H_
