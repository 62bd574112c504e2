// What the files of a container's cgroup say for pod metrics, beside CgroupUsage. Pure: the files
// come from who calls. A file or a line that this kernel does not have leaves its number unset:
// nothing is made up.
#ifndef INTERLINK_ENGINE_CGROUP_DETAILS_H_
#define INTERLINK_ENGINE_CGROUP_DETAILS_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"

namespace interlink::engine {

// What a block device has moved for the container.
struct DeviceTraffic {
  uint32_t major = 0;
  uint32_t minor = 0;
  uint64_t read_bytes = 0;
  uint64_t write_bytes = 0;
  uint64_t reads = 0;
  uint64_t writes = 0;
};

struct CgroupDetails {
  std::optional<uint64_t> cpu_user_nanos;
  std::optional<uint64_t> cpu_system_nanos;
  std::optional<uint64_t> cpu_periods;
  std::optional<uint64_t> cpu_throttled_periods;
  std::optional<uint64_t> cpu_throttled_nanos;
  std::optional<uint64_t> memory_cache;
  std::optional<uint64_t> memory_mapped_file;
  std::optional<uint64_t> memory_swap;
  std::optional<uint64_t> memory_kernel;
  std::optional<uint64_t> memory_max_usage;
  std::optional<uint64_t> memory_failcnt;
  // Of the group alone; those with what is below it are in CgroupUsage. v2 knows no others.
  std::optional<uint64_t> page_faults;
  std::optional<uint64_t> major_page_faults;
  std::optional<uint64_t> oom_kills;
  std::optional<uint64_t> threads;
  std::optional<uint64_t> threads_max;  // 0: no limit
  std::vector<DeviceTraffic> devices;
};

// The text of a file of the group; `controller` names the v1 hierarchy ("memory", "cpu", ...).
using ReadCgroupFile =
    std::function<Result<std::string>(const std::string& controller, const std::string& name)>;

CgroupDetails ReadDetailsV1(const ReadCgroupFile& read);
CgroupDetails ReadDetailsV2(const ReadCgroupFile& read);

// The number behind `key` in lines "key value"; nothing when there is no such line.
std::optional<uint64_t> FieldOf(const std::string& text, const std::string& key);

}  // namespace interlink::engine

#endif  // INTERLINK_ENGINE_CGROUP_DETAILS_H_
