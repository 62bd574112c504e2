#include "engine/host_mounts.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "base/file.h"
#include "engine/idmapped_mounts.h"
#include "engine/list_folder.h"
#include "engine/mounts.h"

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

Result<UniqueFd> Clone(const HostMount& mount) {
  UniqueFd tree(open_tree(mount.source.get(), "",
                          OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_RECURSIVE));
  if (!tree) return ErrnoStatus(errno, "clone a host path's mount");
  mount_attr attributes{};
  // A clone of a shared mount is its peer already.
  if (mount.connection == Connection::kNone) attributes.propagation = MS_PRIVATE;
  if (mount.connection == Connection::kFromSource) attributes.propagation = MS_SLAVE;
  if (mount.read_only) attributes.attr_set = MOUNT_ATTR_RDONLY;
  if (mount_setattr(tree.get(), "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes, sizeof attributes) !=
      0) {
    return ErrnoStatus(errno, "set the attributes of a host path's mount");
  }
  if (!mount.user_namespace.empty()) {
    RETURN_IF_ERROR(MapOwners(tree.get(), mount.user_namespace).WithContext("a host path"));
  }
  return tree;
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
  RETURN_IF_ERROR(MakePrivateMount(folder));
  for (const HostMount& mount : mounts) {
    RETURN_IF_ERROR(MakePlace(mount));
    ASSIGN_OR_RETURN(const UniqueFd clone, Clone(mount));
    if (move_mount(clone.get(), "", AT_FDCWD, mount.place.c_str(), MOVE_MOUNT_F_EMPTY_PATH) != 0) {
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
    // First alone: the end of a connected clone's tree would be the end of its source's.
    if (mount(nullptr, place.c_str(), nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
      if (errno == EINVAL) continue;  // not a mount
      return ErrnoStatus(errno, "make \"" + place + "\" private");
    }
    if (umount2(place.c_str(), UMOUNT_NOFOLLOW | MNT_DETACH) != 0 && errno != EINVAL) {
      return ErrnoStatus(errno, "unmount \"" + place + "\"");
    }
  }
  return Unmount(folder);
}

bool CanMountRecursivelyReadOnly() {
  const UniqueFd tree(open_tree(AT_FDCWD, "/", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
  mount_attr attributes{};
  attributes.attr_set = MOUNT_ATTR_RDONLY;
  struct statvfs about {};
  return tree &&
         mount_setattr(tree.get(), "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes,
                       sizeof attributes) == 0 &&
         fstatvfs(tree.get(), &about) == 0 && (about.f_flag & ST_RDONLY) != 0;
}

}  // namespace interlink::engine
