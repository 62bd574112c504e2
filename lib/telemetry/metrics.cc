#include "telemetry/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <filesystem>
#include <fstream>
#include <map>

#include "base/file.h"
#include "base/mutex.h"

namespace interlink::telemetry {
namespace {

// A name has at most this many label sets: a mistake in a label must not eat the memory.
constexpr size_t kMaxLabelSets = 1000;

const prometheus::Histogram::BucketBoundaries kSeconds = {
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60};

double CountEntries(const std::string& folder) {
  std::error_code error;
  double count = 0;
  for (std::filesystem::directory_iterator it(folder, error), end; !error && it != end;
       it.increment(error))
    ++count;
  return count;
}

class PrometheusRegistry final : public Registry {
 public:
  void Count(std::string_view name, const MetricLabels& labels, double by) override {
    if (auto* counter =
            Find<prometheus::Counter>(counters_, prometheus::BuildCounter(), name, labels))
      counter->Increment(by);
  }
  void Gauge(std::string_view name, const MetricLabels& labels, double value) override {
    if (auto* gauge = Find<prometheus::Gauge>(gauges_, prometheus::BuildGauge(), name, labels))
      gauge->Set(value);
  }
  void Observe(std::string_view name, const MetricLabels& labels, double seconds) override {
    if (auto* histogram = Find<prometheus::Histogram>(histograms_, prometheus::BuildHistogram(),
                                                      name, labels, kSeconds)) {
      histogram->Observe(seconds);
    }
  }

  std::string Expose() override {
    Gauge("process_open_fds", {}, CountEntries("/proc/self/fd"));
    Gauge("process_threads", {}, CountEntries("/proc/self/task"));
    if (const auto statm = ReadFile("/proc/self/statm"); statm.ok()) {
      const size_t space = statm->find(' ');
      constexpr double kPage = 4096;
      if (space != std::string::npos)
        Gauge("process_resident_memory_bytes", {},
              kPage * std::strtod(statm->c_str() + space, nullptr));
    }
    return prometheus::TextSerializer().Serialize(registry_.Collect());
  }

 private:
  template <typename T>
  struct Known {
    prometheus::Family<T>* family = nullptr;
    std::map<MetricLabels, T*> members;
  };

  template <typename T, typename Builder, typename... Arguments>
  T* Find(std::map<std::string, Known<T>, std::less<>>& table, Builder builder,
          std::string_view name, const MetricLabels& labels, const Arguments&... arguments) {
    MutexLock lock(mutex_);
    auto it = table.find(name);
    if (it == table.end()) {
      auto& family = builder.Name(std::string(name)).Help("").Register(registry_);
      it = table.emplace(std::string(name), Known<T>{&family, {}}).first;
    }
    Known<T>& known = it->second;
    if (const auto member = known.members.find(labels); member != known.members.end())
      return member->second;
    if (known.members.size() >= kMaxLabelSets) return nullptr;
    T& made = known.family->Add({labels.begin(), labels.end()}, arguments...);
    known.members.emplace(labels, &made);
    return &made;
  }

  prometheus::Registry registry_;
  Mutex mutex_;
  std::map<std::string, Known<prometheus::Counter>, std::less<>> counters_ GUARDED_BY(mutex_);
  std::map<std::string, Known<prometheus::Gauge>, std::less<>> gauges_ GUARDED_BY(mutex_);
  std::map<std::string, Known<prometheus::Histogram>, std::less<>> histograms_ GUARDED_BY(mutex_);
};

}  // namespace

std::unique_ptr<Registry> OpenMetrics() { return std::make_unique<PrometheusRegistry>(); }

}  // namespace interlink::telemetry
