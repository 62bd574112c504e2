#include "engine/mounts.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/file.h"
#include "base/unique_fd.h"

namespace interlink::engine {
namespace {

constexpr int kMaxUnmounts = 16;

std::string Joined(const std::vector<std::string>& layers) {
  std::string joined;
  for (auto it = layers.rbegin(); it != layers.rend(); ++it) {
    joined += (joined.empty() ? "" : ":") + *it;
  }
  return joined;
}

// Characters that have a meaning in the options of an overlay.
bool IsPlain(const std::string& path) { return path.find_first_of(",:\\") == std::string::npos; }

class ShortPaths {
 public:
  // A path of few plain characters for `path`, valid while this object lives.
  Result<std::string> Add(const std::string& path) {
    UniqueFd fd(open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!fd) return ErrnoStatus(errno, "open \"" + path + "\"");
    const std::string text = "/proc/self/fd/" + std::to_string(fd.get());
    open_.push_back(std::move(fd));
    return text;
  }

 private:
  std::vector<UniqueFd> open_;
};

// Makes all of them fit into the options of one overlay, which are a page.
Status MakeFit(const std::vector<std::string*>& paths, ShortPaths& short_paths) {
  size_t size = 64;
  bool plain = true;
  for (const std::string* path : paths) {
    size += path->size() + 1;
    plain = plain && IsPlain(*path);
  }
  if (plain && size < static_cast<size_t>(sysconf(_SC_PAGESIZE))) return {};
  for (std::string* path : paths) {
    ASSIGN_OR_RETURN(*path, short_paths.Add(*path));
  }
  return {};
}

}  // namespace

Status MountOverlay(const Overlay& overlay) {
  std::vector<std::string> layers = overlay.layers;
  std::string upper = overlay.upper;
  std::string work = overlay.work;
  std::vector<std::string*> paths = {&upper, &work};
  for (std::string& layer : layers) paths.push_back(&layer);
  ShortPaths short_paths;
  RETURN_IF_ERROR(MakeFit(paths, short_paths));
  std::string options = "lowerdir=" + Joined(layers) + ",upperdir=" + upper + ",workdir=" + work;
  if (overlay.user_attributes) options += ",userxattr";
  if (mount("overlay", overlay.target.c_str(), "overlay", 0, options.c_str()) != 0) {
    return ErrnoStatus(errno, "mount the image on \"" + overlay.target + "\"");
  }
  // What a container mounts in it is not for us, also where its mounts are shared.
  if (mount(nullptr, overlay.target.c_str(), nullptr, MS_PRIVATE, nullptr) != 0) {
    return ErrnoStatus(errno, "make \"" + overlay.target + "\" private");
  }
  return {};
}

Status MountLayers(std::vector<std::string> layers, const std::string& empty,
                   const std::string& target, bool user_attributes) {
  // Not a bind of the single layer: its whiteouts would be seen.
  if (layers.size() == 1) layers.insert(layers.begin(), empty);
  std::vector<std::string*> paths;
  for (std::string& layer : layers) paths.push_back(&layer);
  ShortPaths short_paths;
  RETURN_IF_ERROR(MakeFit(paths, short_paths));
  std::string options = "lowerdir=" + Joined(layers);
  if (user_attributes) options += ",userxattr";
  constexpr unsigned long kVolumeFlags = MS_RDONLY | MS_NOSUID | MS_NODEV;
  if (mount("overlay", target.c_str(), "overlay", kVolumeFlags, options.c_str()) != 0) {
    return ErrnoStatus(errno, "mount the layers on \"" + target + "\"");
  }
  return {};
}

Status MakePrivateMount(const std::string& folder) {
  RETURN_IF_ERROR(MakeDirectories(folder, 0700));
  if (mount(folder.c_str(), folder.c_str(), nullptr, MS_BIND, nullptr) != 0) {
    return ErrnoStatus(errno, "mount \"" + folder + "\" on itself");
  }
  if (mount(nullptr, folder.c_str(), nullptr, MS_PRIVATE, nullptr) != 0) {
    return ErrnoStatus(errno, "make \"" + folder + "\" private");
  }
  return {};
}

Status MountTmpfs(const std::string& target, uint64_t bytes) {
  const std::string options = "mode=1777,size=" + std::to_string(bytes);
  if (mount("shm", target.c_str(), "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, options.c_str()) !=
      0) {
    return ErrnoStatus(errno, "mount a tmpfs on \"" + target + "\"");
  }
  return {};
}

Status Unmount(const std::string& target) {
  for (int i = 0; i < kMaxUnmounts; ++i) {
    if (umount2(target.c_str(), UMOUNT_NOFOLLOW) == 0) continue;
    if (errno == EINVAL || errno == ENOENT) return {};
    // Somebody looks at it (a backup, a shell): it goes when they leave, as it does for everybody
    // else now.
    if (errno == EBUSY && umount2(target.c_str(), UMOUNT_NOFOLLOW | MNT_DETACH) == 0) continue;
    return ErrnoStatus(errno, "unmount \"" + target + "\"");
  }
  return InternalError("too many mounts on \"" + target + "\"");
}

Result<bool> IsMountPoint(const std::string& path) {
  struct statx about {};
  if (statx(AT_FDCWD, path.c_str(), AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, 0, &about) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) return false;
    return ErrnoStatus(errno, "stat \"" + path + "\"");
  }
  return (about.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

}  // namespace interlink::engine
