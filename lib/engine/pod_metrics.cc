// Metrics of pods and containers: cgroups, the pod's network, processes, the writable layer.
#include "base/pod_metrics.h"

#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>

#include <optional>
#include <utility>

#include "engine/device_names.h"
#include "engine/engine.h"
#include "engine/open_files.h"
#include "engine/stats_text.h"
#include "runtime/v1/api.pb.h"

namespace interlink::engine {
namespace {

constexpr uint64_t kNanosPerSecond = 1'000'000'000;
// For one container: what does not get ready within it is left out, and holds up nobody.
constexpr auto kMetricsWalkTime = std::chrono::milliseconds(20);
constexpr auto kOpenFilesTime = std::chrono::milliseconds(20);
// Of a call with less time than this, only what is read at once is measured.
constexpr auto kHurry = std::chrono::seconds(3);

using MetricList = google::protobuf::RepeatedPtrField<runtime::v1::Metric>;

class MetricWriter {
 public:
  MetricWriter(MetricList& metrics, int64_t now) : metrics_(metrics), now_(now) {}

  void Add(PodMetric which, uint64_t value, std::initializer_list<std::string_view> labels = {}) {
    const PodMetricInfo& info = InfoOf(which);
    runtime::v1::Metric* metric = metrics_.Add();
    metric->set_name(std::string(info.name));
    metric->set_timestamp(now_);
    metric->set_metric_type(info.counter ? runtime::v1::COUNTER : runtime::v1::GAUGE);
    for (const std::string_view label : labels) metric->add_label_values(std::string(label));
    metric->mutable_value()->set_value(value);
  }
  // Nothing when it is not known.
  void AddKnown(PodMetric which, const std::optional<uint64_t>& value, uint64_t divisor = 1) {
    if (value) Add(which, *value / divisor);
  }

 private:
  MetricList& metrics_;
  const int64_t now_;
};

void AddCgroup(const CgroupUsage& usage, const CgroupDetails& details, MetricWriter& out) {
  out.Add(PodMetric::kCpuUsageSeconds, usage.cpu_nanos / kNanosPerSecond, {"total"});
  out.AddKnown(PodMetric::kCpuUserSeconds, details.cpu_user_nanos, kNanosPerSecond);
  out.AddKnown(PodMetric::kCpuSystemSeconds, details.cpu_system_nanos, kNanosPerSecond);
  out.AddKnown(PodMetric::kCpuPeriods, details.cpu_periods);
  out.AddKnown(PodMetric::kCpuThrottledPeriods, details.cpu_throttled_periods);
  out.AddKnown(PodMetric::kCpuThrottledSeconds, details.cpu_throttled_nanos, kNanosPerSecond);
  out.Add(PodMetric::kMemoryUsage, usage.memory_bytes);
  out.Add(PodMetric::kMemoryWorkingSet, usage.working_set_bytes);
  out.Add(PodMetric::kMemoryRss, usage.rss_bytes);
  out.AddKnown(PodMetric::kMemoryCache, details.memory_cache);
  out.AddKnown(PodMetric::kMemoryMappedFile, details.memory_mapped_file);
  out.AddKnown(PodMetric::kMemorySwap, details.memory_swap);
  out.AddKnown(PodMetric::kMemoryKernelUsage, details.memory_kernel);
  out.AddKnown(PodMetric::kMemoryMaxUsage, details.memory_max_usage);
  out.AddKnown(PodMetric::kMemoryFailcnt, details.memory_failcnt);
  out.AddKnown(PodMetric::kOomEvents, details.oom_kills);
  out.Add(PodMetric::kMemoryFailures, usage.page_faults, {"pgfault", "hierarchy"});
  out.Add(PodMetric::kMemoryFailures, usage.major_page_faults, {"pgmajfault", "hierarchy"});
  if (details.page_faults)
    out.Add(PodMetric::kMemoryFailures, *details.page_faults, {"pgfault", "container"});
  if (details.major_page_faults)
    out.Add(PodMetric::kMemoryFailures, *details.major_page_faults, {"pgmajfault", "container"});
  out.AddKnown(PodMetric::kThreads, details.threads);
  out.AddKnown(PodMetric::kThreadsMax, details.threads_max);
}

void AddDevices(const CgroupDetails& details, DeviceNames& names, MetricWriter& out) {
  for (const DeviceTraffic& device : details.devices) {
    const std::string name = names.NameOf(device.major, device.minor);
    const std::string major = std::to_string(device.major);
    const std::string minor = std::to_string(device.minor);
    out.Add(PodMetric::kBlkioUsage, device.read_bytes, {name, major, minor, "Read"});
    out.Add(PodMetric::kBlkioUsage, device.write_bytes, {name, major, minor, "Write"});
    out.Add(PodMetric::kFsReadsBytes, device.read_bytes, {name});
    out.Add(PodMetric::kFsReads, device.reads, {name});
    out.Add(PodMetric::kFsWritesBytes, device.write_bytes, {name});
    out.Add(PodMetric::kFsWrites, device.writes, {name});
  }
}

// Of the file system of the writable layer.
void AddFileSystem(const std::string& upper, const std::optional<uint64_t>& used_bytes,
                   DeviceNames& names, MetricWriter& out) {
  struct stat about {};
  struct statvfs system {};
  if (stat(upper.c_str(), &about) != 0 || statvfs(upper.c_str(), &system) != 0) return;
  const std::string name = names.NameOf(major(about.st_dev), minor(about.st_dev));
  out.Add(PodMetric::kFsLimitBytes, static_cast<uint64_t>(system.f_blocks) * system.f_frsize,
          {name});
  out.Add(PodMetric::kFsInodesTotal, system.f_files, {name});
  out.Add(PodMetric::kFsInodesFree, system.f_ffree, {name});
  if (used_bytes) out.Add(PodMetric::kFsUsageBytes, *used_bytes, {name});
}

void AddNetwork(const std::string& counters, MetricWriter& out) {
  for (const InterfaceCounters& link : ParseNetDev(counters)) {
    if (link.name == "lo") continue;
    out.Add(PodMetric::kNetworkReceiveBytes, link.rx_bytes, {link.name});
    out.Add(PodMetric::kNetworkReceivePackets, link.rx_packets, {link.name});
    out.Add(PodMetric::kNetworkReceiveErrors, link.rx_errors, {link.name});
    out.Add(PodMetric::kNetworkReceiveDropped, link.rx_dropped, {link.name});
    out.Add(PodMetric::kNetworkTransmitBytes, link.tx_bytes, {link.name});
    out.Add(PodMetric::kNetworkTransmitPackets, link.tx_packets, {link.name});
    out.Add(PodMetric::kNetworkTransmitErrors, link.tx_errors, {link.name});
    out.Add(PodMetric::kNetworkTransmitDropped, link.tx_dropped, {link.name});
  }
}

}  // namespace

Status Engine::MeasureMetrics(const Call& call, const SandboxId& sandbox, const ContainerId& id,
                              DeviceNames& devices, runtime::v1::ContainerMetrics& metrics) {
  const auto pod = View(sandbox);
  if (!pod) return NotFound("no such pod");
  ASSIGN_OR_RETURN(const ContainerRecord record, RecordOf(sandbox, id));
  ASSIGN_OR_RETURN(const std::optional<CgroupUsage> usage, cgroups_.Usage(record.cgroup));
  if (!usage) return NotFound("it has just ended");
  MetricWriter out(*metrics.mutable_metrics(), host_.clock().WallNanos());
  const CgroupDetails details = cgroups_.Details(record.cgroup);
  const std::vector<pid_t> pids = cgroups_.Members(record.cgroup);
  AddCgroup(*usage, details, out);
  AddDevices(details, devices, out);
  out.Add(PodMetric::kProcesses, pids.size());
  const bool hurry = call.remaining() < kHurry;
  const SteadyTime now = host_.clock().Steady();
  const std::string upper = pod->folder.Container(id) + "/upper";
  const WritableLayer writable =
      MeasureWritable(sandbox, id, upper, hurry ? now : now + kMetricsWalkTime);
  AddFileSystem(upper, writable.at_ns == 0 ? std::nullopt : std::optional<uint64_t>(writable.bytes),
                devices, out);
  const auto files =
      hurry ? std::nullopt
            : CountOpenFiles(pids, host_.clock(), host_.clock().Steady() + kOpenFilesTime);
  if (files) {
    out.Add(PodMetric::kFileDescriptors, files->descriptors);
    out.Add(PodMetric::kSockets, files->sockets);
  }
  return {};
}

Result<std::vector<runtime::v1::PodSandboxMetrics>> Engine::Metrics(const Call& call) {
  std::vector<runtime::v1::PodSandboxMetrics> all;
  DeviceNames devices;
  for (const RunningPod& pod : RunningPods()) {
    RETURN_IF_ERROR(call.Check("measure the pods"));
    auto& metrics = all.emplace_back();
    metrics.set_pod_sandbox_id(pod.sandbox.str());
    for (const ContainerId& id : pod.containers) {
      runtime::v1::ContainerMetrics measured;
      measured.set_container_id(id.str());
      const Status status = MeasureMetrics(call, pod.sandbox, id, devices, measured);
      if (status.ok()) {
        *metrics.add_container_metrics() = std::move(measured);
      } else if (status.code() != Code::kNotFound) {
        host_.log().Warning("a container cannot be measured",
                            {{"container", id.str()}, {"error", status.message()}});
      }
    }
    MetricWriter out(*metrics.mutable_metrics(), host_.clock().WallNanos());
    AddNetwork(NetworkCounters(pod), out);
  }
  return all;
}

}  // namespace interlink::engine
