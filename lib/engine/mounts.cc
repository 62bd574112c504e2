#include "engine/mounts.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

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

}  // namespace

Status MountOverlay(const Overlay& overlay) {
  std::vector<std::string> layers = overlay.layers;
  std::string upper = overlay.upper;
  std::string work = overlay.work;
  const bool plain =
      std::all_of(layers.begin(), layers.end(), IsPlain) && IsPlain(upper) && IsPlain(work);
  const size_t size = Joined(layers).size() + upper.size() + work.size() + 64;
  ShortPaths short_paths;
  if (!plain || size >= static_cast<size_t>(sysconf(_SC_PAGESIZE))) {
    for (std::string& layer : layers) {
      ASSIGN_OR_RETURN(layer, short_paths.Add(layer));
    }
    ASSIGN_OR_RETURN(upper, short_paths.Add(upper));
    ASSIGN_OR_RETURN(work, short_paths.Add(work));
  }
  const std::string options =
      "lowerdir=" + Joined(layers) + ",upperdir=" + upper + ",workdir=" + work;
  if (mount("overlay", overlay.target.c_str(), "overlay", 0, options.c_str()) != 0) {
    return ErrnoStatus(errno, "mount the image on \"" + overlay.target + "\"");
  }
  // What a container mounts in it is not for us, also where its mounts are shared.
  if (mount(nullptr, overlay.target.c_str(), nullptr, MS_PRIVATE, nullptr) != 0) {
    return ErrnoStatus(errno, "make \"" + overlay.target + "\" private");
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
