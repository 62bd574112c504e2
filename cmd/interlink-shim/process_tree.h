// A process with everything that it started.
#ifndef INTERLINK_CMD_SHIM_PROCESS_TREE_H_
#define INTERLINK_CMD_SHIM_PROCESS_TREE_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>

#include "loop.h"

namespace interlink::shim {

// The members: descendants of the root, and what is in the root's session (a child whose parent
// died belongs to another process by then, but stays in its session).
class ProcessTree {
 public:
  // Stops and then KILLs the tree. REQUIRES: `root` is a child of ours that was not yet reaped, in
  // a session of its own.
  void Kill(pid_t root);
  // Whether all that Kill signalled is gone (zombies of others count as gone). Kills what is found
  // anew in the session.
  bool Gone();

 private:
  struct Member {
    pid_t pid = 0;
    uint64_t start = 0;
  };
  static constexpr size_t kMax = 512;

  bool Has(pid_t pid) const;
  // Adds what /proc shows and signals it with `number`; how many were new.
  size_t Collect(int number);

  pid_t session_ = 0;
  size_t size_ = 0;
  Pages pages_;  // there from the first Kill on
  Member* members_ = nullptr;
};

}  // namespace interlink::shim

#endif  // INTERLINK_CMD_SHIM_PROCESS_TREE_H_
