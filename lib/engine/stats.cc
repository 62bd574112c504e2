// Stats: cgroups, the pod's network and the containers' writable layers.
#include <algorithm>
#include <memory>
#include <sstream>
#include <utility>

#include "base/file.h"
#include "engine/engine.h"
#include "engine/stats_text.h"
#include "runtime/v1/api.pb.h"

namespace interlink::engine {
namespace {

using State = sdk::Observation::State;

constexpr int64_t kSecond = 1'000'000'000;
constexpr int64_t kWritableAge = 10 * kSecond;  // the size of a writable layer is used that long

// For all walks of one call: a pod with millions of files must not hold up the numbers of others.
constexpr auto kWalkTime = std::chrono::milliseconds(50);

// Nanoseconds of processor time per second between two samples.
uint64_t Rate(uint64_t before, int64_t before_ns, uint64_t now, int64_t now_ns) {
  if (before_ns == 0 || now_ns <= before_ns || now < before) return 0;
  return static_cast<uint64_t>(static_cast<double>(now - before) * static_cast<double>(kSecond) /
                               static_cast<double>(now_ns - before_ns));
}

void FillMemory(const CgroupUsage& usage, int64_t now, runtime::v1::MemoryUsage& memory) {
  memory.set_timestamp(now);
  memory.mutable_usage_bytes()->set_value(usage.memory_bytes);
  memory.mutable_working_set_bytes()->set_value(usage.working_set_bytes);
  memory.mutable_rss_bytes()->set_value(usage.rss_bytes);
  memory.mutable_page_faults()->set_value(usage.page_faults);
  memory.mutable_major_page_faults()->set_value(usage.major_page_faults);
  if (usage.memory_limit > usage.working_set_bytes) {
    memory.mutable_available_bytes()->set_value(usage.memory_limit - usage.working_set_bytes);
  }
}

void FillNetwork(const std::string& text, int64_t now, runtime::v1::NetworkUsage& network) {
  network.set_timestamp(now);
  for (const InterfaceCounters& counters : ParseNetDev(text)) {
    if (counters.name == "lo") continue;
    auto* interface =
        counters.name == "eth0" ? network.mutable_default_interface() : network.add_interfaces();
    interface->set_name(counters.name);
    interface->mutable_rx_bytes()->set_value(counters.rx_bytes);
    interface->mutable_rx_errors()->set_value(counters.rx_errors);
    interface->mutable_tx_bytes()->set_value(counters.tx_bytes);
    interface->mutable_tx_errors()->set_value(counters.tx_errors);
  }
}

// The pod's total: the sum of its containers.
void AddTo(const runtime::v1::ContainerStats& from, runtime::v1::LinuxPodSandboxStats& pod) {
  const auto add = [](runtime::v1::UInt64Value* total, const runtime::v1::UInt64Value& value) {
    total->set_value(total->value() + value.value());
  };
  pod.mutable_cpu()->set_timestamp(from.cpu().timestamp());
  add(pod.mutable_cpu()->mutable_usage_core_nano_seconds(), from.cpu().usage_core_nano_seconds());
  add(pod.mutable_cpu()->mutable_usage_nano_cores(), from.cpu().usage_nano_cores());
  auto* memory = pod.mutable_memory();
  memory->set_timestamp(from.memory().timestamp());
  add(memory->mutable_usage_bytes(), from.memory().usage_bytes());
  add(memory->mutable_working_set_bytes(), from.memory().working_set_bytes());
  add(memory->mutable_rss_bytes(), from.memory().rss_bytes());
  add(memory->mutable_page_faults(), from.memory().page_faults());
  add(memory->mutable_major_page_faults(), from.memory().major_page_faults());
  *pod.add_containers() = from;
}

}  // namespace

Engine::WritableLayer Engine::MeasureWritable(const SandboxId& sandbox, const ContainerId& id,
                                              const std::string& upper, SteadyTime until) {
  const int64_t now = host_.clock().WallNanos();
  std::shared_ptr<WritableWalk> walk;
  {
    MutexLock lock(mutex_);
    Container* container = FindLocked(sandbox, id);
    if (container == nullptr) return {};
    // Nobody else goes on with it meanwhile.
    walk = std::exchange(container->walk, nullptr);
    const bool stale = now - container->walk_began_ns > kWritableAge;
    if (!walk && stale) {
      container->walk_began_ns = now;
      walk = std::make_shared<WritableWalk>(upper);
    }
  }
  const bool measured = walk && walk->GoOn(host_.clock(), until);
  MutexLock lock(mutex_);
  Container* container = FindLocked(sandbox, id);
  if (container == nullptr) return {};
  if (measured) {
    container->writable = {walk->bytes(), walk->files(), now};
  } else if (walk) {
    container->walk = walk;
  }
  return container->writable;
}

// From its cgroup, or from its processes where it has none.
std::optional<CgroupUsage> Engine::UsageOf(const PodView& pod, const ContainerRecord& record,
                                           const std::optional<ProcessTable>& processes) const {
  if (!processes) {
    auto usage = cgroups_.Usage(record.cgroup);
    return usage.ok() ? *std::move(usage) : std::nullopt;
  }
  const std::string pid = PidOf(ReadFile(pod.folder.Shim(record.id) + "/pid", 256).value_or(""));
  if (pid.empty()) return std::nullopt;
  const auto used = processes->Below(static_cast<pid_t>(std::stol(pid)));
  if (!used) return std::nullopt;
  CgroupUsage usage;
  usage.cpu_nanos = used->cpu_nanos;
  usage.memory_bytes = usage.working_set_bytes = usage.rss_bytes = used->rss_bytes;
  usage.page_faults = used->page_faults;
  usage.major_page_faults = used->major_page_faults;
  usage.processes = used->processes;
  usage.memory_limit = static_cast<uint64_t>(options_.allocation_memory_bytes);
  return usage;
}

void Engine::MeasureContainer(const SandboxId& sandbox, const ContainerId& id, SteadyTime until,
                              const std::optional<ProcessTable>& processes, sdk::Usage& usage) {
  const auto pod = View(sandbox);
  const auto record = RecordOf(sandbox, id);
  if (!pod || !record.ok()) return;
  const auto sample = UsageOf(*pod, *record, processes);
  if (!sample) return;  // it has just ended
  CgroupUsage now_used = *sample;
  const int64_t now = host_.clock().WallNanos();
  const std::string upper = pod->folder.Container(id) + "/upper";
  const WritableLayer writable = MeasureWritable(sandbox, id, upper, until);
  runtime::v1::ContainerStats stats;
  stats.mutable_attributes()->set_id(id.str());
  {
    MutexLock lock(mutex_);
    Container* container = FindLocked(sandbox, id);
    if (container == nullptr) return;
    // Counted by processes it may fall; a counter never does.
    now_used.cpu_nanos = std::max(now_used.cpu_nanos, container->last_cpu_nanos);
    stats.mutable_cpu()->mutable_usage_nano_cores()->set_value(
        Rate(container->last_cpu_nanos, container->last_cpu_at_ns, now_used.cpu_nanos, now));
    container->last_cpu_nanos = now_used.cpu_nanos;
    container->last_cpu_at_ns = now;
  }
  auto* layer = stats.mutable_writable_layer();
  layer->set_timestamp(writable.at_ns);
  layer->mutable_fs_id()->set_mountpoint(upper);
  layer->mutable_used_bytes()->set_value(writable.bytes);
  layer->mutable_inodes_used()->set_value(writable.files);
  stats.mutable_cpu()->set_timestamp(now);
  stats.mutable_cpu()->mutable_usage_core_nano_seconds()->set_value(now_used.cpu_nanos);
  FillMemory(now_used, now, *stats.mutable_memory());
  auto& total = usage.sandboxes.back();
  AddTo(stats, *total.mutable_linux());
  auto* process = total.mutable_linux()->mutable_process();
  process->set_timestamp(now);
  process->mutable_process_count()->set_value(process->process_count().value() +
                                              now_used.processes);
  usage.containers.push_back(std::move(stats));
}

std::vector<Engine::RunningPod> Engine::RunningPods() {
  std::vector<RunningPod> pods;
  MutexLock lock(mutex_);
  for (const auto& [id, pod] : pods_) {
    if (pod.record.phase != PodPhase::kUp) continue;
    RunningPod running{id, pod.record.own_network, {}};
    for (const auto& [name, container] : pod.containers) {
      if (container.fact.state == State::kUp) running.containers.push_back(name);
    }
    pods.push_back(std::move(running));
  }
  return pods;
}

std::string Engine::NetworkCounters(const RunningPod& pod) {
  if (!pod.own_network) return "";
  const auto view = View(pod.sandbox);
  if (!view) return "";
  // Any process of the pod sees its network.
  for (const ContainerId& id : pod.containers) {
    const std::string pid = PidOf(ReadFile(view->folder.Shim(id) + "/pid", 256).value_or(""));
    if (pid.empty()) continue;  // without it the path below would be the machine's own
    auto text = ReadFile("/proc/" + pid + "/net/dev", 1U << 20U);
    if (text.ok()) return *std::move(text);
  }
  return "";
}

Result<sdk::Usage> Engine::Stats(const Call& call) {
  sdk::Usage usage;
  const SteadyTime until = host_.clock().Steady() + kWalkTime;
  std::optional<ProcessTable> processes;
  if (cgroups_.IsNone()) processes = ProcessTable::Read();
  for (const RunningPod& pod : RunningPods()) {
    RETURN_IF_ERROR(call.Check("measure the containers"));
    auto& stats = usage.sandboxes.emplace_back();
    stats.mutable_attributes()->set_id(pod.sandbox.str());
    const int64_t now = host_.clock().WallNanos();
    stats.mutable_linux()->mutable_cpu()->set_timestamp(now);
    stats.mutable_linux()->mutable_memory()->set_timestamp(now);
    for (const ContainerId& id : pod.containers) {
      MeasureContainer(pod.sandbox, id, until, processes, usage);
    }
    const std::string counters = NetworkCounters(pod);
    if (!counters.empty())
      FillNetwork(counters, now, *usage.sandboxes.back().mutable_linux()->mutable_network());
  }
  return usage;
}

}  // namespace interlink::engine
