// Host paths that a container mounts, held from the check of their policy until the runtime has
// mounted them: the runtime takes a path, and what a path leads to can change in between.
#ifndef INTERLINK_ENGINE_HOST_MOUNTS_H_
#define INTERLINK_ENGINE_HOST_MOUNTS_H_

#include <string>
#include <vector>

#include "base/status.h"
#include "base/unique_fd.h"

namespace interlink::engine {

struct HostMount {
  UniqueFd source;    // O_PATH
  std::string place;  // where the runtime finds it: an entry of a folder of the container's own
  // A pinned user namespace: owners are shown as it has them, but not of what is mounted below.
  std::string user_namespace;
};

// `resolved`: absolute, without links. kUnavailable: a link has come into it since.
Result<UniqueFd> OpenResolved(const std::string& resolved);

// Mounts each source, with what is mounted below it, on its place, whose folder is `folder`; makes
// both. The clones are private: nothing done to them reaches the sources.
Status AttachHostMounts(const std::string& folder, const std::vector<HostMount>& mounts);

// Undoes it, also partly done, also after a crash; absent is OK. What a container has mounted from
// there stays its.
Status DetachHostMounts(const std::string& folder);

}  // namespace interlink::engine

#endif  // INTERLINK_ENGINE_HOST_MOUNTS_H_
