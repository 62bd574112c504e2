// CopyLayer: an unpacked layer of the site's image store -> the form of it that a job can use: a
// layer of an overlay in a user namespace (docs/adr/0010).
#ifndef INTERLINK_PLUGINS_SLURM_COPY_LAYER_H_
#define INTERLINK_PLUGINS_SLURM_COPY_LAYER_H_

#include <string>

#include "base/call.h"
#include "base/status.h"
#include "slurm/file_owner.h"

namespace interlink::slurm {

enum class LayerOwners {
  kOne,   // for jobs of an ordinary user: everything is his
  kKept,  // for jobs of root. REQUIRES: the owner of the copy is root
};

// Makes the folder `to`, in a folder that `owner` may write. In it, for LayerOwners::kOne,
//   - everything is the owner's; modes and times are kept, but for the rights to run as the file's
//     user or group, which would make programs of images the owner's doors; and its owner may read
//     everything, also on a file system where an owner has no more rights than the mode gives
//   - a folder is opaque by "user.overlay.opaque"; whiteouts stay devices 0:0; devices are left out
//   - hard links are kept where the file system can; of extended attributes those in user.* are
// For LayerOwners::kKept users, groups and modes are the layer's own, and file capabilities are
// kept. Several files at once, by threads of its own. Never follows a link, never leaves `from`.
// The call's deadline counts between files and in large ones. Not yet flushed to the disk; on
// failure what was made so far stays. kFailedPrecondition: the file system of `to` cannot hold what
// the layer has, and what that is.
Status CopyLayer(const Call& call, const std::string& from, const std::string& to,
                 const FileOwner& owner, LayerOwners owners);

}  // namespace interlink::slurm

#endif  // INTERLINK_PLUGINS_SLURM_COPY_LAYER_H_
