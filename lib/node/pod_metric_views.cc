#include "node/pod_metric_views.h"

#include <algorithm>
#include <array>
#include <set>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "base/pod_metrics.h"

namespace interlink::node {
namespace {

constexpr int64_t kNanosPerSecond = 1'000'000'000;

using MetricList = google::protobuf::RepeatedPtrField<runtime::v1::Metric>;

const PodMetricInfo* FindPodMetric(const std::string& name) {
  static const auto* const by_name = [] {
    auto* map = new std::unordered_map<std::string_view,
                                       const PodMetricInfo*>;  // NOLINT: lives as long as the table
    for (const PodMetricInfo& info : kPodMetrics) map->emplace(info.name, &info);
    return map;
  }();
  const auto it = by_name->find(name);
  return it == by_name->end() ? nullptr : it->second;
}

// Writes the metrics of one pod or container, each with its labels once.
class LabelledMetrics {
 public:
  LabelledMetrics(std::array<std::string, kPodMetricLabels.size()> labels, MetricList& out)
      : labels_(std::move(labels)), out_(out) {}

  template <typename Labels>
  void Add(const PodMetricInfo& info, uint64_t value, int64_t timestamp, const Labels& own) {
    std::pair<PodMetric, std::vector<std::string>> key{info.metric, {own.begin(), own.end()}};
    if (key.second.size() != info.LabelCount() || !told_.insert(std::move(key)).second) return;
    runtime::v1::Metric* metric = out_.Add();
    metric->set_name(std::string(info.name));
    metric->set_timestamp(timestamp);
    metric->set_metric_type(info.counter ? runtime::v1::COUNTER : runtime::v1::GAUGE);
    metric->mutable_label_values()->Reserve(static_cast<int>(labels_.size() + own.size()));
    for (const std::string& label : labels_) metric->add_label_values(label);
    for (const auto& label : own) metric->add_label_values(label);
    metric->mutable_value()->set_value(value);
  }
  // Of the moment: CRI says that with timestamp 0.
  void AddNow(PodMetric which, uint64_t value) {
    Add(InfoOf(which), value, 0, std::array<std::string, 0>());
  }

 private:
  const std::array<std::string, kPodMetricLabels.size()> labels_;
  MetricList& out_;
  std::set<std::pair<PodMetric, std::vector<std::string>>> told_;
};

// What the node knows better: a site does not tell it.
bool IsOfNode(PodMetric which) {
  switch (which) {
    case PodMetric::kLastSeen:
    case PodMetric::kSpecCpuPeriod:
    case PodMetric::kSpecCpuQuota:
    case PodMetric::kSpecCpuShares:
    case PodMetric::kSpecMemoryLimit:
    case PodMetric::kSpecMemorySwapLimit:
    case PodMetric::kStartTimeSeconds:
      return true;
    default:
      return false;
  }
}

int64_t OnNode(int64_t site_ns, const ClockPair& clocks) {
  return clocks.node_ns - std::max<int64_t>(0, clocks.site_ns - site_ns);
}

// The time of the last measurement on the node's clock; 0: there was none.
int64_t AddMeasured(const MetricList& measured, const ClockPair& clocks, LabelledMetrics& out) {
  int64_t last = 0;
  for (const runtime::v1::Metric& metric : measured) {
    const PodMetricInfo* const info = FindPodMetric(metric.name());
    // A measurement has a time: without it nobody could say how old it is.
    if (info == nullptr || !metric.has_value() || metric.timestamp() <= 0) continue;
    if (IsOfNode(info->metric)) continue;
    const int64_t at = OnNode(metric.timestamp(), clocks);
    out.Add(*info, metric.value().value(), at, metric.label_values());
    last = std::max(last, at);
  }
  return last;
}

uint64_t NotNegative(int64_t value) { return static_cast<uint64_t>(std::max<int64_t>(0, value)); }

// As asked for. Without a period, a quota or shares there is none to tell; 0 is no limit of memory.
void AddSpec(const runtime::v1::LinuxContainerResources& spec, LabelledMetrics& out) {
  if (spec.cpu_period() > 0) out.AddNow(PodMetric::kSpecCpuPeriod, NotNegative(spec.cpu_period()));
  if (spec.cpu_quota() > 0) out.AddNow(PodMetric::kSpecCpuQuota, NotNegative(spec.cpu_quota()));
  if (spec.cpu_shares() > 0) out.AddNow(PodMetric::kSpecCpuShares, NotNegative(spec.cpu_shares()));
  out.AddNow(PodMetric::kSpecMemoryLimit, NotNegative(spec.memory_limit_in_bytes()));
  out.AddNow(PodMetric::kSpecMemorySwapLimit, NotNegative(spec.memory_swap_limit_in_bytes()));
}

const runtime::v1::ContainerMetrics* FindMeasured(const runtime::v1::PodSandboxMetrics* measured,
                                                  const std::string& id) {
  if (measured == nullptr) return nullptr;
  const auto& all = measured->container_metrics();
  const auto it = std::find_if(all.begin(), all.end(),
                               [&id](const auto& metrics) { return metrics.container_id() == id; });
  return it == all.end() ? nullptr : &*it;
}

}  // namespace

runtime::v1::ListMetricDescriptorsResponse DescribePodMetrics() {
  runtime::v1::ListMetricDescriptorsResponse response;
  for (const PodMetricInfo& info : kPodMetrics) {
    auto* descriptor = response.add_descriptors();
    descriptor->set_name(std::string(info.name));
    descriptor->set_help(std::string(info.help));
    for (const std::string_view key : kPodMetricLabels)
      descriptor->add_label_keys(std::string(key));
    for (size_t i = 0; i < info.LabelCount(); ++i)
      descriptor->add_label_keys(std::string(info.labels[i]));
  }
  return response;
}

runtime::v1::PodSandboxMetrics MetricsOf(const PodFacts& pod,
                                         const runtime::v1::PodSandboxMetrics* measured,
                                         const ClockPair& clocks) {
  runtime::v1::PodSandboxMetrics result;
  result.set_pod_sandbox_id(pod.id);
  if (measured != nullptr) {
    LabelledMetrics out({pod.name, pod.name_space, "", pod.id, ""}, *result.mutable_metrics());
    AddMeasured(measured->metrics(), clocks, out);
  }
  for (const ContainerFacts& container : pod.containers) {
    auto* metrics = result.add_container_metrics();
    metrics->set_container_id(container.id);
    LabelledMetrics out({pod.name, pod.name_space, container.name, container.id, container.image},
                        *metrics->mutable_metrics());
    AddSpec(container.resources, out);
    out.AddNow(PodMetric::kStartTimeSeconds, NotNegative(container.started_ns / kNanosPerSecond));
    const auto* numbers = FindMeasured(measured, container.id);
    if (numbers == nullptr) continue;
    const int64_t last = AddMeasured(numbers->metrics(), clocks, out);
    if (last > 0)
      out.Add(InfoOf(PodMetric::kLastSeen), NotNegative(last / kNanosPerSecond), last,
              std::array<std::string, 0>());
  }
  return result;
}

}  // namespace interlink::node
