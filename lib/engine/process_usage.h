// What the processes of a container use, counted from /proc: where there is no cgroup of its own.
#ifndef INTERLINK_ENGINE_PROCESS_USAGE_H_
#define INTERLINK_ENGINE_PROCESS_USAGE_H_

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>

#include "shim/process_stat.h"

namespace interlink::engine {

struct ProcessUsage {
  // Of those that live, and of those that were waited for by one that lives. It falls when a
  // process lets its children go without waiting for them.
  uint64_t cpu_nanos = 0;
  uint64_t rss_bytes = 0;  // pages that several share are counted for each
  uint64_t page_faults = 0;
  uint64_t major_page_faults = 0;
  uint64_t processes = 0;
};

struct MeasuredProcess {
  pid_t parent = 0;
  ProcessUsage own;
};

// `ticks` of processor time are a second. REQUIRES: ticks > 0. Pure.
MeasuredProcess MeasureProcess(const shim::ProcessStat& stat, uint64_t ticks, uint64_t page_size);

// One look at all processes that this one sees. Value type.
class ProcessTable {
 public:
  // Processes that end meanwhile are left out.
  static ProcessTable Read();
  explicit ProcessTable(const std::map<pid_t, MeasuredProcess>& processes);

  // Of `first` and all below it; nothing: it is not there.
  std::optional<ProcessUsage> Below(pid_t first) const;

 private:
  std::map<pid_t, MeasuredProcess> processes_;
  std::multimap<pid_t, pid_t> children_;
};

}  // namespace interlink::engine

#endif  // INTERLINK_ENGINE_PROCESS_USAGE_H_
