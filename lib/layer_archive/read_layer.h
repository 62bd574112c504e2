// ReadLayer: an archive of WriteLayer -> a folder that an overlay in a user namespace takes as a
// layer (docs/adr/0010). Thread-safe.
#ifndef INTERLINK_LAYER_ARCHIVE_READ_LAYER_H_
#define INTERLINK_LAYER_ARCHIVE_READ_LAYER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "base/call.h"
#include "base/status.h"

namespace interlink::layer_archive {

// Fills the buffer in part; 0: the end.
using ByteSource = std::function<Result<size_t>(char* buffer, size_t size)>;

// As of the layers that plugins/slurm/copy_layer.h makes.
enum class LayerOwners {
  kOne,   // everything is ours; no set-id bits, no file capabilities; we may read everything
  kKept,  // users, groups, modes and file capabilities are the layer's. REQUIRES: we may set them
};

// Against bombs: as of the image store's.
struct ReadLimits {
  uint64_t max_bytes = 64ULL << 30U;  // of file contents, holes included
  uint64_t max_entries = 4'000'000;
};

// Makes the folder `to`, and everything in it beneath it: an entry is made in the folder that was
// made for it last, never by a path, and a hard link's target is looked for without following a
// link. On failure what was made so far stays. Not yet flushed to the disk. Errors: the source's;
//   kInvalidArgument    an entry that must not be: a name that leaves the layer, a device, ...
//   kDataLoss           cut off, or damaged
//   kResourceExhausted  beyond a limit; no space left
//   kFailedPrecondition the file system of `to` cannot hold what the layer has, and what that is
Status ReadLayer(const Call& call, const ByteSource& source, const std::string& to,
                 LayerOwners owners, const ReadLimits& limits = {});

}  // namespace interlink::layer_archive

#endif  // INTERLINK_LAYER_ARCHIVE_READ_LAYER_H_
