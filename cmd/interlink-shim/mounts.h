// The mount namespace that crun needs, and crun itself as a child.
#ifndef INTERLINK_CMD_SHIM_MOUNTS_H_
#define INTERLINK_CMD_SHIM_MOUNTS_H_

#include <sys/types.h>

#include <cstddef>

#include "system.h"

namespace interlink::shim {

// On a hybrid-cgroup host, where crun refuses to work while cgroup v2 has controllers: gives the
// calling process a copy of its mount namespace, propagation unchanged, without
// /sys/fs/cgroup/unified. Elsewhere nothing. REQUIRES: the process is about to become crun: nothing
// long-lived may keep such a copy.
Outcome EnterRuntimeMounts();

// An OCI runtime: the program, and its global arguments in front of each command.
struct Runtime {
  char* const* prefix = nullptr;
  size_t prefix_size = 0;
};

struct RuntimeCall {
  static constexpr size_t kMaxArguments = 16;
  const char* arguments[kMaxArguments] = {};
  size_t size = 0;
  int in = -1;  // descriptors of the child; -1: /dev/null
  int out = -1;
  int err = -1;

  void Add(const char* argument) {
    if (size < kMaxArguments) arguments[size++] = argument;
  }
};

// Starts it in a session of its own; its pid, or -1 with errno. An error between fork and exec is
// told on its stderr, exit code 126.
pid_t StartRuntime(const Runtime& runtime, const RuntimeCall& call);

}  // namespace interlink::shim

#endif  // INTERLINK_CMD_SHIM_MOUNTS_H_
