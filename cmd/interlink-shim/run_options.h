// What `run` is told, and the children that it has reaped before anybody asked for them.
#ifndef INTERLINK_CMD_SHIM_RUN_OPTIONS_H_
#define INTERLINK_CMD_SHIM_RUN_OPTIONS_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>

#include "mounts.h"

namespace interlink::shim {

struct RunOptions {
  static constexpr size_t kMaxCgroups = 32;
  const char* directory = nullptr;
  const char* id = nullptr;
  const char* bundle = nullptr;
  bool in = false;
  bool in_once = false;
  bool tty = false;
  uint64_t log_limit = uint64_t{1} << 30;
  uint64_t lease_s = 0;       // 0: none; how long the container may live with nobody watching
  uint64_t stream_owner = 0;  // user and group that may reopen the streams of an exec
  const char* cgroups[kMaxCgroups] = {};
  size_t cgroup_count = 0;
  Runtime runtime;
};

// How a child ended, as waitpid(2) says it.
inline int ExitCodeOf(int status) {
  return (status & 0x7f) == 0 ? (status >> 8) & 0xff : 128 + (status & 0x7f);
}
inline int SignalOf(int status) { return status & 0x7f; }

// Children that ended before we knew their pids (crun tells them after it has started them).
class Strays {
 public:
  void Add(pid_t pid, int status) { entries_[next_++ % kMax] = {pid, status}; }
  bool Take(pid_t pid, int& status) {
    for (Entry& entry : entries_) {
      if (entry.pid != pid) continue;
      status = entry.status;
      entry.pid = 0;
      return true;
    }
    return false;
  }
  // REQUIRES: no call of the runtime is under way; pids may be used again from now on.
  void Clear() {
    for (Entry& entry : entries_) entry.pid = 0;
  }

 private:
  struct Entry {
    pid_t pid = 0;
    int status = 0;
  };
  static constexpr size_t kMax = 64;
  Entry entries_[kMax];
  size_t next_ = 0;
};

}  // namespace interlink::shim

#endif  // INTERLINK_CMD_SHIM_RUN_OPTIONS_H_
