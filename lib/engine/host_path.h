// Host paths that a pod names: resolved first, then compared by components with what is allowed.
#ifndef INTERLINK_ENGINE_HOST_PATH_H_
#define INTERLINK_ENGINE_HOST_PATH_H_

#include <string>
#include <vector>

#include "base/status.h"

namespace interlink::engine {

// True when `path` is `folder` or below it. Both absolute and without links, "." and "..". Pure.
bool IsWithin(const std::string& path, const std::string& folder);

// `path` with all links resolved. What does not exist yet at its end is kept as it is.
// kInvalidArgument: not absolute, or with ".." behind a part that does not exist.
Result<std::string> ResolveHostPath(const std::string& path);

// The resolved path when it is within one of `allowed` (resolved too). kPermissionDenied names the
// key AllowedHostPaths.
Result<std::string> AllowedHostPath(const std::string& path,
                                    const std::vector<std::string>& allowed);

}  // namespace interlink::engine

#endif  // INTERLINK_ENGINE_HOST_PATH_H_
