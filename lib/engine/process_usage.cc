#include "engine/process_usage.h"

#include <unistd.h>

#include <charconv>
#include <filesystem>
#include <string>
#include <system_error>
#include <vector>

namespace interlink::engine {
namespace {

constexpr uint64_t kNanosOfStatSecond = 1'000'000'000;

// The process whose folder in /proc is `name`; nothing: it is none.
std::optional<pid_t> ProcessNamed(const std::string& name) {
  pid_t pid = 0;
  const auto parsed = std::from_chars(name.data(), name.data() + name.size(), pid);
  if (parsed.ec != std::errc() || parsed.ptr != name.data() + name.size()) return std::nullopt;
  return pid;
}

}  // namespace

MeasuredProcess MeasureProcess(const shim::ProcessStat& stat, uint64_t ticks, uint64_t page_size) {
  MeasuredProcess process;
  process.parent = stat.parent;
  process.own.cpu_nanos = stat.cpu_ticks * (kNanosOfStatSecond / ticks);
  process.own.rss_bytes = stat.rss_pages * page_size;
  process.own.page_faults = stat.minor_faults + stat.major_faults;
  process.own.major_page_faults = stat.major_faults;
  process.own.processes = 1;
  return process;
}

ProcessTable ProcessTable::Read() {
  const auto ticks = static_cast<uint64_t>(sysconf(_SC_CLK_TCK));
  const auto page_size = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  std::map<pid_t, MeasuredProcess> processes;
  std::error_code error;
  std::filesystem::directory_iterator it("/proc", error);
  for (; !error && it != std::filesystem::directory_iterator(); it.increment(error)) {
    const auto pid = ProcessNamed(it->path().filename().string());
    shim::ProcessStat stat;
    if (!pid || !shim::ReadProcessStat(*pid, stat)) continue;
    processes.emplace(*pid, MeasureProcess(stat, ticks, page_size));
  }
  return ProcessTable(processes);
}

ProcessTable::ProcessTable(const std::map<pid_t, MeasuredProcess>& processes)
    : processes_(processes) {
  for (const auto& [pid, stat] : processes_) children_.emplace(stat.parent, pid);
}

std::optional<ProcessUsage> ProcessTable::Below(pid_t first) const {
  if (processes_.count(first) == 0) return std::nullopt;
  ProcessUsage sum;
  std::vector<pid_t> open = {first};
  // Each process has one parent, so none is met twice.
  while (!open.empty()) {
    const pid_t pid = open.back();
    open.pop_back();
    const ProcessUsage& own = processes_.at(pid).own;
    sum.cpu_nanos += own.cpu_nanos;
    sum.rss_bytes += own.rss_bytes;
    sum.page_faults += own.page_faults;
    sum.major_page_faults += own.major_page_faults;
    sum.processes += own.processes;
    const auto [begin, end] = children_.equal_range(pid);
    for (auto child = begin; child != end; ++child) {
      // A table that was read while processes moved may name one as its own ancestor.
      if (sum.processes + open.size() > processes_.size()) break;
      open.push_back(child->second);
    }
  }
  return sum;
}

}  // namespace interlink::engine
