#include "engine/host_mounts.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "base/file.h"
#include "engine/idmapped_mounts.h"
#include "engine/list_folder.h"

namespace interlink::engine {
namespace {

Status MakePlace(const HostMount& mount) {
  struct stat about {};
  if (fstat(mount.source.get(), &about) != 0) return ErrnoStatus(errno, "stat a host path");
  if (S_ISDIR(about.st_mode)) return MakeDirectories(mount.place, 0700);
  const UniqueFd file(open(mount.place.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  if (!file) return ErrnoStatus(errno, "create \"" + mount.place + "\"");
  return {};
}

}  // namespace

Result<UniqueFd> OpenResolved(const std::string& resolved) {
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_NO_SYMLINKS;
  UniqueFd fd(static_cast<int>(syscall(SYS_openat2, AT_FDCWD, resolved.c_str(), &how, sizeof how)));
  if (fd) return fd;
  if (errno == ELOOP) return Unavailable("host path \"" + resolved + "\" has just become a link");
  return ErrnoStatus(errno, "open host path \"" + resolved + "\"");
}

Status AttachHostMounts(const std::string& folder, const std::vector<HostMount>& mounts) {
  if (mounts.empty()) return {};
  RETURN_IF_ERROR(MakeDirectories(folder, 0700));
  for (const HostMount& mount : mounts) {
    RETURN_IF_ERROR(MakePlace(mount));
    const UniqueFd tree(
        open_tree(mount.source.get(), "",
                  OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_RECURSIVE));
    if (!tree) return ErrnoStatus(errno, "clone a host path's mount");
    mount_attr attributes{};
    attributes.propagation = MS_PRIVATE;
    if (mount_setattr(tree.get(), "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes,
                      sizeof attributes) != 0) {
      return ErrnoStatus(errno, "make a host path's mount private");
    }
    if (!mount.user_namespace.empty()) {
      RETURN_IF_ERROR(MapOwners(tree.get(), mount.user_namespace).WithContext("a host path"));
    }
    if (move_mount(tree.get(), "", AT_FDCWD, mount.place.c_str(), MOVE_MOUNT_F_EMPTY_PATH) != 0) {
      return ErrnoStatus(errno, "mount on \"" + mount.place + "\"");
    }
  }
  return {};
}

Status DetachHostMounts(const std::string& folder) {
  const auto names = ListFolder(folder);
  if (names.status().code() == Code::kNotFound) return {};
  if (!names.ok()) return names.status();
  for (const std::string& name : *names) {
    const std::string place = folder + "/" + name;
    if (umount2(place.c_str(), UMOUNT_NOFOLLOW | MNT_DETACH) != 0 && errno != EINVAL) {
      return ErrnoStatus(errno, "unmount \"" + place + "\"");
    }
  }
  return {};
}

}  // namespace interlink::engine
