// A snapshot of a kubelet volume as files, in a folder or file that a container has mounted and may
// change at any moment: nothing is reached through a link.
#ifndef INTERLINK_ENGINE_VOLUME_TREE_H_
#define INTERLINK_ENGINE_VOLUME_TREE_H_

#include <string>

#include "base/status.h"

namespace interlink::v1 {
class VolumeSnapshot;
}

namespace interlink::engine {

// kInvalidArgument: no tree, or one whose paths or links lead out of it. Pure.
Status CheckVolumeTree(const interlink::v1::VolumeSnapshot& snapshot);

// Makes `place` what the snapshot says: new files and folders first, then each link at once, then
// what is not in it goes. So a reader of kubelet's "..data" sees the old contents or the new ones.
// The parent folder of `place` exists and is ours alone. `owned`: files get the snapshot's owners;
// else they are ours. REQUIRES: CheckVolumeTree. kFailedPrecondition: file and folder have changed
// places.
Status WriteVolumeTree(const interlink::v1::VolumeSnapshot& snapshot, const std::string& place,
                       bool owned);

// The same in a place that a container has mounted. Of a file the bytes change, as kubelet does it,
// not the file itself, which the mount would go on showing. kInvalidArgument: file and folder have
// changed places; nothing has changed then. kNotFound: there is nothing. REQUIRES: CheckVolumeTree.
Status ExchangeVolumeTree(const interlink::v1::VolumeSnapshot& snapshot, const std::string& place,
                          bool owned);

}  // namespace interlink::engine

#endif  // INTERLINK_ENGINE_VOLUME_TREE_H_
