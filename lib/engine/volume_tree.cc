#include "engine/volume_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <set>
#include <string_view>
#include <vector>

#include "base/beneath.h"
#include "base/unique_fd.h"
#include "interlink/v1/volume.pb.h"

namespace interlink::engine {
namespace {

using interlink::v1::VolumeEntry;
using interlink::v1::VolumeSnapshot;

constexpr mode_t kPermissions = 0777;
constexpr const char* kNew = ".interlink-new";  // becomes what it is for by a rename

std::vector<std::string_view> Parts(std::string_view path) {
  std::vector<std::string_view> parts;
  for (size_t at = 0; at <= path.size();) {
    const size_t slash = std::min(path.find('/', at), path.size());
    parts.push_back(path.substr(at, slash - at));
    at = slash + 1;
  }
  return parts;
}

bool IsPart(std::string_view part) {
  return !part.empty() && part != "." && part != ".." && part != kNew &&
         part.find('\0') == std::string_view::npos;
}

std::string ParentOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "" : path.substr(0, slash);
}

std::string NameOf(const std::string& path) { return path.substr(path.rfind('/') + 1); }

Status CheckLink(const VolumeEntry& entry) {
  const std::string& target = entry.link();
  if (!target.empty() && target.front() != '/' && target.find('\0') == std::string::npos) {
    const auto parts = Parts(target);
    const bool inside = std::none_of(parts.begin(), parts.end(),
                                     [](std::string_view part) { return part == ".."; });
    if (inside) return {};
  }
  return InvalidArgument("the link \"" + entry.path() + "\" leads out of its volume: \"" + target +
                         "\"");
}

// Below `root`, through folders only.
Result<UniqueFd> OpenFolder(int root, const std::string& path) {
  auto folder = OpenBeneath(root, path.empty() ? "." : path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (folder.ok()) return folder;
  return folder.status().WithContext("a volume");
}

Status Dress(int fd, const VolumeEntry& entry, bool owned) {
  if (owned && fchown(fd, entry.uid(), entry.gid()) != 0) {
    return ErrnoStatus(errno, "chown \"" + entry.path() + "\" of a volume");
  }
  // After fchown, which takes set-id bits. Ours: we must be able to replace it.
  const mode_t ours = owned ? 0 : (entry.what_case() == VolumeEntry::kFolder ? 0700 : 0400);
  if (fchmod(fd, (entry.mode() & kPermissions) | ours) != 0) {
    return ErrnoStatus(errno, "chmod \"" + entry.path() + "\" of a volume");
  }
  return {};
}

Status WriteAll(int fd, std::string_view bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t written = write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return ErrnoStatus(errno, "write \"" + path + "\" of a volume");
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return {};
}

// What a crash or a container has left under the name that we need.
void ClearNew(int folder) {
  unlinkat(folder, kNew, 0);
  unlinkat(folder, kNew, AT_REMOVEDIR);
}

Status Settle(int folder, const std::string& name, const VolumeEntry& entry) {
  if (renameat(folder, kNew, folder, name.c_str()) == 0) return {};
  const int error = errno;
  ClearNew(folder);
  if (error == EISDIR || error == ENOTDIR) {
    return FailedPrecondition("\"" + entry.path() +
                              "\" of a volume is a folder, and was to be a "
                              "file or link");
  }
  return ErrnoStatus(error, "rename to \"" + entry.path() + "\" of a volume");
}

Status WriteFileAt(int folder, const std::string& name, const VolumeEntry& entry, bool owned) {
  ClearNew(folder);
  const UniqueFd file(
      openat(folder, kNew, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file) return ErrnoStatus(errno, "make \"" + entry.path() + "\" of a volume");
  RETURN_IF_ERROR(WriteAll(file.get(), entry.file(), entry.path()));
  RETURN_IF_ERROR(Dress(file.get(), entry, owned));
  return Settle(folder, name, entry);
}

Status WriteLinkAt(int folder, const std::string& name, const VolumeEntry& entry) {
  ClearNew(folder);
  if (symlinkat(entry.link().c_str(), folder, kNew) != 0) {
    return ErrnoStatus(errno, "make the link \"" + entry.path() + "\" of a volume");
  }
  return Settle(folder, name, entry);
}

Status MakeFolderAt(int folder, const std::string& name, const VolumeEntry& entry, bool owned) {
  if (mkdirat(folder, name.c_str(), 0700) != 0 && errno != EEXIST) {
    return ErrnoStatus(errno, "make \"" + entry.path() + "\" of a volume");
  }
  ASSIGN_OR_RETURN(const UniqueFd made, OpenFolder(folder, name));
  return Dress(made.get(), entry, owned);
}

Result<std::vector<std::string>> NamesIn(int folder) {
  const int copy = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (copy < 0) return ErrnoStatus(errno, "open a folder of a volume");
  const std::unique_ptr<DIR, int (*)(DIR*)> list(fdopendir(copy), closedir);
  if (list == nullptr) {
    close(copy);
    return ErrnoStatus(errno, "list a folder of a volume");
  }
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = readdir(list.get())) {  // NOLINT: the stream is ours alone
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  if (errno != 0) return ErrnoStatus(errno, "list a folder of a volume");
  return names;
}

// Everything below `folder` that is not in `kept`; paths are relative to the root.
Status Prune(int folder, const std::string& path, const std::set<std::string>& kept, int depth) {
  constexpr int kDeepest = 64;
  if (depth > kDeepest) return FailedPrecondition("a container made folders of a volume too deep");
  ASSIGN_OR_RETURN(const auto names, NamesIn(folder));
  for (const std::string& name : names) {
    const std::string inner = path.empty() ? name : path + "/" + name;
    struct stat about {};
    if (fstatat(folder, name.c_str(), &about, AT_SYMLINK_NOFOLLOW) != 0) continue;
    if (S_ISDIR(about.st_mode)) {
      ASSIGN_OR_RETURN(const UniqueFd below, OpenFolder(folder, name));
      RETURN_IF_ERROR(Prune(below.get(), inner, kept, depth + 1));
    }
    if (kept.count(inner) != 0) continue;
    if (unlinkat(folder, name.c_str(), S_ISDIR(about.st_mode) ? AT_REMOVEDIR : 0) != 0 &&
        errno != ENOENT) {
      return ErrnoStatus(errno, "remove \"" + inner + "\" of a volume");
    }
  }
  return {};
}

Status WriteEntry(int root, const VolumeEntry& entry, bool owned) {
  ASSIGN_OR_RETURN(const UniqueFd folder, OpenFolder(root, ParentOf(entry.path())));
  const std::string name = NameOf(entry.path());
  switch (entry.what_case()) {
    case VolumeEntry::kFile:
      return WriteFileAt(folder.get(), name, entry, owned);
    case VolumeEntry::kLink:
      return WriteLinkAt(folder.get(), name, entry);
    default:
      return MakeFolderAt(folder.get(), name, entry, owned);
  }
}

// A file that its owner may not write (as of an ordinary user) is made writable until Dress.
Result<UniqueFd> OpenToRewrite(const std::string& place) {
  constexpr int kOpenFlags = O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
  UniqueFd file(open(place.c_str(), O_WRONLY | kOpenFlags));
  if (file || errno != EACCES) {
    if (file) return file;
    return ErrnoStatus(errno, "open \"" + place + "\"");
  }
  const UniqueFd read_only(open(place.c_str(), O_RDONLY | kOpenFlags));
  if (!read_only || fchmod(read_only.get(), 0600) != 0)
    return ErrnoStatus(errno, "make \"" + place + "\" writable");
  file = UniqueFd(open(place.c_str(), O_WRONLY | kOpenFlags));
  if (!file) return ErrnoStatus(errno, "open \"" + place + "\"");
  return file;
}

// The bytes first, then the length: a reader meanwhile sees more, never an empty file.
Status RewriteFile(const std::string& place, const VolumeEntry& entry, bool owned) {
  ASSIGN_OR_RETURN(const UniqueFd file, OpenToRewrite(place));
  RETURN_IF_ERROR(WriteAll(file.get(), entry.file(), entry.path()));
  if (ftruncate(file.get(), static_cast<off_t>(entry.file().size())) != 0)
    return ErrnoStatus(errno, "cut \"" + place + "\"");
  return Dress(file.get(), entry, owned);
}

}  // namespace

Status CheckVolumeTree(const VolumeSnapshot& snapshot) {
  if (snapshot.entries_size() == 0 || !snapshot.entries(0).path().empty()) {
    return InvalidArgument("a volume's first entry must be its root, with an empty path");
  }
  const auto root = snapshot.entries(0).what_case();
  if (root != VolumeEntry::kFile && root != VolumeEntry::kFolder) {
    return InvalidArgument("a volume's root must be a file or a folder");
  }
  std::set<std::string> folders;
  std::set<std::string> all;
  if (root == VolumeEntry::kFolder) folders.insert("");
  for (int i = 1; i < snapshot.entries_size(); ++i) {
    const VolumeEntry& entry = snapshot.entries(i);
    const auto parts = Parts(entry.path());
    if (!std::all_of(parts.begin(), parts.end(), IsPart)) {
      return InvalidArgument("\"" + entry.path() + "\" is no path in a volume");
    }
    if (folders.count(ParentOf(entry.path())) == 0) {
      return InvalidArgument("the folder of \"" + entry.path() + "\" must come before it");
    }
    if (!all.insert(entry.path()).second) {
      return InvalidArgument("\"" + entry.path() + "\" is twice in a volume");
    }
    if (entry.what_case() == VolumeEntry::WHAT_NOT_SET) {
      return InvalidArgument("\"" + entry.path() +
                             "\" of a volume is neither file, link nor folder");
    }
    if (entry.what_case() == VolumeEntry::kLink) RETURN_IF_ERROR(CheckLink(entry));
    if (entry.what_case() == VolumeEntry::kFolder) folders.insert(entry.path());
  }
  return {};
}

Status WriteVolumeTree(const VolumeSnapshot& snapshot, const std::string& place, bool owned) {
  const VolumeEntry& root = snapshot.entries(0);
  const std::string above = place.substr(0, place.rfind('/'));
  const UniqueFd parent(open(above.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!parent) return ErrnoStatus(errno, "open \"" + above + "\"");
  const std::string name = NameOf(place);
  if (root.what_case() == VolumeEntry::kFile) {
    return WriteFileAt(parent.get(), name, root, owned);
  }
  RETURN_IF_ERROR(MakeFolderAt(parent.get(), name, root, owned));
  ASSIGN_OR_RETURN(const UniqueFd folder, OpenFolder(parent.get(), name));
  std::set<std::string> kept;
  for (const auto kind : {false, true}) {  // links last
    for (int i = 1; i < snapshot.entries_size(); ++i) {
      const VolumeEntry& entry = snapshot.entries(i);
      if ((entry.what_case() == VolumeEntry::kLink) != kind) continue;
      RETURN_IF_ERROR(WriteEntry(folder.get(), entry, owned));
      kept.insert(entry.path());
    }
  }
  return Prune(folder.get(), "", kept, 0);
}

Status ExchangeVolumeTree(const VolumeSnapshot& snapshot, const std::string& place, bool owned) {
  const VolumeEntry& root = snapshot.entries(0);
  const bool is_file = root.what_case() == VolumeEntry::kFile;
  struct stat about {};
  if (lstat(place.c_str(), &about) != 0) return ErrnoStatus(errno, "stat \"" + place + "\"");
  if (is_file ? !S_ISREG(about.st_mode) : !S_ISDIR(about.st_mode)) {
    return InvalidArgument("a volume that is mounted as a " +
                           std::string(is_file ? "folder" : "file") + " has become a " +
                           (is_file ? "file" : "folder"));
  }
  return is_file ? RewriteFile(place, root, owned) : WriteVolumeTree(snapshot, place, owned);
}

}  // namespace interlink::engine
