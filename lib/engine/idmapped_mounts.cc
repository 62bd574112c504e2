#include "engine/idmapped_mounts.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <set>
#include <sstream>

#include "base/file.h"
#include "base/unique_fd.h"
#include "engine/host_mounts.h"
#include "engine/mounts.h"
#include "engine/shim_client.h"
#include "runtime/v1/api.pb.h"

namespace interlink::engine {
namespace {

constexpr auto kProbe = std::chrono::seconds(10);
constexpr IdRange kProbeRange{200'000, 65'536};

Status AttachMappedLayer(const std::string& layer, const std::string& place,
                         const std::string& namespace_file) {
  RETURN_IF_ERROR(MakeDirectories(place, 0700));
  const UniqueFd tree(open_tree(AT_FDCWD, layer.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
  if (!tree) return ErrnoStatus(errno, "clone the mount of \"" + layer + "\"");
  Status mapped = MapOwners(tree.get(), namespace_file);
  if (!mapped.ok()) return mapped.WithContext("\"" + layer + "\"");
  if (move_mount(tree.get(), "", AT_FDCWD, place.c_str(), MOVE_MOUNT_F_EMPTY_PATH) != 0) {
    return ErrnoStatus(errno, "mount on \"" + place + "\"");
  }
  return {};
}

// The overlay of a pod, with a layer whose file belongs to root: does its root own it inside?
Status ProbeOverlay(const std::string& folder, const std::string& namespace_file) {
  const Overlay overlay{{folder + "/layer"}, folder + "/upper", folder + "/work", folder + "/root"};
  for (const std::string& path : {overlay.layers[0], overlay.upper, overlay.work, overlay.target}) {
    RETURN_IF_ERROR(MakeDirectories(path, 0755));
  }
  RETURN_IF_ERROR(MakeDirectories(overlay.layers[0] + "/file", 0755));
  const std::string layers = folder + "/layers";
  ASSIGN_OR_RETURN(const auto mapped, AttachMappedLayers(overlay.layers, layers, namespace_file));
  RETURN_IF_ERROR(MountOverlay({mapped, overlay.upper, overlay.work, overlay.target}));
  struct stat about {};
  if (stat((overlay.target + "/file").c_str(), &about) != 0) {
    return ErrnoStatus(errno, "stat a file of an overlay");
  }
  if (about.st_uid == kProbeRange.host_id && about.st_gid == kProbeRange.host_id) return {};
  return FailedPrecondition("an overlay does not show the owners that its layers have");
}

Status CleanUp(const ShimClient& shim, const std::string& folder) {
  RETURN_IF_ERROR(Unmount(folder + "/root"));
  RETURN_IF_ERROR(DetachHostMounts(folder + "/layers"));
  RETURN_IF_ERROR(shim.Unpin(Call::WithTimeout(kProbe), folder + "/ns"));
  return RemoveTree(folder);
}

}  // namespace

Status MapOwners(int tree, const std::string& namespace_file) {
  const UniqueFd users(open(namespace_file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!users) return ErrnoStatus(errno, "open the user namespace");
  mount_attr attributes{};
  attributes.attr_set = MOUNT_ATTR_IDMAP;
  attributes.userns_fd = static_cast<uint64_t>(users.get());
  if (mount_setattr(tree, "", AT_EMPTY_PATH, &attributes, sizeof attributes) == 0) return {};
  if (errno != EINVAL) return ErrnoStatus(errno, "map the owners of a mount");
  return FailedPrecondition("its file system cannot show other owners (id-mapped mounts)");
}

Result<std::vector<std::string>> AttachMappedLayers(const std::vector<std::string>& layers,
                                                    const std::string& folder,
                                                    const std::string& namespace_file) {
  std::vector<std::string> places;
  for (const std::string& layer : layers) {
    const std::string place = folder + "/" + std::to_string(places.size());
    RETURN_IF_ERROR(AttachMappedLayer(layer, place, namespace_file));
    places.push_back(place);
  }
  return places;
}

Status RefuseMountsBelow(const std::vector<HostMount>& mounts,
                         const runtime::v1::ContainerConfig& config) {
  if (mounts.empty()) return {};
  ASSIGN_OR_RETURN(const std::string table, ReadFile("/proc/self/mountinfo"));
  std::set<uint64_t> parents;
  std::istringstream lines(table);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    uint64_t id = 0;
    uint64_t parent = 0;
    if (words >> id >> parent) parents.insert(parent);
  }
  for (size_t i = 0; i < mounts.size(); ++i) {
    struct statx about {};
    if (statx(AT_FDCWD, mounts[i].place.c_str(), AT_SYMLINK_NOFOLLOW, STATX_MNT_ID, &about) != 0) {
      return ErrnoStatus(errno, "stat \"" + mounts[i].place + "\"");
    }
    if (parents.count(about.stx_mnt_id) == 0) continue;
    return FailedPrecondition("mount \"" + config.mounts(static_cast<int>(i)).container_path() +
                              "\": its host path has other mounts below it, which a container in a "
                              "user namespace would not see");
  }
  return {};
}

Status GiveToRootOf(const IdRange& users, const std::string& path) {
  if (users.empty() || lchown(path.c_str(), users.host_id, users.host_id) == 0) return {};
  return ErrnoStatus(errno, "give \"" + path + "\" to root of the user namespace");
}

Status ProbeUserNamespaces(const ShimClient& shim, const std::string& folder) {
  RETURN_IF_ERROR(CleanUp(shim, folder));  // of a try that was cut short
  RETURN_IF_ERROR(MakeDirectories(folder + "/ns", 0700));
  PinRequest pin;
  pin.folder = folder + "/ns";
  pin.users = kProbeRange;
  pin.pid = true;
  Status status = shim.Pin(Call::WithTimeout(kProbe), pin);
  if (status.ok()) status = ProbeOverlay(folder, pin.folder + "/user");
  const Status cleaned = CleanUp(shim, folder);
  return status.ok() ? cleaned : status;
}

}  // namespace interlink::engine
