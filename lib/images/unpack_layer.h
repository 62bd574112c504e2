// UnpackLayer: one blob -> one folder in overlay form. Thread-safe.
//
// Works entry by entry on a thread of its own, whose working directory is the new folder, so that
// no name is ever resolved against anything else. Ids are numeric, set-id bits and
// security.capability are kept, names are bytes. Extended attributes other than security.capability
// and user.* are dropped: trusted.overlay.* would steer the overlay, labels are the host's.
// As root, device nodes are made; without root they are refused by name, and the owner may read
// every file and change every folder, whatever the entry says.
#ifndef INTERLINK_IMAGES_UNPACK_LAYER_H_
#define INTERLINK_IMAGES_UNPACK_LAYER_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/call.h"
#include "base/status.h"
#include "images/digest.h"
#include "images/layer_source.h"
#include "images/lower_layers.h"

namespace interlink::images {

// A folder without an entry of its own, made because something is in it.
struct ImpliedFolder {
  std::string path;
  FolderMeta meta;
};

struct UnpackRequest {
  std::string blob_path;
  std::string target;               // an empty folder
  Digest diff_id;                   // what the unpacked bytes must hash to
  std::vector<std::string> lowers;  // unpacked layers below, lowest first
  UnpackLimits limits;
  uint64_t keep_free = 0;                  // bytes of the target's file system
  std::function<void(uint64_t)> progress;  // unpacked bytes so far
};

struct UnpackedLayer {
  uint64_t bytes = 0;  // of file contents
  uint64_t entries = 0;
  std::vector<ImpliedFolder> implied;
  // The layer hides all layers below it. Overlayfs does not look at the roots of its layers, so
  // who mounts has to leave those below out.
  bool root_opaque = false;
};

// On failure `target` holds what was made so far: the caller removes it. kInvalidArgument: an entry
// that must not be (`entry "../x" leaves its root`); kDataLoss: damaged, cut, or another hash;
// kResourceExhausted: over a limit, or less than `keep_free` would be left. Not yet flushed to the
// disk.
Result<UnpackedLayer> UnpackLayer(const Call& call, const UnpackRequest& request);

}  // namespace interlink::images

#endif  // INTERLINK_IMAGES_UNPACK_LAYER_H_
