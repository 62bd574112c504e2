// What a container mounts, held from the check of its policy until the runtime has mounted it: the
// runtime takes a path, and what a path leads to can change in between.
#ifndef INTERLINK_ENGINE_HOST_MOUNTS_H_
#define INTERLINK_ENGINE_HOST_MOUNTS_H_

#include <string>
#include <vector>

#include "base/status.h"
#include "base/unique_fd.h"

namespace interlink::engine {

// How a clone stays connected with what it was cloned from.
enum class Connection {
  kNone,
  kFromSource,  // what is mounted in the source appears in the clone
  kBothWays,
};

struct HostMount {
  UniqueFd source;    // O_PATH
  std::string place;  // where the runtime finds it: an entry of a folder of the container's own
  Connection connection = Connection::kNone;
  bool read_only = false;  // the clone, with what is mounted below it; the source stays as it is
  // A pinned user namespace: owners are shown as it has them, but not of what is mounted below.
  std::string user_namespace;
};

// `resolved`: absolute, without links. kUnavailable: a link has come into it since.
Result<UniqueFd> OpenResolved(const std::string& resolved);

// Mounts each source, with what is mounted below it, on its place, whose folder is `folder`; makes
// both. Nobody but the runtime sees these mounts, and of an unconnected clone nothing reaches its
// source.
Status AttachHostMounts(const std::string& folder, const std::vector<HostMount>& mounts);

// Undoes it, also partly done, also after a crash; absent is OK. What a container has mounted from
// there stays its, and what is mounted in the sources stays theirs.
Status DetachHostMounts(const std::string& folder);

// True when this kernel can make a clone read-only with all that is below it. Tries it, on a mount
// that nobody sees.
bool CanMountRecursivelyReadOnly();

}  // namespace interlink::engine

#endif  // INTERLINK_ENGINE_HOST_MOUNTS_H_
