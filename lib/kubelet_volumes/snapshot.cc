#include "kubelet_volumes/snapshot.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <memory>
#include <vector>

#include "base/unique_fd.h"
#include "wire/volume_digest.h"

namespace interlink::kubelet_volumes {
namespace {

using interlink::v1::VolumeEntry;
using interlink::v1::VolumeSnapshot;

constexpr mode_t kPermissions = 0777;
constexpr int kDeepest = 32;
constexpr size_t kPiece = 64U << 10U;
// Kubelet's: a link to the folder that has the contents now.
constexpr const char* kCurrent = "..data";

class Reader {
 public:
  explicit Reader(std::string path) : path_(std::move(path)) {}

  Result<VolumeSnapshot> Read() {
    const UniqueFd root(open(path_.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (!root) return ErrnoStatus(errno, "open \"" + path_ + "\"");
    struct stat about {};
    if (fstat(root.get(), &about) != 0) return ErrnoStatus(errno, "stat \"" + path_ + "\"");
    if (S_ISREG(about.st_mode)) {
      RETURN_IF_ERROR(AddFile(root.get(), "", about));
    } else if (S_ISDIR(about.st_mode)) {
      const std::string before = LinkAt(root.get(), kCurrent);
      RETURN_IF_ERROR(AddFolder(root.get(), "", about, 0));
      if (LinkAt(root.get(), kCurrent) != before) return Changing();
    } else {
      return InvalidArgument("\"" + path_ + "\" is neither file nor folder");
    }
    return std::move(snapshot_);
  }

 private:
  Status Changing() const {
    return Unavailable("kubelet has exchanged the contents of \"" + path_ + "\", try again");
  }

  static std::string LinkAt(int folder, const std::string& name) {
    std::array<char, PATH_MAX> target{};
    const ssize_t size = readlinkat(folder, name.c_str(), target.data(), target.size());
    return size < 0 ? "" : std::string(target.data(), static_cast<size_t>(size));
  }

  Result<VolumeEntry*> Add(const std::string& path, const struct stat& about) {
    bytes_ += path.size();
    if (snapshot_.entries_size() >= wire::kMaxVolumeEntries) {
      return ResourceExhausted("\"" + path_ + "\" has more than " +
                               std::to_string(wire::kMaxVolumeEntries) + " files and folders");
    }
    VolumeEntry* entry = snapshot_.add_entries();
    entry->set_path(path);
    entry->set_mode(about.st_mode & kPermissions);
    entry->set_uid(about.st_uid);
    entry->set_gid(about.st_gid);
    return entry;
  }

  Status AddFile(int file, const std::string& path, const struct stat& about) {
    ASSIGN_OR_RETURN(VolumeEntry * entry, Add(path, about));
    std::string& bytes = *entry->mutable_file();
    std::vector<char> piece(kPiece);
    for (;;) {
      const ssize_t size = read(file, piece.data(), piece.size());
      if (size < 0 && errno == EINTR) continue;
      if (size < 0) return ErrnoStatus(errno, "read \"" + path_ + "/" + path + "\"");
      if (size == 0) break;
      bytes.append(piece.data(), static_cast<size_t>(size));
      bytes_ += static_cast<size_t>(size);
      // What surrounds the bytes in a message needs room too.
      if (bytes_ > wire::kMaxVolumeBytes - wire::kMaxVolumeBytes / 8) {
        return ResourceExhausted("\"" + path_ +
                                 "\" has more than 3.5 MiB: what a site on another "
                                 "machine gets a copy of must be smaller");
      }
    }
    return {};
  }

  Status AddFolder(int folder, const std::string& path, const struct stat& about, int depth) {
    if (depth > kDeepest) return ResourceExhausted("\"" + path_ + "\" has too deep folders");
    ASSIGN_OR_RETURN(VolumeEntry * entry, Add(path, about));
    entry->set_folder(true);
    ASSIGN_OR_RETURN(const auto names, NamesIn(folder));
    for (const std::string& name : names) {
      const std::string inner = path.empty() ? name : path + "/" + name;
      RETURN_IF_ERROR(AddOne(folder, name, inner, depth));
    }
    return {};
  }

  Status AddOne(int folder, const std::string& name, const std::string& path, int depth) {
    struct stat about {};
    if (fstatat(folder, name.c_str(), &about, AT_SYMLINK_NOFOLLOW) != 0) {
      if (errno == ENOENT) return Changing();
      return ErrnoStatus(errno, "stat \"" + path_ + "/" + path + "\"");
    }
    if (S_ISLNK(about.st_mode)) {
      ASSIGN_OR_RETURN(VolumeEntry * entry, Add(path, about));
      entry->set_link(LinkAt(folder, name));
      return {};
    }
    if (!S_ISREG(about.st_mode) && !S_ISDIR(about.st_mode)) {
      return InvalidArgument("\"" + path_ + "/" + path + "\" is neither file, folder nor link");
    }
    const UniqueFd fd(openat(folder, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (!fd && errno == ENOENT) return Changing();
    if (!fd) return ErrnoStatus(errno, "open \"" + path_ + "/" + path + "\"");
    return S_ISDIR(about.st_mode) ? AddFolder(fd.get(), path, about, depth + 1)
                                  : AddFile(fd.get(), path, about);
  }

  Result<std::vector<std::string>> NamesIn(int folder) const {
    const int copy = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (copy < 0) return ErrnoStatus(errno, "open a folder of \"" + path_ + "\"");
    const std::unique_ptr<DIR, int (*)(DIR*)> list(fdopendir(copy), closedir);
    if (list == nullptr) {
      close(copy);
      return ErrnoStatus(errno, "list a folder of \"" + path_ + "\"");
    }
    std::vector<std::string> names;
    errno = 0;
    while (const dirent* entry = readdir(list.get())) {  // NOLINT: the stream is ours alone
      const std::string name = entry->d_name;
      if (name != "." && name != "..") names.push_back(name);
    }
    if (errno != 0) return ErrnoStatus(errno, "list a folder of \"" + path_ + "\"");
    std::sort(names.begin(), names.end());
    return names;
  }

  const std::string path_;
  VolumeSnapshot snapshot_;
  size_t bytes_ = 0;
};

}  // namespace

Result<VolumeSnapshot> TakeSnapshot(const std::string& path) { return Reader(path).Read(); }

}  // namespace interlink::kubelet_volumes
