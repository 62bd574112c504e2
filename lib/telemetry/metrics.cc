#include "telemetry/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <map>
#include <stdexcept>
#include <variant>

#include "base/file.h"
#include "base/metric_names.h"
#include "base/mutex.h"

namespace interlink::telemetry {
namespace {

using prometheus::Counter;
using prometheus::Family;
using prometheus::Gauge;
using prometheus::Histogram;

const prometheus::Histogram::BucketBoundaries& Buckets() {
  // From a list answered by memory to an image that is pulled.
  static const prometheus::Histogram::BucketBoundaries kBuckets = {
      0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300};
  return kBuckets;
}

// One metric with its label sets.
template <typename T>
struct Metric {
  Family<T>* family = nullptr;
  std::map<prometheus::Labels, T*> sets;
};
using AnyMetric = std::variant<Metric<Counter>, Metric<Gauge>, Metric<Histogram>>;

template <typename T>
Family<T>& RegisterFamily(prometheus::Registry& registry, const std::string& name) {
  const std::string help(MetricHelp(name));
  if constexpr (std::is_same_v<T, Counter>) {
    return prometheus::BuildCounter().Name(name).Help(help).Register(registry);
  } else if constexpr (std::is_same_v<T, Gauge>) {
    return prometheus::BuildGauge().Name(name).Help(help).Register(registry);
  } else {
    return prometheus::BuildHistogram().Name(name).Help(help).Register(registry);
  }
}

template <typename T>
T& AddSet(Metric<T>& metric, const prometheus::Labels& labels) {
  if constexpr (std::is_same_v<T, Histogram>) {
    return metric.family->Add(labels, Buckets());
  } else {
    return metric.family->Add(labels);
  }
}

// -1: cannot be read.
double CountEntries(const std::string& folder) {
  std::error_code error;
  const std::filesystem::directory_iterator begin(folder, error);
  return error ? -1 : static_cast<double>(std::distance(begin, {}));
}

// -1: cannot be read.
double ResidentBytes() {
  const auto pages = ReadFile("/proc/self/statm");
  const size_t space = pages.ok() ? pages->find(' ') : std::string::npos;
  if (space == std::string::npos) return -1;
  return static_cast<double>(sysconf(_SC_PAGESIZE)) * std::strtod(pages->c_str() + space, nullptr);
}

class PrometheusRegistry final : public Registry {
 public:
  explicit PrometheusRegistry(const MetricsOptions& options)
      : options_(options),
        refused_(RegisterFamily<Counter>(registry_, std::string(kMetricRefused))) {
    SetOwn();
  }

  void Count(std::string_view name, const MetricLabels& labels, double by) override {
    if (Counter* counter = Find<Counter>(name, labels)) counter->Increment(by);
  }
  void Gauge(std::string_view name, const MetricLabels& labels, double value) override {
    if (prometheus::Gauge* gauge = Find<prometheus::Gauge>(name, labels)) gauge->Set(value);
  }
  void Observe(std::string_view name, const MetricLabels& labels, double seconds) override {
    if (Histogram* histogram = Find<Histogram>(name, labels)) histogram->Observe(seconds);
  }

  std::string Expose() override {
    SetOwn();
    return prometheus::TextSerializer().Serialize(registry_.Collect());
  }

 private:
  static constexpr size_t kOwn = 3;

  void SetOwn() {
    Gauge(kMetricOpenFiles, {}, CountEntries("/proc/self/fd"));
    Gauge(kMetricThreads, {}, CountEntries("/proc/self/task"));
    Gauge(kMetricMemory, {}, ResidentBytes());
  }

  // The metric's value for these labels, made at first use; null when it was refused. Values live
  // as long as the registry and lock themselves.
  template <typename T>
  T* Find(std::string_view name, const MetricLabels& labels) {
    try {
      MutexLock lock(mutex_);
      auto found = metrics_.find(name);
      if (found == metrics_.end()) {
        if (metrics_.size() >= options_.max_names + kOwn) return Refuse("too many names");
        Metric<T> metric{&RegisterFamily<T>(registry_, std::string(name)), {}};
        found = metrics_.emplace(std::string(name), std::move(metric)).first;
      }
      auto* metric = std::get_if<Metric<T>>(&found->second);
      if (metric == nullptr) return Refuse("other type");
      return &FindSet(*metric, labels);
    } catch (const std::invalid_argument&) {
      return Refuse("not allowed");  // by Prometheus: a name, a label, or a name of another type
    }
  }

  template <typename T>
  T& FindSet(Metric<T>& metric, const MetricLabels& labels) REQUIRES_LOCK(mutex_) {
    prometheus::Labels key(labels.begin(), labels.end());
    auto found = metric.sets.find(key);
    if (found != metric.sets.end()) return *found->second;
    if (metric.sets.size() >= options_.max_label_sets) {
      for (auto& [label, value] : key) value = "other";
      found = metric.sets.find(key);
      if (found != metric.sets.end()) return *found->second;
    }
    T& set = AddSet(metric, key);
    metric.sets.emplace(std::move(key), &set);
    return set;
  }

  std::nullptr_t Refuse(const char* reason) {
    refused_.Add({{"reason", reason}}).Increment();
    return nullptr;
  }

  const MetricsOptions options_;
  prometheus::Registry registry_;
  Family<Counter>& refused_;
  Mutex mutex_;
  std::map<std::string, AnyMetric, std::less<>> metrics_ GUARDED_BY(mutex_);
};

}  // namespace

std::unique_ptr<Registry> OpenMetrics(const MetricsOptions& options) {
  return std::make_unique<PrometheusRegistry>(options);
}

}  // namespace interlink::telemetry
