#include "images/lower_layers.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "base/beneath.h"
#include "images/layer_path.h"

namespace interlink::images {
namespace {

enum class Seen {
  kNothing,  // this layer says nothing about the path: ask the next one below
  kHidden,   // this layer hides what is below: there is no such folder
  kFolder,
  kOther,
};

bool IsOpaque(const std::string& path_of_fd) {
  char value = 0;
  return (::getxattr(path_of_fd.c_str(), "trusted.overlay.opaque", &value, 1) == 1 &&
          value == 'y') ||
         (::getxattr(path_of_fd.c_str(), "user.overlay.opaque", &value, 1) == 1 && value == 'y');
}

// Walks `path` in one layer. `opaque` tells that a folder on the way hides the layers below.
Result<Seen> Look(int layer, const std::string& path, FolderMeta& meta) {
  bool opaque = false;
  size_t end = 0;
  while (end != std::string::npos) {
    end = path.find('/', end + 1);
    const std::string part = path.substr(0, end);
    const auto opened = OpenBeneath(layer, part, O_PATH | O_NOFOLLOW);
    if (!opened.ok()) {
      if (opened.status().code() != Code::kNotFound) return opened.status();
      return opaque ? Seen::kHidden : Seen::kNothing;
    }
    struct stat about {};
    if (::fstat(opened->get(), &about) != 0) return ErrnoStatus(errno, "stat of a lower layer");
    if (S_ISCHR(about.st_mode) && about.st_rdev == makedev(0, 0)) return Seen::kHidden;
    if (!S_ISDIR(about.st_mode)) return end == std::string::npos ? Seen::kOther : Seen::kHidden;
    if (end == std::string::npos) {
      meta = {about.st_mode & 07777U, about.st_uid, about.st_gid, about.st_mtim};
      return Seen::kFolder;
    }
    opaque = opaque || IsOpaque(ProcPath(opened->get()));
  }
  return Seen::kNothing;
}

}  // namespace

Result<LowerLayers> LowerLayers::Open(const std::vector<std::string>& folders) {
  LowerLayers out;
  for (auto folder = folders.rbegin(); folder != folders.rend(); ++folder) {
    UniqueFd fd(::open(folder->c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!fd) return ErrnoStatus(errno, "open the unpacked layer \"" + *folder + "\"");
    out.layers_.push_back(std::move(fd));
  }
  return out;
}

Result<std::optional<FolderMeta>> LowerLayers::Find(const std::string& path) const {
  FolderMeta meta;
  for (const UniqueFd& layer : layers_) {
    ASSIGN_OR_RETURN(const Seen seen, Look(layer.get(), path, meta));
    if (seen == Seen::kFolder) return std::optional<FolderMeta>(meta);
    if (seen == Seen::kHidden) return std::optional<FolderMeta>();
    if (seen == Seen::kOther)
      return InvalidArgument(QuotedEntry(path) + " is no folder in the layers below");
  }
  return std::optional<FolderMeta>();
}

}  // namespace interlink::images
