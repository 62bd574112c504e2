// The images that a container has as volumes. Each is mounted, whole, where only the daemon sees
// it, while the container is created: the container gets clones of folders in it, and they keep it.
#ifndef INTERLINK_ENGINE_IMAGE_VOLUMES_H_
#define INTERLINK_ENGINE_IMAGE_VOLUMES_H_

#include <map>
#include <string>
#include <vector>

#include "base/status.h"
#include "base/unique_fd.h"

namespace runtime::v1 {
class Mount;
}

namespace interlink::engine {

// By the name that mounts have for the image (mounts.image.image).
using VolumeLayers = std::map<std::string, std::vector<std::string>>;  // lowest first
using VolumeRoots = std::map<std::string, std::string>;                // where it is mounted

// True when the mount asks for an image. An empty message asks for nothing.
bool IsImageVolume(const runtime::v1::Mount& mount);

// `why`, behind the word by which kubelet knows such a failure.
Status ImageVolumeFailure(const Status& why);

// kInvalidArgument: fields that contradict each other, or what an image volume cannot be. Pure.
Status CheckImageVolume(const runtime::v1::Mount& mount);

// Who sees an image's layers: how a pod's user namespace shows the owners of its files.
struct VolumeOwners {
  std::string user_namespace;    // pinned; empty: as they are on disk
  std::string layers_folder;     // for the layers' mounts, while they are needed
  bool user_attributes = false;  // the layers' marks are ones that an ordinary user may set
};

// Mounts each image below `folder`, which it makes: its layers together, read-only, where devices
// cannot be opened and set-user-id bits mean nothing; so are clones of it. Undone, also partly
// done, also after a crash, by DetachHostMounts of both folders. kFailedPrecondition: an image has
// no layers, or its owners cannot be mapped.
Result<VolumeRoots> AttachVolumes(const VolumeLayers& volumes, const std::string& folder,
                                  const VolumeOwners& owners);

// O_PATH of the folder that the mount asks for, in the image that is mounted on `root`: every link
// and ".." in image_sub_path is resolved as if `root` were "/". kInvalidArgument: there is none,
// and what is there instead.
Result<UniqueFd> OpenVolume(const std::string& root, const runtime::v1::Mount& mount);

}  // namespace interlink::engine

#endif  // INTERLINK_ENGINE_IMAGE_VOLUMES_H_
