// The inside of a container's root, as the daemon sees it before the container runs. The image made
// it: every path is resolved as if the root were "/" (openat2, RESOLVE_IN_ROOT), links included.
#ifndef INTERLINK_ENGINE_ROOTFS_H_
#define INTERLINK_ENGINE_ROOTFS_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"
#include "base/unique_fd.h"

namespace interlink::engine {

// Not thread-safe with a container that runs in it.
class Rootfs {
 public:
  // `owner`: user and group of what is made.
  static Result<Rootfs> Open(const std::string& path, uint32_t owner = 0);

  // A regular file of at most `limit` bytes; absent is "".
  Result<std::string> Read(const std::string& path, size_t limit) const;
  // O_PATH of a folder; "" is the root. kInvalidArgument: there is none, and what is there instead.
  Result<UniqueFd> OpenFolder(const std::string& path) const;
  // Makes the folder with its parents (0755) where it is missing. Answers its path on the host,
  // which lies below the root. kInvalidArgument: something else is there, or it is no absolute
  // path.
  Result<std::string> MakeFolder(std::string_view path) const;

 private:
  Rootfs(std::string path, UniqueFd root, uint32_t owner)
      : path_(std::move(path)), root_(std::move(root)), owner_(owner) {}
  std::string path_;
  UniqueFd root_;
  uint32_t owner_;
};

}  // namespace interlink::engine

#endif  // INTERLINK_ENGINE_ROOTFS_H_
