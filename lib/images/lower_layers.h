// LowerLayers: what a folder looks like below a layer, through the overlay whiteouts of the
// unpacked layers. A layer may hold "a/b/file" without entries for "a" and "a/b": its unpacked form
// then gets these folders with the metadata that the lower layers give them, or the overlay would
// show others. Thread-safe (reads only).
#ifndef INTERLINK_IMAGES_LOWER_LAYERS_H_
#define INTERLINK_IMAGES_LOWER_LAYERS_H_

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "base/unique_fd.h"

namespace interlink::images {

// Metadata of a folder. The default is what runtimes give to a folder that nobody describes.
struct FolderMeta {
  mode_t mode = 0755;
  uid_t uid = 0;
  gid_t gid = 0;
  timespec modified{};

  // The time does not count: it does not make a different image.
  bool SameAs(const FolderMeta& other) const {
    return mode == other.mode && uid == other.uid && gid == other.gid;
  }
};

class LowerLayers {
 public:
  // `folders`: roots of unpacked layers, lowest first; may be empty.
  static Result<LowerLayers> Open(const std::vector<std::string>& folders);

  // Nothing when no lower layer shows a folder at `path` (relative, from EntryPath).
  // kInvalidArgument: the lower layers have something else there, e.g. a symbolic link.
  Result<std::optional<FolderMeta>> Find(const std::string& path) const;

 private:
  std::vector<UniqueFd> layers_;  // highest first
};

}  // namespace interlink::images

#endif  // INTERLINK_IMAGES_LOWER_LAYERS_H_
