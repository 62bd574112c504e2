// The cgroup of a container, as far as the shim needs it: its memory kills, and what lives in it.
#ifndef INTERLINK_CMD_SHIM_CGROUP_H_
#define INTERLINK_CMD_SHIM_CGROUP_H_

#include <sys/types.h>

#include <cstdint>

#include "system.h"

namespace interlink::shim {

class Cgroup {
 public:
  // Learns where `pid` is. A process that shares its cgroup with the shim has none of its own.
  void Find(pid_t pid);

  // How many processes of it the kernel killed for memory; 0 when that cannot be read.
  uint64_t OomKills() const;
  // Signals every process in it and below it, once. False: it has none of its own. `seen`: how many
  // processes there were.
  bool SignalAll(int number, size_t& seen) const;
  // KILLs until nothing is left, for at most a tenth of a second.
  void KillAll() const;

 private:
  static constexpr size_t kMaxPath = 3000;
  bool FindIn(std::string_view text, std::string_view own, std::string_view controller);

  char path_[kMaxPath + 1] = {};  // its directory; empty: none of its own
  bool unified_ = false;          // cgroup v2
};

}  // namespace interlink::shim

#endif  // INTERLINK_CMD_SHIM_CGROUP_H_
