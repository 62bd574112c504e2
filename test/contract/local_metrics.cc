// Metrics of real containers: what a site of this kind can measure, and that it is true.
#include <algorithm>
#include <catch2/catch.hpp>
#include <optional>
#include <set>

#include "contract/config_text.h"
#include "contract/contract_lab.h"
#include "support/eventually.h"

namespace interlink::contract {
namespace {

using runtime::v1::Metric;
using runtime::v1::PodSandboxConfig;
using runtime::v1::PodSandboxMetrics;

// The only pod's.
PodSandboxMetrics MeasureOne(ContractLab& lab) {
  const auto pods = lab.backend().Metrics(lab.call());
  REQUIRE(pods.ok());
  REQUIRE(pods->size() == 1);
  return pods->front();
}

std::optional<uint64_t> ValueOf(const PodSandboxMetrics& pod, const std::string& name) {
  REQUIRE(pod.container_metrics_size() == 1);
  for (const Metric& metric : pod.container_metrics(0).metrics()) {
    if (metric.name() == name) return metric.value().value();
  }
  return std::nullopt;
}

}  // namespace

TEST_CASE("Whatever critest wants of a container is measured at once") {
  ContractLab lab;
  const SandboxId sandbox = lab.RunUp();
  lab.StartReady(sandbox, lab.subject().IgnoresStop());

  const PodSandboxMetrics pod = MeasureOne(lab);

  std::set<std::string> names;
  for (const Metric& metric : pod.metrics()) {
    names.insert(metric.name());
    CHECK(metric.label_values(0) != "lo");
  }
  REQUIRE(pod.container_metrics_size() == 1);
  for (const Metric& metric : pod.container_metrics(0).metrics()) names.insert(metric.name());
  for (const char* name : {"cpu_cfs_periods_total",
                           "cpu_cfs_throttled_periods_total",
                           "cpu_cfs_throttled_seconds_total",
                           "cpu_system_seconds_total",
                           "cpu_usage_seconds_total",
                           "cpu_user_seconds_total",
                           "file_descriptors",
                           "fs_inodes_free",
                           "fs_inodes_total",
                           "fs_limit_bytes",
                           "fs_usage_bytes",
                           "memory_cache",
                           "memory_failcnt",
                           "memory_failures_total",
                           "memory_kernel_usage",
                           "memory_mapped_file",
                           "memory_max_usage_bytes",
                           "memory_rss",
                           "memory_swap",
                           "memory_usage_bytes",
                           "memory_working_set_bytes",
                           "network_receive_bytes_total",
                           "network_receive_errors_total",
                           "network_receive_packets_dropped_total",
                           "network_receive_packets_total",
                           "network_transmit_bytes_total",
                           "network_transmit_errors_total",
                           "network_transmit_packets_dropped_total",
                           "network_transmit_packets_total",
                           "oom_events_total",
                           "processes",
                           "sockets",
                           "threads",
                           "threads_max"}) {
    INFO(name);
    CHECK(names.contains(std::string("container_") + name));
  }
}

TEST_CASE("What a container does is in its metrics") {
  ContractLab lab;
  const SandboxId sandbox = lab.RunUp();
  const ContainerId id = lab.StartReady(sandbox, lab.subject().IgnoresStop());
  const PodSandboxMetrics before = MeasureOne(lab);
  const auto busy =
      lab.Exec(sandbox, id, {"sh", "-c", "exec 9</dev/null; while :; do :; done"}, false, true);
  REQUIRE(busy.ok());

  PodSandboxMetrics after;
  const auto grew = [&](const char* name) {
    return *ValueOf(after, name) > *ValueOf(before, name);
  };
  CHECK(test::Eventually([&] {
    after = MeasureOne(lab);
    return grew("container_processes") && grew("container_cpu_usage_seconds_total");
  }));

  CHECK(grew("container_threads"));
  CHECK(grew("container_file_descriptors"));
  CHECK(grew("container_memory_failures_total"));
  CHECK(*ValueOf(after, "container_memory_max_usage_bytes") >=
        *ValueOf(after, "container_memory_usage_bytes"));
  CHECK(*ValueOf(after, "container_memory_usage_bytes") >=
        *ValueOf(after, "container_memory_working_set_bytes"));
  CHECK(*ValueOf(after, "container_fs_inodes_total") > *ValueOf(after, "container_fs_inodes_free"));
}

TEST_CASE("A pod of the machine's network has no counters of it") {
  ContractLab lab;
  const SandboxId sandbox = lab.Run(FromText<PodSandboxConfig>(
      "linux { security_context { namespace_options { network: NODE } } }"));
  REQUIRE(lab.Await(sandbox, State::kUp).state == State::kUp);
  lab.StartReady(sandbox, lab.subject().IgnoresStop());

  const PodSandboxMetrics pod = MeasureOne(lab);

  CHECK(pod.metrics().empty());
  CHECK(ValueOf(pod, "container_memory_usage_bytes"));
}

}  // namespace interlink::contract
