// The machine's cgroups, v1 (also hybrid) or v2, of one path in every hierarchy. Thread-safe.
#ifndef INTERLINK_ENGINE_CGROUP_H_
#define INTERLINK_ENGINE_CGROUP_H_

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/call.h"
#include "base/status.h"
#include "engine/cgroup_details.h"
#include "engine/oci_spec.h"

namespace interlink::engine {

struct CgroupUsage {
  uint64_t cpu_nanos = 0;
  uint64_t memory_bytes = 0;
  uint64_t working_set_bytes = 0;
  uint64_t rss_bytes = 0;
  uint64_t page_faults = 0;
  uint64_t major_page_faults = 0;
  uint64_t memory_limit = 0;  // 0: none
  uint64_t processes = 0;
};

class Cgroups {
 public:
  // Looks at /sys/fs/cgroup once.
  static Result<Cgroups> Find();
  // No hierarchy at all: nothing is limited, counted or killed, and no call fails.
  static Cgroups None() { return {{}, {}}; }

  bool IsNone() const { return roots_.empty(); }
  const CgroupFeatures& features() const { return features_; }

  // Nothing when the group does not exist. `path` is absolute in each hierarchy.
  Result<std::optional<CgroupUsage>> Usage(const std::string& path) const;
  // Of a group that is there; see CgroupDetails.
  CgroupDetails Details(const std::string& path) const;
  // Its processes and those below it; none when it is not there.
  std::vector<pid_t> Members(const std::string& path) const;
  // KILLs everything in it and below until nothing is left.
  Status Kill(const Call& call, const std::string& path) const;
  // Gives each process in it and below whose score for the OOM killer is `from` the score `to`; one
  // that chose its own keeps it. Absent is OK.
  Status MoveOomScore(const Call& call, const std::string& path, int from, int to) const;
  // Removes it with what is below, in every hierarchy. REQUIRES: no processes. Absent is OK. A
  // group whose last process has just died is busy for moments: tried again for at most 5 s.
  Status Remove(const Call& call, const std::string& path) const;
  // Makes it in every hierarchy; answers the cgroup.procs files.
  Result<std::vector<std::string>> Make(const std::string& path) const;

 private:
  Cgroups(std::vector<std::string> roots, CgroupFeatures features)
      : roots_(std::move(roots)), features_(features) {}
  std::string File(const std::string& controller, const std::string& path,
                   const std::string& name) const;
  Result<std::vector<pid_t>> Processes(const std::string& path) const;

  std::vector<std::string> roots_;  // of the hierarchies
  CgroupFeatures features_;
};

// The cgroup of kubelet's `cgroup_parent` as a path: a ".slice" name is expanded as systemd does.
// kInvalidArgument: it is not absolute or has "..".
Result<std::string> CgroupParentPath(const std::string& cgroup_parent);

}  // namespace interlink::engine

#endif  // INTERLINK_ENGINE_CGROUP_H_
