#include "images/layer_writer.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cstring>
#include <utility>

#include "base/beneath.h"
#include "images/layer_path.h"

namespace interlink::images {
namespace {

constexpr int kSecure = ARCHIVE_EXTRACT_SECURE_SYMLINKS | ARCHIVE_EXTRACT_SECURE_NODOTDOT |
                        ARCHIVE_EXTRACT_SECURE_NOABSOLUTEPATHS;

int DiskFlags() {
  int flags = kSecure | ARCHIVE_EXTRACT_NO_AUTODIR | ARCHIVE_EXTRACT_PERM | ARCHIVE_EXTRACT_TIME |
              ARCHIVE_EXTRACT_XATTR;
  // Without root every file is the site's own user's, as the engine's user namespace expects.
  if (::geteuid() == 0) flags |= ARCHIVE_EXTRACT_OWNER;
  return flags;
}

bool KeepsAttribute(const char* name) {
  return std::strcmp(name, "security.capability") == 0 ||
         (std::strncmp(name, "user.", 5) == 0 && std::strncmp(name, "user.overlay.", 13) != 0);
}

void FilterAttributes(archive_entry* entry) {
  std::vector<std::pair<std::string, std::string>> kept;
  const char* name = nullptr;
  const void* value = nullptr;
  size_t size = 0;
  archive_entry_xattr_reset(entry);
  while (archive_entry_xattr_next(entry, &name, &value, &size) == ARCHIVE_OK) {
    if (name != nullptr && KeepsAttribute(name))
      kept.emplace_back(name, std::string(static_cast<const char*>(value), size));
  }
  archive_entry_xattr_clear(entry);
  for (const auto& [key, bytes] : kept)
    archive_entry_xattr_add_entry(entry, key.c_str(), bytes.data(), bytes.size());
}

// Without root the site has no more rights to its files than their modes give: it must be able to
// read what it has unpacked, and to remove it.
void LetOwnerIn(archive_entry* entry, bool folder) {
  if (::geteuid() == 0 || archive_entry_filetype(entry) == AE_IFLNK) return;
  archive_entry_set_perm(entry, archive_entry_perm(entry) | (folder ? S_IRWXU : S_IRUSR));
}

const char* OverlayOpaque() {
  return ::geteuid() == 0 ? "trusted.overlay.opaque" : "user.overlay.opaque";
}

}  // namespace

LayerWriter::LayerWriter(const LowerLayers& lowers)
    : lowers_(lowers), disk_(archive_write_disk_new()) {
  archive_write_disk_set_options(disk_, DiskFlags());
  folders_.insert("");
}

LayerWriter::~LayerWriter() { archive_write_free(disk_); }

Result<bool> LayerWriter::Begin(archive_entry* entry) {
  const std::string name = archive_entry_pathname(entry);
  where_ = QuotedEntry(name);
  ASSIGN_OR_RETURN(const std::string path, EntryPath(name));
  ASSIGN_OR_RETURN(const WhiteoutName whiteout, ParseWhiteout(path));
  if (whiteout.kind == Whiteout::kMetadata) return false;
  RETURN_IF_ERROR(MakeParents(path, where_));
  if (whiteout.kind == Whiteout::kOpaque) {
    RETURN_IF_ERROR(HideAll(whiteout.target, where_));
    return false;
  }
  if (whiteout.kind == Whiteout::kFile) {
    RETURN_IF_ERROR(HideFile(whiteout.target, where_));
    return false;
  }
  RETURN_IF_ERROR(CheckKind(entry, where_));
  const bool hard_link = archive_entry_hardlink(entry) != nullptr;
  const bool folder = !hard_link && archive_entry_filetype(entry) == AE_IFDIR;
  if (path.empty() && !folder)
    return InvalidArgument(where_ + " would replace the layer's root by something else");
  RETURN_IF_ERROR(ReplaceWhiteout(path, folder));
  if (hard_link) {
    RETURN_IF_ERROR(PrepareHardLink(entry, where_));
  } else {
    LetOwnerIn(entry, folder);
  }
  FilterAttributes(entry);
  archive_entry_set_pathname(entry, path.empty() ? "." : path.c_str());
  implied_.erase(path);
  if (folder) {
    folders_.insert(path);
  } else {
    folders_.erase(path);
  }
  if (archive_write_header(disk_, entry) != ARCHIVE_OK) {
    const int error = archive_errno(disk_);
    if (error == ENOSPC || error == EDQUOT) return ErrnoStatus(error, "make " + where_);
    return InvalidArgument(where_ + " cannot be unpacked: " + archive_error_string(disk_));
  }
  open_ = true;
  return !hard_link && archive_entry_filetype(entry) == AE_IFREG;
}

Status LayerWriter::Data(const void* block, size_t size, int64_t offset) {
  if (archive_write_data_block(disk_, block, size, offset) < ARCHIVE_OK)
    return ErrnoStatus(archive_errno(disk_), "write " + where_);
  return {};
}

Status LayerWriter::End() {
  if (!std::exchange(open_, false)) return {};
  if (archive_write_finish_entry(disk_) != ARCHIVE_OK)
    return ErrnoStatus(archive_errno(disk_),
                       where_ + " cannot be finished (" + archive_error_string(disk_) + ")");
  return {};
}

Result<std::vector<ImpliedFolder>> LayerWriter::Finish() {
  // Sets the times of the folders that entries described.
  if (archive_write_close(disk_) != ARCHIVE_OK) {
    return ErrnoStatus(archive_errno(disk_), std::string("finish the layer's folders (") +
                                                 archive_error_string(disk_) + ")");
  }
  std::vector<ImpliedFolder> out;
  for (const auto& [path, meta] : implied_) {
    // Never by path: whatever an entry put there must not be followed out of the layer.
    const auto folder = OpenBeneath(AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (!folder.ok()) return folder.status().WithContext("finish " + QuotedEntry(path));
    if (::fchmod(folder->get(), meta.mode) != 0)
      return ErrnoStatus(errno, "set the mode of " + QuotedEntry(path));
    const timespec times[2] = {meta.modified, meta.modified};
    if (::futimens(folder->get(), times) != 0)
      return ErrnoStatus(errno, "set the time of " + QuotedEntry(path));
    out.push_back({path, meta});
  }
  return out;
}

// No component above an entry may be anything but a folder of this layer.
Status LayerWriter::MakeParents(const std::string& path, const std::string& where) {
  for (size_t slash = path.find('/'); slash != std::string::npos;
       slash = path.find('/', slash + 1)) {
    const std::string folder = path.substr(0, slash);
    if (folders_.count(folder) == 0) RETURN_IF_ERROR(MakeImplied(folder, where));
  }
  return {};
}

Status LayerWriter::MakeImplied(const std::string& folder, const std::string& where) {
  struct stat about {};
  const bool whiteout = whiteouts_.count(folder) != 0;
  if (::lstat(folder.c_str(), &about) == 0 && !whiteout) {
    return InvalidArgument(where + " goes through " + QuotedEntry(folder) +
                           ", which is no folder of this layer");
  }
  FolderMeta meta;
  if (!whiteout) {
    auto below = lowers_.Find(folder);
    if (!below.ok()) return below.status().WithContext(where);
    meta = below->value_or(FolderMeta());
  }
  RETURN_IF_ERROR(ReplaceWhiteout(folder, /*by_folder=*/true));
  if (::mkdir(folder.c_str(), 0700) != 0) return ErrnoStatus(errno, "make " + QuotedEntry(folder));
  if (whiteout) RETURN_IF_ERROR(SetOpaque(folder));
  if (::geteuid() == 0 && ::lchown(folder.c_str(), meta.uid, meta.gid) != 0)
    return ErrnoStatus(errno, "set the owner of " + QuotedEntry(folder));
  ++implied_made_;
  folders_.insert(folder);
  implied_.emplace(folder, meta);
  return {};
}

Status LayerWriter::CheckKind(archive_entry* entry, const std::string& where) const {
  if (archive_entry_hardlink(entry) != nullptr) return {};
  switch (archive_entry_filetype(entry)) {
    case AE_IFREG:
    case AE_IFDIR:
    case AE_IFLNK:
    case AE_IFIFO:
      return {};
    case AE_IFCHR:
    case AE_IFBLK:
      if (::geteuid() == 0) return {};
      return InvalidArgument(where + " is a device node, which only root can make");
    default:
      return InvalidArgument(where + " is of a kind that images cannot have");
  }
}

// The link and what it names must be inside this layer, reached through folders only.
Status LayerWriter::PrepareHardLink(archive_entry* entry, const std::string& where) {
  const std::string name = archive_entry_hardlink(entry);
  auto target = EntryPath(name);
  if (!target.ok()) return target.status().WithContext(where + " is a hard link");
  const auto opened = OpenBeneath(AT_FDCWD, *target, O_PATH | O_NOFOLLOW);
  if (!opened.ok() || whiteouts_.count(*target) != 0) {
    return InvalidArgument(where + " is a hard link to \"" + *target +
                           "\", which is not in this layer");
  }
  archive_entry_set_hardlink(entry, target->c_str());
  archive_entry_unset_size(entry);  // or libarchive would empty the file that is linked to
  return {};
}

// An entry at the place of a whiteout of the same layer: both hold, for what is below.
Status LayerWriter::ReplaceWhiteout(const std::string& path, bool by_folder) {
  if (whiteouts_.erase(path) == 0) return {};
  if (::unlink(path.c_str()) != 0) return ErrnoStatus(errno, "replace the whiteout of " + path);
  if (!by_folder) return {};
  // A new folder would let the contents of the hidden one show again.
  if (::mkdir(path.c_str(), 0700) != 0) return ErrnoStatus(errno, "make " + QuotedEntry(path));
  return SetOpaque(path);
}

Status LayerWriter::HideFile(const std::string& path, const std::string& where) {
  struct stat about {};
  if (::lstat(path.c_str(), &about) == 0) {
    // Whiteouts hide what is below, not what this layer brings itself.
    return folders_.count(path) != 0 ? HideAll(path, where) : Status::Ok();
  }
  if (::mknod(path.c_str(), S_IFCHR, makedev(0, 0)) != 0)
    return ErrnoStatus(errno, "make the whiteout of " + where);
  whiteouts_.insert(path);
  return {};
}

Status LayerWriter::HideAll(const std::string& folder, const std::string& where) {
  if (folders_.count(folder) == 0) RETURN_IF_ERROR(MakeImplied(folder, where));
  return SetOpaque(folder);
}

Status LayerWriter::SetOpaque(const std::string& folder) {
  const char* path = folder.empty() ? "." : folder.c_str();
  root_opaque_ = root_opaque_ || folder.empty();
  if (::setxattr(path, OverlayOpaque(), "y", 1, 0) != 0)
    return ErrnoStatus(errno, "mark " + QuotedEntry(folder) + " as opaque");
  return {};
}

}  // namespace interlink::images
