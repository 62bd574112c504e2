// The cgroup of a container, as far as the shim needs it: its memory kills, and what lives in it.
#ifndef INTERLINK_CMD_SHIM_CGROUP_H_
#define INTERLINK_CMD_SHIM_CGROUP_H_

#include <sys/types.h>

#include <cstdint>

#include "system.h"

namespace interlink::shim {

class Cgroup {
 public:
  // Learns where `pid` is. A process that shares its cgroup with the shim, as in a job, has none of
  // its own: then only memory kills count, from now on, and whoever is in that cgroup was killed.
  void Find(pid_t pid);
  // It has one of its own.
  bool found() const { return path_[0] != '\0' && !shared_; }
  bool shared() const { return shared_; }
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
  uint64_t ReadOomKills() const;

  char path_[kMaxPath + 1] = {};  // its directory; empty: none
  bool unified_ = false;          // cgroup v2
  bool shared_ = false;           // the shim is in it too
  uint64_t before_ = 0;           // kills before it was found, where it is shared
};

}  // namespace interlink::shim

#endif  // INTERLINK_CMD_SHIM_CGROUP_H_
