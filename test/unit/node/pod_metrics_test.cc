// Metrics of pods: what the site measured and what the node knows, as kubelet takes it.
#include "base/pod_metrics.h"

#include <algorithm>
#include <set>

#include "node/pod_metric_views.h"
#include "node_lab.h"

namespace interlink::test {
namespace {

using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace)
using interlink::v1::PodMetricsResponse;
using node::ClockPair;
using node::ContainerFacts;
using node::PodFacts;
using runtime::v1::Metric;
using runtime::v1::PodSandboxMetrics;

constexpr int64_t kSecond = 1'000'000'000;

// critest 1.37.0, expectedMetricDescriptorNames without those that it takes for not implemented.
const std::set<std::string> kRequired = {
    "container_blkio_device_usage_total",
    "container_cpu_cfs_periods_total",
    "container_cpu_cfs_throttled_periods_total",
    "container_cpu_cfs_throttled_seconds_total",
    "container_cpu_system_seconds_total",
    "container_cpu_usage_seconds_total",
    "container_cpu_user_seconds_total",
    "container_file_descriptors",
    "container_fs_inodes_free",
    "container_fs_inodes_total",
    "container_fs_limit_bytes",
    "container_fs_reads_bytes_total",
    "container_fs_reads_total",
    "container_fs_usage_bytes",
    "container_fs_writes_bytes_total",
    "container_fs_writes_total",
    "container_last_seen",
    "container_memory_cache",
    "container_memory_failcnt",
    "container_memory_failures_total",
    "container_memory_kernel_usage",
    "container_memory_mapped_file",
    "container_memory_max_usage_bytes",
    "container_memory_rss",
    "container_memory_swap",
    "container_memory_usage_bytes",
    "container_memory_working_set_bytes",
    "container_network_receive_bytes_total",
    "container_network_receive_errors_total",
    "container_network_receive_packets_dropped_total",
    "container_network_receive_packets_total",
    "container_network_transmit_bytes_total",
    "container_network_transmit_errors_total",
    "container_network_transmit_packets_dropped_total",
    "container_network_transmit_packets_total",
    "container_oom_events_total",
    "container_processes",
    "container_sockets",
    "container_spec_cpu_period",
    "container_spec_cpu_shares",
    "container_spec_memory_limit_bytes",
    "container_spec_memory_swap_limit_bytes",
    "container_start_time_seconds",
    "container_threads",
    "container_threads_max",
};

using MetricList = google::protobuf::RepeatedPtrField<Metric>;

std::vector<Metric> Named(const MetricList& metrics, const std::string& name) {
  std::vector<Metric> found;
  std::copy_if(metrics.begin(), metrics.end(), std::back_inserter(found),
               [&name](const Metric& metric) { return metric.name() == name; });
  return found;
}

std::vector<std::string> LabelsOf(const Metric& metric) {
  return {metric.label_values().begin(), metric.label_values().end()};
}

void Measure(MetricList& metrics, const std::string& name, uint64_t value, int64_t at,
             const std::vector<std::string>& labels = {}) {
  Metric* metric = metrics.Add();
  metric->set_name(name);
  metric->set_timestamp(at);
  // A wrong type on purpose: the node knows better.
  metric->set_metric_type(name.ends_with("_total") ? runtime::v1::GAUGE : runtime::v1::COUNTER);
  for (const std::string& label : labels) metric->add_label_values(label);
  metric->mutable_value()->set_value(value);
}

PodFacts OnePod() {
  PodFacts pod{"pod-id", "web", "default", {}};
  ContainerFacts container{"unit-id", "server", "busybox:1.29", 1000 * kSecond, {}};
  container.resources.set_cpu_period(100'000);
  container.resources.set_cpu_quota(20'000);
  container.resources.set_cpu_shares(1024);
  container.resources.set_memory_limit_in_bytes(64 << 20);
  container.resources.set_memory_swap_limit_in_bytes(128 << 20);
  pod.containers.push_back(std::move(container));
  return pod;
}

// A measurement of it at 100 s of the site's clock.
PodSandboxMetrics Measured() {
  PodSandboxMetrics pod;
  pod.set_pod_sandbox_id("pod-id");
  Measure(*pod.mutable_metrics(), "container_network_receive_bytes_total", 7, 100 * kSecond,
          {"eth0"});
  auto* unit = pod.add_container_metrics();
  unit->set_container_id("unit-id");
  Measure(*unit->mutable_metrics(), "container_cpu_usage_seconds_total", 12, 100 * kSecond,
          {"total"});
  Measure(*unit->mutable_metrics(), "container_memory_rss", 4096, 100 * kSecond);
  return pod;
}

// The site's clock is far behind.
constexpr ClockPair kClocks{103 * kSecond, 5000 * kSecond};

TEST_CASE("Each metric that kubelet's dashboards need has a descriptor with help and labels") {
  const auto response = node::DescribePodMetrics();

  std::set<std::string> names;
  for (const auto& descriptor : response.descriptors()) {
    INFO(descriptor.name());
    CHECK(names.insert(descriptor.name()).second);
    CHECK_FALSE(descriptor.help().empty());
    const std::vector<std::string> keys(descriptor.label_keys().begin(),
                                        descriptor.label_keys().end());
    CHECK(std::set<std::string>(keys.begin(), keys.end()).size() == keys.size());
    REQUIRE(keys.size() >= 5);
    CHECK(std::vector<std::string>(keys.begin(), keys.begin() + 5) ==
          std::vector<std::string>{"pod", "namespace", "container", "id", "image"});
  }
  CHECK(kRequired.size() == 45);
  CHECK(std::includes(names.begin(), names.end(), kRequired.begin(), kRequired.end()));
}

TEST_CASE(
    "What the site measured gets the labels and types of its descriptor, and the node's time") {
  const PodSandboxMetrics measured = Measured();
  const PodSandboxMetrics told = node::MetricsOf(OnePod(), &measured, kClocks);

  CHECK(told.pod_sandbox_id() == "pod-id");
  const auto network = Named(told.metrics(), "container_network_receive_bytes_total");
  REQUIRE(network.size() == 1);
  CHECK(LabelsOf(network[0]) ==
        std::vector<std::string>{"web", "default", "", "pod-id", "", "eth0"});
  CHECK(network[0].value().value() == 7);
  CHECK(network[0].metric_type() == runtime::v1::COUNTER);
  CHECK(network[0].timestamp() == 4997 * kSecond);
  REQUIRE(told.container_metrics_size() == 1);
  const auto& unit = told.container_metrics(0).metrics();
  const auto cpu = Named(unit, "container_cpu_usage_seconds_total");
  REQUIRE(cpu.size() == 1);
  CHECK(LabelsOf(cpu[0]) ==
        std::vector<std::string>{"web", "default", "server", "unit-id", "busybox:1.29", "total"});
  const auto rss = Named(unit, "container_memory_rss");
  REQUIRE(rss.size() == 1);
  CHECK(rss[0].metric_type() == runtime::v1::GAUGE);
  const auto seen = Named(unit, "container_last_seen");
  REQUIRE(seen.size() == 1);
  CHECK(seen[0].value().value() == 4997);
}

TEST_CASE("What was asked for is told by the node, measured or not") {
  const auto value = [](const PodSandboxMetrics& told, const std::string& name) {
    const auto found = Named(told.container_metrics(0).metrics(), name);
    return found.empty() ? -1 : static_cast<int64_t>(found[0].value().value());
  };
  PodFacts pod = OnePod();
  const PodSandboxMetrics told = node::MetricsOf(pod, nullptr, kClocks);
  CHECK(value(told, "container_spec_cpu_period") == 100'000);
  CHECK(value(told, "container_spec_cpu_quota") == 20'000);
  CHECK(value(told, "container_spec_cpu_shares") == 1024);
  CHECK(value(told, "container_spec_memory_limit_bytes") == 64 << 20);
  CHECK(value(told, "container_spec_memory_swap_limit_bytes") == 128 << 20);
  CHECK(value(told, "container_start_time_seconds") == 1000);
  CHECK(value(told, "container_last_seen") == -1);
  CHECK(value(told, "container_memory_rss") == -1);
  CHECK(told.metrics().empty());

  pod.containers[0].resources.Clear();
  pod.containers[0].resources.set_cpu_quota(-1);
  pod.containers[0].resources.set_memory_swap_limit_in_bytes(-1);
  const PodSandboxMetrics unlimited = node::MetricsOf(pod, nullptr, kClocks);
  CHECK(value(unlimited, "container_spec_cpu_period") == -1);
  CHECK(value(unlimited, "container_spec_cpu_quota") == -1);
  CHECK(value(unlimited, "container_spec_cpu_shares") == -1);
  CHECK(value(unlimited, "container_spec_memory_limit_bytes") == 0);
  CHECK(value(unlimited, "container_spec_memory_swap_limit_bytes") == 0);
}

TEST_CASE("What would cost kubelet all of its metrics is left out") {
  // One metric twice with the same labels, or of two types: Prometheus' library fails the whole
  // page.
  PodSandboxMetrics measured = Measured();
  auto& unit = *measured.mutable_container_metrics(0)->mutable_metrics();
  const int64_t at = 100 * kSecond;
  Measure(unit, "container_memory_rss", 1, at);                 // twice
  Measure(unit, "container_made_up", 1, at);                    // no descriptor
  Measure(unit, "container_memory_cache", 1, at, {"surplus"});  // a label too many
  Measure(unit, "container_fs_usage_bytes", 1, at);             // one too few
  Measure(unit, "container_memory_swap", 1, 0);                 // without a time
  Measure(unit, "container_start_time_seconds", 1, at);         // the node's own
  Measure(unit, "container_last_seen", 1, at);                  // the node's own
  Measure(unit, "container_memory_failures_total", 1, at, {"pgfault", "container"});
  Measure(unit, "container_memory_failures_total", 2, at, {"pgfault", "hierarchy"});
  unit.Add()->set_name("container_memory_mapped_file");  // without a value
  measured.add_container_metrics()->set_container_id("another pod's");
  *measured.mutable_container_metrics(1)->mutable_metrics() = unit;

  const PodSandboxMetrics told = node::MetricsOf(OnePod(), &measured, kClocks);

  REQUIRE(told.container_metrics_size() == 1);
  const auto& all = told.container_metrics(0).metrics();
  REQUIRE(Named(all, "container_memory_rss").size() == 1);
  CHECK(Named(all, "container_memory_rss")[0].value().value() == 4096);
  for (const char* name :
       {"container_made_up", "container_memory_cache", "container_fs_usage_bytes",
        "container_memory_swap", "container_memory_mapped_file"}) {
    INFO(name);
    CHECK(Named(all, name).empty());
  }
  REQUIRE(Named(all, "container_start_time_seconds").size() == 1);
  CHECK(Named(all, "container_start_time_seconds")[0].value().value() == 1000);
  REQUIRE(Named(all, "container_last_seen").size() == 1);
  CHECK(Named(all, "container_last_seen")[0].value().value() == 4997);
  CHECK(Named(all, "container_memory_failures_total").size() == 2);
}

TEST_CASE("A site whose clock jumps does not measure in the future") {
  PodSandboxMetrics measured = Measured();
  const ClockPair back{50 * kSecond, 5000 * kSecond};  // the answer seems older than its content
  const PodSandboxMetrics told = node::MetricsOf(OnePod(), &measured, back);
  CHECK(told.metrics(0).timestamp() == 5000 * kSecond);
}

// --- through the node

runtime::v1::ListPodSandboxMetricsResponse Joined(const Result<node::Slices>& slices) {
  REQUIRE(slices.ok());
  runtime::v1::ListPodSandboxMetricsResponse list;
  for (const auto& slice : *slices) REQUIRE(list.MergeFromString(*slice));
  return list;
}

auto BeginList(NodeLab& lab) {
  return lab.Begin<node::Slices>([&](auto reply) { lab.node->stats().ListMetrics(reply); });
}

// The site measures one number of that container.
std::function<Result<PodMetricsResponse>()> Answers(const SandboxId& pod, const ContainerId& unit) {
  return [pod, unit]() -> Result<PodMetricsResponse> {
    PodMetricsResponse response;
    response.set_now_ns(100 * kSecond);
    auto* metrics = response.add_pods();
    metrics->set_pod_sandbox_id(pod.str());
    metrics->add_container_metrics()->set_container_id(unit.str());
    Measure(*metrics->mutable_container_metrics(0)->mutable_metrics(), "container_memory_rss", 4711,
            99 * kSecond);
    response.add_pods()->set_pod_sandbox_id(MintSandboxId().str());  // not of this node
    return response;
  };
}

TEST_CASE("Pods that are ready and containers that run have metrics, and no others") {
  NodeLab lab;
  const SandboxId pod = lab.Ready("a");
  const ContainerId unit = lab.Running(pod, "c");
  lab.Created(pod, "not-started");
  const ContainerId ended = lab.Running(pod, "ended");
  REQUIRE(lab.StopUnit(ended).ok());
  lab.site.SetMetrics(Answers(pod, unit));

  const auto list = Joined(NodeLab::Get(BeginList(lab)));

  REQUIRE(list.pod_metrics_size() == 1);
  CHECK(list.pod_metrics(0).pod_sandbox_id() == pod.str());
  REQUIRE(list.pod_metrics(0).container_metrics_size() == 1);
  CHECK(list.pod_metrics(0).container_metrics(0).container_id() == unit.str());
  const auto rss =
      Named(list.pod_metrics(0).container_metrics(0).metrics(), "container_memory_rss");
  REQUIRE(rss.size() == 1);
  CHECK(LabelsOf(rss[0]) == std::vector<std::string>{"a", "default", "c", unit.str(), "busybox"});
  CHECK(rss[0].value().value() == 4711);
  CHECK(rss[0].timestamp() == lab.clock.WallNanos() - kSecond);
}

TEST_CASE("A site that cannot measure leaves what the node knows") {
  NodeLab lab;
  const SandboxId pod = lab.Ready("a");
  lab.Running(pod, "c");

  const auto list = Joined(NodeLab::Get(BeginList(lab)));  // no such route

  REQUIRE(list.pod_metrics_size() == 1);
  const auto& metrics = list.pod_metrics(0).container_metrics(0).metrics();
  CHECK(Named(metrics, "container_start_time_seconds").size() == 1);
  CHECK(Named(metrics, "container_last_seen").empty());
}

TEST_CASE("Metrics of a site that is away are unavailable, and their descriptors are not") {
  NodeLab lab;
  lab.Running(lab.Ready("a"), "c");
  lab.site.SetDown(true);
  REQUIRE(Eventually([&] { return !lab.node->Summary().reachable.ok(); }));
  const int before = lab.site.Calls("PodMetrics");

  CHECK(NodeLab::Get(BeginList(lab)).status().code() == Code::kUnavailable);

  CHECK(lab.site.Calls("PodMetrics") == before);
  CHECK(lab.node->stats().DescribeMetrics().descriptors_size() >= 45);
}

TEST_CASE("An error of the site is Unavailable, with its words") {
  NodeLab lab;
  lab.site.SetMetrics([]() -> Result<PodMetricsResponse> {
    return DeadlineExceeded("the measurement takes too long");
  });
  const auto answer = NodeLab::Get(BeginList(lab));
  CHECK(answer.status().code() == Code::kUnavailable);
  CHECK_THAT(answer.status().message(), Catch::Contains("the measurement takes too long"));
}

TEST_CASE("Callers who wait together share one request to the site") {
  NodeLab lab;
  lab.Running(lab.Ready("a"), "c");
  std::promise<void> go_on;
  auto gate = go_on.get_future().share();
  lab.site.SetMetrics([gate]() -> Result<PodMetricsResponse> {
    gate.wait_for(30s);
    return PodMetricsResponse();
  });
  std::vector<std::future<Result<node::Slices>>> lists;
  lists.push_back(BeginList(lab));
  REQUIRE(Eventually([&] { return lab.site.Calls("PodMetrics") == 1; }));
  for (int i = 0; i < 20; ++i) lists.push_back(BeginList(lab));

  go_on.set_value();

  for (auto& list : lists) CHECK(NodeLab::Get(std::move(list)).ok());
  // Those who came later: what they made may be later than the first request.
  CHECK(lab.site.Calls("PodMetrics") == 2);
}

TEST_CASE("More callers than may wait are refused, the others are answered at the shutdown") {
  NodeLab lab;
  std::promise<void> go_on;
  auto gate = go_on.get_future().share();
  lab.site.SetMetrics([gate]() -> Result<PodMetricsResponse> {
    gate.wait_for(30s);
    return PodMetricsResponse();
  });
  auto first = BeginList(lab);
  REQUIRE(Eventually([&] { return lab.site.Calls("PodMetrics") == 1; }));
  std::vector<std::future<Result<node::Slices>>> lists;
  for (int i = 0; i < 256; ++i) lists.push_back(BeginList(lab));

  CHECK(NodeLab::Get(BeginList(lab)).status().code() == Code::kResourceExhausted);

  std::jthread stop([&] { lab.node->Stop(); });
  for (auto& list : lists)
    CHECK(NodeLab::Get(std::move(list)).status().code() == Code::kUnavailable);
  CHECK(NodeLab::Get(BeginList(lab)).status().code() == Code::kUnavailable);
  go_on.set_value();
  CHECK(NodeLab::Get(std::move(first)).ok());
}

}  // namespace
}  // namespace interlink::test
