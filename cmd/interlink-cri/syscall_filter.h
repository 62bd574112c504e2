// What the node's daemon can never ask of the kernel, whatever runs in it: it starts no program,
// makes no process, mounts nothing, loads nothing into the kernel, traces nobody and opens no
// socket but of this machine and IP. docs/adr/0020-what-systemd-takes-from-the-daemons.md.
#ifndef INTERLINK_CMD_INTERLINK_CRI_SYSCALL_FILTER_H_
#define INTERLINK_CMD_INTERLINK_CRI_SYSCALL_FILTER_H_

#include "base/log.h"
#include "base/status.h"

namespace interlink::cmd_cri {

// For this process and its threads, those that run already too, for good: such calls fail with
// EPERM, and every call of another architecture ends the process. Sets no_new_privs (seccomp(2)).
// Not OK: the kernel takes no filter.
Status FilterSystemCalls();

// The same, as the daemon does it: what fails is a warning. Not in builds with a sanitizer, whose
// leak check makes a process that traces this one.
void StayWithinSystemCalls(Log& log);

}  // namespace interlink::cmd_cri

#endif  // INTERLINK_CMD_INTERLINK_CRI_SYSCALL_FILTER_H_
