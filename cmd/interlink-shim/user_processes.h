// What lives in the user namespace of a container that has neither a cgroup nor a pid namespace of
// its own: the processes are the container's.
#ifndef INTERLINK_CMD_SHIM_USER_PROCESSES_H_
#define INTERLINK_CMD_SHIM_USER_PROCESSES_H_

#include <sys/types.h>

#include <cstddef>

#include "system.h"

namespace interlink::shim {

class UserProcesses {
 public:
  // Takes the user namespace of `pid` and pins it onto the file `user` in the current directory, so
  // that Open finds it when we are gone. One that is ours is nobody's own: nothing is taken.
  Outcome Pin(pid_t pid);
  // Takes what Pin has pinned in the current directory. ENOENT: nothing.
  Outcome Open();
  // Undoes Pin.
  static Outcome Unpin();

  // KILLs every process in it, or in a user namespace below it, until nothing is left; at most for
  // a tenth of a second. Whether nothing is left.
  bool KillAll() const;

 private:
  bool Holds(pid_t pid) const;

  Fd namespace_;
};

}  // namespace interlink::shim

#endif  // INTERLINK_CMD_SHIM_USER_PROCESSES_H_
