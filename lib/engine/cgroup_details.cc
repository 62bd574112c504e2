#include "engine/cgroup_details.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <sstream>
#include <string_view>
#include <utility>

namespace interlink::engine {
namespace {

constexpr uint64_t kMicrosecond = 1000;  // in nanoseconds

std::optional<uint64_t> NumberIn(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.remove_suffix(1);
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<uint64_t> NumberOf(const Result<std::string>& file) {
  return file.ok() ? NumberIn(*file) : std::nullopt;
}

// "max" is no limit.
std::optional<uint64_t> LimitOf(const Result<std::string>& file) {
  if (file.ok() && file->starts_with("max")) return 0;
  return NumberOf(file);
}

std::optional<uint64_t> Times(std::optional<uint64_t> value, uint64_t factor) {
  return value ? std::optional<uint64_t>(*value * factor) : std::nullopt;
}

using TrafficByDevice = std::map<std::pair<uint32_t, uint32_t>, DeviceTraffic>;

// "MAJOR:MINOR"; null: it is something else.
DeviceTraffic* DeviceIn(std::string_view text, TrafficByDevice& devices) {
  const size_t colon = text.find(':');
  if (colon == std::string_view::npos) return nullptr;
  const auto major = NumberIn(text.substr(0, colon));
  const auto minor = NumberIn(text.substr(colon + 1));
  if (!major || !minor) return nullptr;
  const auto key = std::pair(static_cast<uint32_t>(*major), static_cast<uint32_t>(*minor));
  DeviceTraffic& device = devices[key];
  device.major = key.first;
  device.minor = key.second;
  return &device;
}

// Lines "8:0 Read 4096" of v1.
void AddV1Traffic(const Result<std::string>& file, uint64_t DeviceTraffic::*read,
                  uint64_t DeviceTraffic::*write, TrafficByDevice& devices) {
  if (!file.ok()) return;
  std::istringstream lines(*file);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string name;
    std::string operation;
    uint64_t value = 0;
    if (!(words >> name >> operation >> value)) continue;
    if (operation != "Read" && operation != "Write") continue;
    DeviceTraffic* const device = DeviceIn(name, devices);
    if (device != nullptr) device->*(operation == "Read" ? read : write) += value;
  }
}

// Lines "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0" of v2.
void AddV2Traffic(const Result<std::string>& file, TrafficByDevice& devices) {
  if (!file.ok()) return;
  static constexpr std::pair<std::string_view, uint64_t DeviceTraffic::*> kKeys[] = {
      {"rbytes=", &DeviceTraffic::read_bytes},
      {"wbytes=", &DeviceTraffic::write_bytes},
      {"rios=", &DeviceTraffic::reads},
      {"wios=", &DeviceTraffic::writes}};
  std::istringstream lines(*file);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string name;
    words >> name;
    std::string word;
    DeviceTraffic* device = nullptr;
    while (words >> word) {
      for (const auto& [key, field] : kKeys) {
        if (!word.starts_with(key)) continue;
        const auto value = NumberIn(std::string_view(word).substr(key.size()));
        if (value && device == nullptr) device = DeviceIn(name, devices);
        if (value && device != nullptr) device->*field += *value;
      }
    }
  }
}

std::vector<DeviceTraffic> ListOf(const TrafficByDevice& devices) {
  std::vector<DeviceTraffic> list;
  for (const auto& [key, device] : devices) list.push_back(device);
  return list;
}

}  // namespace

std::optional<uint64_t> FieldOf(const std::string& text, const std::string& key) {
  std::string_view rest = text;
  while (!rest.empty()) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (line.size() > key.size() && line[key.size()] == ' ' && line.starts_with(key))
      return NumberIn(line.substr(key.size() + 1));
  }
  return std::nullopt;
}

CgroupDetails ReadDetailsV1(const ReadCgroupFile& read) {
  CgroupDetails details;
  details.cpu_user_nanos = NumberOf(read("cpuacct", "cpuacct.usage_user"));
  details.cpu_system_nanos = NumberOf(read("cpuacct", "cpuacct.usage_sys"));
  const std::string cpu = read("cpu", "cpu.stat").value_or("");
  details.cpu_periods = FieldOf(cpu, "nr_periods");
  details.cpu_throttled_periods = FieldOf(cpu, "nr_throttled");
  details.cpu_throttled_nanos = FieldOf(cpu, "throttled_time");
  const std::string memory = read("memory", "memory.stat").value_or("");
  details.memory_cache = FieldOf(memory, "total_cache");
  details.memory_mapped_file = FieldOf(memory, "total_mapped_file");
  // Without swap accounting there is no line: what is not counted is not told.
  details.memory_swap = FieldOf(memory, "total_swap");
  details.page_faults = FieldOf(memory, "pgfault");
  details.major_page_faults = FieldOf(memory, "pgmajfault");
  details.memory_kernel = NumberOf(read("memory", "memory.kmem.usage_in_bytes"));
  details.memory_max_usage = NumberOf(read("memory", "memory.max_usage_in_bytes"));
  details.memory_failcnt = NumberOf(read("memory", "memory.failcnt"));
  details.oom_kills = FieldOf(read("memory", "memory.oom_control").value_or(""), "oom_kill");
  details.threads = NumberOf(read("pids", "pids.current"));
  details.threads_max = LimitOf(read("pids", "pids.max"));
  TrafficByDevice devices;
  AddV1Traffic(read("blkio", "blkio.throttle.io_service_bytes_recursive"),
               &DeviceTraffic::read_bytes, &DeviceTraffic::write_bytes, devices);
  AddV1Traffic(read("blkio", "blkio.throttle.io_serviced_recursive"), &DeviceTraffic::reads,
               &DeviceTraffic::writes, devices);
  details.devices = ListOf(devices);
  return details;
}

CgroupDetails ReadDetailsV2(const ReadCgroupFile& read) {
  CgroupDetails details;
  const std::string cpu = read("cpu", "cpu.stat").value_or("");
  details.cpu_user_nanos = Times(FieldOf(cpu, "user_usec"), kMicrosecond);
  details.cpu_system_nanos = Times(FieldOf(cpu, "system_usec"), kMicrosecond);
  details.cpu_periods = FieldOf(cpu, "nr_periods");
  details.cpu_throttled_periods = FieldOf(cpu, "nr_throttled");
  details.cpu_throttled_nanos = Times(FieldOf(cpu, "throttled_usec"), kMicrosecond);
  const std::string memory = read("memory", "memory.stat").value_or("");
  details.memory_cache = FieldOf(memory, "file");
  details.memory_mapped_file = FieldOf(memory, "file_mapped");
  details.memory_kernel = FieldOf(memory, "kernel");  // since Linux 5.18
  details.page_faults = FieldOf(memory, "pgfault");
  details.major_page_faults = FieldOf(memory, "pgmajfault");
  details.memory_swap = NumberOf(read("memory", "memory.swap.current"));
  details.memory_max_usage = NumberOf(read("memory", "memory.peak"));  // since Linux 5.19
  const std::string events = read("memory", "memory.events").value_or("");
  details.memory_failcnt = FieldOf(events, "max");
  details.oom_kills = FieldOf(events, "oom_kill");
  details.threads = NumberOf(read("pids", "pids.current"));
  details.threads_max = LimitOf(read("pids", "pids.max"));
  TrafficByDevice devices;
  AddV2Traffic(read("io", "io.stat"), devices);
  details.devices = ListOf(devices);
  return details;
}

}  // namespace interlink::engine
