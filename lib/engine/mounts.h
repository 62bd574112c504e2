// Mounts that the daemon makes for pods, in the host's mount namespace. Thread-safe.
#ifndef INTERLINK_ENGINE_MOUNTS_H_
#define INTERLINK_ENGINE_MOUNTS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"

namespace interlink::engine {

struct Overlay {
  std::vector<std::string> layers;  // lowest first, at least one
  std::string upper;
  std::string work;
  std::string target;
  // Its marks are attributes that an ordinary user may set (user.overlay.*).
  bool user_attributes = false;
};

// Any number of layers: their descriptors stand for paths that the option page cannot hold.
Status MountOverlay(const Overlay& overlay);

// The layers alone, read-only, without devices and set-user-id; lowest first, at least one.
// `empty`: a folder with nothing in it, which the kernel wants below a single layer.
// `user_attributes`: as of Overlay.
Status MountLayers(std::vector<std::string> layers, const std::string& empty,
                   const std::string& target, bool user_attributes);

// Mounts the folder, which it makes, on itself, alone: what is mounted in it appears nowhere else,
// and a mount that is connected keeps its own connections only.
Status MakePrivateMount(const std::string& folder);

Status MountTmpfs(const std::string& target, uint64_t bytes);

// Unmounts what is on `target`, however often; nothing there is OK.
Status Unmount(const std::string& target);

// True when `path` is the root of a mount.
Result<bool> IsMountPoint(const std::string& path);

}  // namespace interlink::engine

#endif  // INTERLINK_ENGINE_MOUNTS_H_
