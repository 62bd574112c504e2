// Sysctls of new namespaces. Only what such a namespace owns can be set, never a setting of the
// host.
#ifndef INTERLINK_CMD_SHIM_SYSCTL_H_
#define INTERLINK_CMD_SHIM_SYSCTL_H_

#include "system.h"

namespace interlink::shim {

// `setting`: "NAME=VALUE". `flags`: CLONE_NEW* of the namespaces made. EINVAL: not a setting, or of
// a namespace that is not new.
Outcome CheckSysctl(const char* setting, int flags);

// Checks, then writes it below /proc/sys. REQUIRES: the calling process is in the new namespaces.
Outcome WriteSysctl(const char* setting, int flags);

}  // namespace interlink::shim

#endif  // INTERLINK_CMD_SHIM_SYSCTL_H_
