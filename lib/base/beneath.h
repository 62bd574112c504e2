// Opening inside a folder whose contents others made: never above it, never through a symbolic
// link, never onto another mount (openat2). Thread-safe.
#ifndef INTERLINK_BASE_BENEATH_H_
#define INTERLINK_BASE_BENEATH_H_

#include <string>

#include "base/status.h"
#include "base/unique_fd.h"

namespace interlink {

// `path` relative to the folder `root` (AT_FDCWD is allowed); a link as the last component is
// opened itself with O_PATH | O_NOFOLLOW. kNotFound: absent, also when a component on the way is no
// folder or is a link.
Result<UniqueFd> OpenBeneath(int root, const std::string& path, int flags);

// "/proc/self/fd/N": for calls that take no O_PATH descriptor.
std::string ProcPath(int fd);

}  // namespace interlink

#endif  // INTERLINK_BASE_BENEATH_H_
