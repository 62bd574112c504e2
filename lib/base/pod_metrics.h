// The metrics of pods that CRI's ListMetricDescriptors names: one list, for the node that describes
// them and for backends that measure. Names, types and labels are those of kubelet's own
// /metrics/cadvisor, so that dashboards and alerts work unchanged. Constant, thread-safe.
//
// A value is a whole number (CRI has no other): seconds are cut, never rounded up.
#ifndef INTERLINK_BASE_POD_METRICS_H_
#define INTERLINK_BASE_POD_METRICS_H_

#include <array>
#include <cstddef>
#include <string_view>

namespace interlink {

// In the order of the table below.
enum class PodMetric {
  kBlkioUsage,
  kCpuPeriods,
  kCpuThrottledPeriods,
  kCpuThrottledSeconds,
  kCpuSystemSeconds,
  kCpuUsageSeconds,
  kCpuUserSeconds,
  kFileDescriptors,
  kFsInodesFree,
  kFsInodesTotal,
  kFsLimitBytes,
  kFsReadsBytes,
  kFsReads,
  kFsUsageBytes,
  kFsWritesBytes,
  kFsWrites,
  kLastSeen,
  kMemoryCache,
  kMemoryFailcnt,
  kMemoryFailures,
  kMemoryKernelUsage,
  kMemoryMappedFile,
  kMemoryMaxUsage,
  kMemoryRss,
  kMemorySwap,
  kMemoryUsage,
  kMemoryWorkingSet,
  kNetworkReceiveBytes,
  kNetworkReceiveErrors,
  kNetworkReceiveDropped,
  kNetworkReceivePackets,
  kNetworkTransmitBytes,
  kNetworkTransmitErrors,
  kNetworkTransmitDropped,
  kNetworkTransmitPackets,
  kOomEvents,
  kProcesses,
  kSockets,
  kSpecCpuPeriod,
  kSpecCpuQuota,
  kSpecCpuShares,
  kSpecMemoryLimit,
  kSpecMemorySwapLimit,
  kStartTimeSeconds,
  kThreads,
  kThreadsMax,
};

// The labels that every one of them has first; its own follow. Of a pod's own metrics `container`
// and `image` are empty and `id` is the sandbox's.
inline constexpr std::array<std::string_view, 5> kPodMetricLabels = {"pod", "namespace",
                                                                     "container", "id", "image"};

struct PodMetricInfo {
  PodMetric metric;
  std::string_view name;
  std::string_view help;
  bool counter;                                 // else a gauge
  std::array<std::string_view, 4> labels = {};  // its own keys, in order; "": no more
  constexpr size_t LabelCount() const {
    size_t count = 0;
    while (count < labels.size() && !labels[count].empty()) ++count;
    return count;
  }
};

// clang-format off
inline constexpr std::array kPodMetrics = {
    PodMetricInfo{PodMetric::kBlkioUsage, "container_blkio_device_usage_total", "Bytes moved from and to a block device, by operation.", true, {"device", "major", "minor", "operation"}},
    PodMetricInfo{PodMetric::kCpuPeriods, "container_cpu_cfs_periods_total", "Enforcement periods of the CPU quota that have passed.", true},
    PodMetricInfo{PodMetric::kCpuThrottledPeriods, "container_cpu_cfs_throttled_periods_total", "Enforcement periods in which the quota stopped the container.", true},
    PodMetricInfo{PodMetric::kCpuThrottledSeconds, "container_cpu_cfs_throttled_seconds_total", "Whole seconds for which the quota stopped the container.", true},
    PodMetricInfo{PodMetric::kCpuSystemSeconds, "container_cpu_system_seconds_total", "Whole seconds of CPU time spent in the kernel.", true},
    PodMetricInfo{PodMetric::kCpuUsageSeconds, "container_cpu_usage_seconds_total", "Whole seconds of CPU time; cpu is \"total\".", true, {"cpu"}},
    PodMetricInfo{PodMetric::kCpuUserSeconds, "container_cpu_user_seconds_total", "Whole seconds of CPU time spent in the container's programs.", true},
    PodMetricInfo{PodMetric::kFileDescriptors, "container_file_descriptors", "Open file descriptors of the container's processes.", false},
    PodMetricInfo{PodMetric::kFsInodesFree, "container_fs_inodes_free", "Free inodes of the file system of the writable layer.", false, {"device"}},
    PodMetricInfo{PodMetric::kFsInodesTotal, "container_fs_inodes_total", "Inodes of the file system of the writable layer.", false, {"device"}},
    PodMetricInfo{PodMetric::kFsLimitBytes, "container_fs_limit_bytes", "Size of the file system of the writable layer.", false, {"device"}},
    PodMetricInfo{PodMetric::kFsReadsBytes, "container_fs_reads_bytes_total", "Bytes read from a block device.", true, {"device"}},
    PodMetricInfo{PodMetric::kFsReads, "container_fs_reads_total", "Reads from a block device.", true, {"device"}},
    PodMetricInfo{PodMetric::kFsUsageBytes, "container_fs_usage_bytes", "Bytes in the writable layer.", false, {"device"}},
    PodMetricInfo{PodMetric::kFsWritesBytes, "container_fs_writes_bytes_total", "Bytes written to a block device.", true, {"device"}},
    PodMetricInfo{PodMetric::kFsWrites, "container_fs_writes_total", "Writes to a block device.", true, {"device"}},
    PodMetricInfo{PodMetric::kLastSeen, "container_last_seen", "Unix time at which the container was last measured.", false},
    PodMetricInfo{PodMetric::kMemoryCache, "container_memory_cache", "Bytes of page cache.", false},
    PodMetricInfo{PodMetric::kMemoryFailcnt, "container_memory_failcnt", "How often the memory limit was hit.", true},
    PodMetricInfo{PodMetric::kMemoryFailures, "container_memory_failures_total", "Page faults, by kind; scope container: its own, hierarchy: with those of groups below it.", true, {"failure_type", "scope"}},
    PodMetricInfo{PodMetric::kMemoryKernelUsage, "container_memory_kernel_usage", "Bytes of kernel memory.", false},
    PodMetricInfo{PodMetric::kMemoryMappedFile, "container_memory_mapped_file", "Bytes of mapped files.", false},
    PodMetricInfo{PodMetric::kMemoryMaxUsage, "container_memory_max_usage_bytes", "Most bytes of memory that were in use at once.", false},
    PodMetricInfo{PodMetric::kMemoryRss, "container_memory_rss", "Bytes of anonymous memory.", false},
    PodMetricInfo{PodMetric::kMemorySwap, "container_memory_swap", "Bytes of swap.", false},
    PodMetricInfo{PodMetric::kMemoryUsage, "container_memory_usage_bytes", "Bytes of memory, page cache included.", false},
    PodMetricInfo{PodMetric::kMemoryWorkingSet, "container_memory_working_set_bytes", "Bytes of memory without inactive page cache.", false},
    PodMetricInfo{PodMetric::kNetworkReceiveBytes, "container_network_receive_bytes_total", "Bytes received by the pod.", true, {"interface"}},
    PodMetricInfo{PodMetric::kNetworkReceiveErrors, "container_network_receive_errors_total", "Errors while the pod received.", true, {"interface"}},
    PodMetricInfo{PodMetric::kNetworkReceiveDropped, "container_network_receive_packets_dropped_total", "Packets dropped while the pod received.", true, {"interface"}},
    PodMetricInfo{PodMetric::kNetworkReceivePackets, "container_network_receive_packets_total", "Packets received by the pod.", true, {"interface"}},
    PodMetricInfo{PodMetric::kNetworkTransmitBytes, "container_network_transmit_bytes_total", "Bytes sent by the pod.", true, {"interface"}},
    PodMetricInfo{PodMetric::kNetworkTransmitErrors, "container_network_transmit_errors_total", "Errors while the pod sent.", true, {"interface"}},
    PodMetricInfo{PodMetric::kNetworkTransmitDropped, "container_network_transmit_packets_dropped_total", "Packets dropped while the pod sent.", true, {"interface"}},
    PodMetricInfo{PodMetric::kNetworkTransmitPackets, "container_network_transmit_packets_total", "Packets sent by the pod.", true, {"interface"}},
    PodMetricInfo{PodMetric::kOomEvents, "container_oom_events_total", "Processes that the kernel killed for want of memory.", true},
    PodMetricInfo{PodMetric::kProcesses, "container_processes", "Processes of the container.", false},
    PodMetricInfo{PodMetric::kSockets, "container_sockets", "Open sockets of the container's processes.", false},
    PodMetricInfo{PodMetric::kSpecCpuPeriod, "container_spec_cpu_period", "CPU period that was asked for, in microseconds.", false},
    PodMetricInfo{PodMetric::kSpecCpuQuota, "container_spec_cpu_quota", "CPU quota that was asked for, in microseconds per period.", false},
    PodMetricInfo{PodMetric::kSpecCpuShares, "container_spec_cpu_shares", "CPU shares that were asked for.", false},
    PodMetricInfo{PodMetric::kSpecMemoryLimit, "container_spec_memory_limit_bytes", "Memory limit that was asked for; 0: none.", false},
    PodMetricInfo{PodMetric::kSpecMemorySwapLimit, "container_spec_memory_swap_limit_bytes", "Limit of memory and swap together that was asked for; 0: none.", false},
    PodMetricInfo{PodMetric::kStartTimeSeconds, "container_start_time_seconds", "Unix time of the container's start.", false},
    PodMetricInfo{PodMetric::kThreads, "container_threads", "Threads of the container's processes.", false},
    PodMetricInfo{PodMetric::kThreadsMax, "container_threads_max", "Most threads that the container may have; 0: no limit of its own.", false},
};
// clang-format on

constexpr bool PodMetricsAreInOrder() {
  for (size_t i = 0; i < kPodMetrics.size(); ++i) {
    if (kPodMetrics[i].metric != static_cast<PodMetric>(i)) return false;
  }
  return true;
}
static_assert(PodMetricsAreInOrder() &&
              kPodMetrics.size() == static_cast<size_t>(PodMetric::kThreadsMax) + 1);

constexpr const PodMetricInfo& InfoOf(PodMetric metric) {
  return kPodMetrics[static_cast<size_t>(metric)];
}

}  // namespace interlink

#endif  // INTERLINK_BASE_POD_METRICS_H_
