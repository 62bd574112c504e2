#include "engine/image_volumes.h"

#include "base/file.h"
#include "engine/host_mounts.h"
#include "engine/idmapped_mounts.h"
#include "engine/mounts.h"
#include "engine/rootfs.h"
#include "runtime/v1/api.pb.h"

namespace interlink::engine {
namespace {

std::string VolumeName(const runtime::v1::Mount& mount) {
  return "mount \"" + mount.container_path() + "\"";
}

Status AttachVolume(const std::vector<std::string>& layers, const std::string& place,
                    const VolumeOwners& owners) {
  const std::string empty = place + ".empty";
  RETURN_IF_ERROR(MakeDirectories(place, 0700));
  RETURN_IF_ERROR(MakeDirectories(empty, 0700));
  if (owners.user_namespace.empty()) {
    return MountLayers(layers, empty, place, owners.user_attributes);
  }
  ASSIGN_OR_RETURN(const auto mapped,
                   AttachMappedLayers(layers, owners.layers_folder, owners.user_namespace));
  RETURN_IF_ERROR(MountLayers(mapped, empty, place, owners.user_attributes));
  return DetachHostMounts(owners.layers_folder);
}

}  // namespace

bool IsImageVolume(const runtime::v1::Mount& mount) { return mount.image().ByteSizeLong() > 0; }

Status ImageVolumeFailure(const Status& why) { return why.WithContext("ImageVolumeMountFailed"); }

Status CheckImageVolume(const runtime::v1::Mount& mount) {
  const auto refused = [&mount](const std::string& why) {
    return ImageVolumeFailure(InvalidArgument(why).WithContext(VolumeName(mount)));
  };
  if (!mount.host_path().empty()) return refused("both host_path and image are set");
  if (mount.image().image().empty()) return refused("image.image is empty");
  if (!mount.readonly()) return refused("an image volume is read-only: readonly must be set");
  if (mount.propagation() != runtime::v1::PROPAGATION_PRIVATE) {
    return refused("an image volume has PROPAGATION_PRIVATE, not " +
                   runtime::v1::MountPropagation_Name(mount.propagation()));
  }
  if (mount.image_sub_path().find('\0') != std::string::npos) {
    return refused("image_sub_path has a zero byte");
  }
  return {};
}

Result<VolumeRoots> AttachVolumes(const VolumeLayers& volumes, const std::string& folder,
                                  const VolumeOwners& owners) {
  VolumeRoots roots;
  if (volumes.empty()) return roots;
  for (const auto& [name, layers] : volumes) {
    if (!layers.empty()) continue;
    return ImageVolumeFailure(FailedPrecondition("image \"" + name + "\" has no layers"));
  }
  RETURN_IF_ERROR(MakePrivateMount(folder));
  for (const auto& [name, layers] : volumes) {
    const std::string place = folder + "/" + std::to_string(roots.size());
    const Status attached = AttachVolume(layers, place, owners);
    if (!attached.ok()) {
      return ImageVolumeFailure(attached.WithContext("image \"" + name + "\""));
    }
    roots[name] = place;
  }
  return roots;
}

Result<UniqueFd> OpenVolume(const std::string& root, const runtime::v1::Mount& mount) {
  ASSIGN_OR_RETURN(const Rootfs image, Rootfs::Open(root));
  auto folder = image.OpenFolder(mount.image_sub_path());
  if (!folder.ok()) {
    return ImageVolumeFailure(
        folder.status().WithContext("image_sub_path").WithContext(VolumeName(mount)));
  }
  return folder;
}

}  // namespace interlink::engine
