// Internal: a file, or a folder with everything in it, as a VolumeSnapshot.
#ifndef INTERLINK_KUBELET_VOLUMES_SNAPSHOT_H_
#define INTERLINK_KUBELET_VOLUMES_SNAPSHOT_H_

#include <string>

#include "base/status.h"
#include "interlink/v1/volume.pb.h"

namespace interlink::kubelet_volumes {

// Entries in the order of their names, so that the same contents have the same bytes. kUnavailable:
// kubelet has exchanged the contents meanwhile. kResourceExhausted: beyond the limits of
// wire/volume_digest.h. kInvalidArgument: it holds what is neither file, folder nor link.
Result<interlink::v1::VolumeSnapshot> TakeSnapshot(const std::string& path);

}  // namespace interlink::kubelet_volumes

#endif  // INTERLINK_KUBELET_VOLUMES_SNAPSHOT_H_
