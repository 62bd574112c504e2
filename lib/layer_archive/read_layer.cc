#include "layer_archive/read_layer.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>
#include <vector>

#include "base/beneath.h"
#include "base/unique_fd.h"
#include "layer_archive/entry_name.h"

namespace interlink::layer_archive {
namespace {

constexpr size_t kReadBlock = 256U << 10U;
constexpr mode_t kEveryBit = 07777;
constexpr const char* kFileCapability = "security.capability";

class LayerReading {
 public:
  LayerReading(const Call& call, const ByteSource& source, LayerOwners owners,
               const ReadLimits& limits)
      : call_(call),
        source_(source),
        kept_(owners == LayerOwners::kKept),
        limits_(limits),
        in_(archive_read_new()) {
    buffer_.resize(kReadBlock);
  }
  ~LayerReading() { archive_read_free(in_); }
  LayerReading(const LayerReading&) = delete;
  LayerReading& operator=(const LayerReading&) = delete;

  Status Run(const std::string& to) {
    if (mkdir(to.c_str(), S_IRWXU) != 0) return ErrnoStatus(errno, "make \"" + to + "\"");
    root_ = UniqueFd(open(to.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!root_) return ErrnoStatus(errno, "open \"" + to + "\"");
    archive_read_support_format_tar(in_);
    if (archive_read_open(in_, this, nullptr, Fetch, nullptr) != ARCHIVE_OK) return Broken();
    while (true) {
      archive_entry* entry = nullptr;
      const int result = archive_read_next_header(in_, &entry);
      if (result == ARCHIVE_EOF) return ended_ ? Status() : DataLoss("the layer is cut off");
      if (result != ARCHIVE_OK) return Broken();
      RETURN_IF_ERROR(call_.Check("unpacking the layer"));
      RETURN_IF_ERROR(Take(entry));
    }
  }

 private:
  struct OpenFolder {
    std::string path;
    UniqueFd fd;
    struct stat about;  // what it gets when it is complete
  };
  struct Entry {
    archive_entry* raw;
    std::string path;
    std::string name;  // in its folder
    int folder;
    struct stat about;  // as it will be

    std::string quoted() const { return "entry " + Quoted(path.empty() ? "/" : path); }
  };

  static la_ssize_t Fetch(archive* in, void* context, const void** bytes) {
    LayerReading& self = *static_cast<LayerReading*>(context);
    self.failure_ = self.call_.Check("unpacking the layer");
    if (self.failure_.ok()) {
      const auto got = self.source_(self.buffer_.data(), self.buffer_.size());
      if (got.ok()) {
        *bytes = self.buffer_.data();
        return static_cast<la_ssize_t>(*got);
      }
      self.failure_ = got.status();
    }
    archive_set_error(in, EIO, "%s", self.failure_.message().c_str());
    return ARCHIVE_FATAL;
  }

  Status Broken() {
    if (!failure_.ok()) return failure_;
    const char* why = archive_error_string(in_);
    return DataLoss(std::string("the layer is cut off or damaged: ") +
                    (why == nullptr ? "unknown" : why));
  }

  static Status Failed(const Entry& entry, int error, const std::string& verb) {
    return ErrnoStatus(error, verb + " " + Quoted(entry.path.empty() ? "/" : entry.path));
  }

  Status Take(archive_entry* raw) {
    const char* name = archive_entry_pathname(raw);
    if (name == nullptr) return DataLoss("the layer is damaged: an entry has no name");
    if (ended_) return InvalidArgument("entry " + Quoted(name) + " stands behind the layer's end");
    if (name == kEndName) return TakeEnd();
    if (++entries_ > limits_.max_entries) {
      return ResourceExhausted("the layer has more than " + std::to_string(limits_.max_entries) +
                               " entries");
    }
    Entry entry{raw, "", "", -1, {}};
    std::string_view path(name);
    if (archive_entry_filetype(raw) == AE_IFDIR && path.ends_with('/')) path.remove_suffix(1);
    ASSIGN_OR_RETURN(entry.path, PathInLayer(path));
    entry.about = AboutOf(raw);
    if (entry.path.empty()) return TakeRoot(entry);
    auto [parent, base] = Split(entry.path);
    RETURN_IF_ERROR(LeaveFoldersUntil(parent, entry));
    entry.name = std::move(base);
    entry.folder = folders_.back().fd.get();
    if (archive_entry_hardlink(raw) != nullptr) return MakeLink(entry);
    switch (archive_entry_filetype(raw)) {
      case AE_IFDIR:
        return MakeFolder(entry);
      case AE_IFREG:
        return MakeFile(entry);
      case AE_IFLNK:
        return MakeSymbolicLink(entry);
      case AE_IFIFO:
        return MakeFifo(entry);
      case AE_IFCHR:
        if (archive_entry_rdev(raw) == makedev(0, 0)) return MakeWhiteout(entry);
        return InvalidArgument(entry.quoted() + " is a device");
      default:
        return InvalidArgument(entry.quoted() + " is of a kind that layers do not have");
    }
  }

  struct stat AboutOf(archive_entry* raw) const {
    struct stat about {};
    const auto mode = static_cast<mode_t>(archive_entry_perm(raw)) & kEveryBit;
    const bool folder = archive_entry_filetype(raw) == AE_IFDIR;
    if (kept_) {
      about.st_mode = mode;
    } else if (folder) {
      about.st_mode = (mode & (0777U | S_ISVTX | S_ISGID)) | S_IRUSR | S_IXUSR;
    } else {
      about.st_mode = (mode & 0777U) | S_IRUSR;
    }
    about.st_uid = static_cast<uid_t>(archive_entry_uid(raw));
    about.st_gid = static_cast<gid_t>(archive_entry_gid(raw));
    about.st_size = std::max<off_t>(0, archive_entry_size(raw));
    about.st_mtim = {archive_entry_mtime(raw), archive_entry_mtime_nsec(raw)};
    return about;
  }

  Status TakeRoot(Entry& entry) {
    if (!folders_.empty() || entries_ != 1) {
      return InvalidArgument("the layer has two roots");
    }
    if (archive_entry_filetype(entry.raw) != AE_IFDIR) {
      return InvalidArgument("the layer's root is no folder");
    }
    return Enter(entry, UniqueFd(fcntl(root_.get(), F_DUPFD_CLOEXEC, 0)));
  }

  // Owner and attributes now, mode and time when everything is in it.
  Status Enter(const Entry& entry, UniqueFd folder) {
    if (!folder) return Failed(entry, errno, "open");
    RETURN_IF_ERROR(SetOwner(folder.get(), entry));
    RETURN_IF_ERROR(SetAttributes(folder.get(), entry));
    folders_.push_back({entry.path, std::move(folder), entry.about});
    return {};
  }

  static Status Finish(int fd, const struct stat& about, const std::string& path) {
    if (fchmod(fd, about.st_mode) != 0) return ErrnoStatus(errno, "chmod " + Quoted(path));
    const std::array<timespec, 2> times = {timespec{0, UTIME_OMIT}, about.st_mtim};
    if (futimens(fd, times.data()) != 0) {
      return ErrnoStatus(errno, "set the time of " + Quoted(path));
    }
    return {};
  }

  Status LeaveFolder() {
    const OpenFolder left = std::move(folders_.back());
    folders_.pop_back();
    return Finish(left.fd.get(), left.about, left.path.empty() ? "/" : left.path);
  }

  Status LeaveFoldersUntil(const std::string& parent, const Entry& entry) {
    while (!folders_.empty() && folders_.back().path != parent) RETURN_IF_ERROR(LeaveFolder());
    if (!folders_.empty()) return {};
    return InvalidArgument(entry.quoted() + " is in no folder of the layer that is still open");
  }

  Status MakeFolder(const Entry& entry) {
    if (mkdirat(entry.folder, entry.name.c_str(), S_IRWXU) != 0) return NotMade(entry);
    return Enter(entry, UniqueFd(openat(entry.folder, entry.name.c_str(),
                                        O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)));
  }

  static Status NotMade(const Entry& entry) {
    const int error = errno;
    if (error == EEXIST) return InvalidArgument(entry.quoted() + " comes twice");
    return Failed(entry, error, "make");
  }

  Status MakeFile(const Entry& entry) {
    const auto size = static_cast<uint64_t>(entry.about.st_size);
    if (size > limits_.max_bytes - bytes_) {
      return ResourceExhausted(entry.quoted() + " makes the layer larger than " +
                               std::to_string(limits_.max_bytes) + " bytes");
    }
    bytes_ += size;
    const UniqueFd file(openat(entry.folder, entry.name.c_str(),
                               O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                               S_IRUSR | S_IWUSR));
    if (!file) return NotMade(entry);
    RETURN_IF_ERROR(CopyContents(file.get(), entry));
    RETURN_IF_ERROR(SetOwner(file.get(), entry));
    RETURN_IF_ERROR(SetAttributes(file.get(), entry));
    return Finish(file.get(), entry.about, entry.path);
  }

  // Holes stay holes.
  Status CopyContents(int file, const Entry& entry) {
    off_t written = 0;
    while (true) {
      const void* block = nullptr;
      size_t length = 0;
      la_int64_t offset = 0;
      const int result = archive_read_data_block(in_, &block, &length, &offset);
      if (result == ARCHIVE_EOF) break;
      if (result != ARCHIVE_OK) return Broken().WithContext(entry.quoted());
      if (offset < 0 || offset > entry.about.st_size ||
          length > static_cast<uint64_t>(entry.about.st_size - offset)) {
        return InvalidArgument(entry.quoted() + " has more bytes than it says");
      }
      RETURN_IF_ERROR(WriteBlock(file, static_cast<const char*>(block), length, offset, entry));
      written = std::max(written, static_cast<off_t>(offset) + static_cast<off_t>(length));
    }
    // Behind the last byte there may be a hole.
    if (written < entry.about.st_size && ftruncate(file, entry.about.st_size) != 0) {
      return Failed(entry, errno, "write");
    }
    return {};
  }

  static Status WriteBlock(int file, const char* bytes, size_t size, off_t offset,
                           const Entry& entry) {
    while (size > 0) {
      const ssize_t count = pwrite(file, bytes, size, offset);
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return Failed(entry, errno, "write");
      bytes += count;
      offset += count;
      size -= static_cast<size_t>(count);
    }
    return {};
  }

  // Its name is in this layer, below folders only; what is linked to is never followed.
  Status MakeLink(const Entry& entry) {
    const std::string name = archive_entry_hardlink(entry.raw);
    auto target = PathInLayer(name);
    if (!target.ok()) return target.status().WithContext(entry.quoted() + " is a hard link");
    const auto [parent, base] = Split(*target);
    const auto refused = [&] {
      return InvalidArgument(entry.quoted() + " is a hard link to " + Quoted(*target) +
                             ", which is no file of this layer");
    };
    if (base.empty()) return refused();
    const auto folder = OpenBeneath(root_.get(), parent, O_PATH | O_DIRECTORY);
    if (!folder.ok()) {
      return folder.status().code() == Code::kNotFound ? refused() : folder.status();
    }
    if (linkat(folder->get(), base.c_str(), entry.folder, entry.name.c_str(), 0) == 0) return {};
    if (errno == ENOENT || errno == EPERM) return refused();
    return NotMade(entry);
  }

  Status MakeSymbolicLink(const Entry& entry) const {
    const char* target = archive_entry_symlink(entry.raw);
    if (target == nullptr || *target == '\0') {
      return InvalidArgument(entry.quoted() + " is a link to nothing");
    }
    if (symlinkat(target, entry.folder, entry.name.c_str()) != 0) return NotMade(entry);
    return SetOwnerAndTime(entry);
  }

  Status MakeFifo(const Entry& entry) const {
    if (mknodat(entry.folder, entry.name.c_str(), S_IFIFO | S_IRUSR | S_IWUSR, 0) != 0) {
      return NotMade(entry);
    }
    RETURN_IF_ERROR(SetOwnerAndTime(entry));
    // By its name in a folder that only we change: it is the fifo.
    if (fchmodat(entry.folder, entry.name.c_str(), entry.about.st_mode, 0) != 0) {
      return Failed(entry, errno, "chmod");
    }
    return {};
  }

  static Status MakeWhiteout(const Entry& entry) {
    if (mknodat(entry.folder, entry.name.c_str(), S_IFCHR, makedev(0, 0)) == 0) return {};
    if (errno == EEXIST || errno == ENOSPC || errno == EDQUOT) return NotMade(entry);
    return FailedPrecondition("the whiteout of " + Quoted(entry.path) + " cannot be made (" +
                              ErrnoStatus(errno, "mknod").message() +
                              "): layers need Linux 5.8 and a file system with device nodes");
  }

  Status SetOwnerAndTime(const Entry& entry) const {
    if (kept_ && fchownat(entry.folder, entry.name.c_str(), entry.about.st_uid, entry.about.st_gid,
                          AT_SYMLINK_NOFOLLOW) != 0) {
      return Failed(entry, errno, "chown");
    }
    const std::array<timespec, 2> times = {timespec{0, UTIME_OMIT}, entry.about.st_mtim};
    if (utimensat(entry.folder, entry.name.c_str(), times.data(), AT_SYMLINK_NOFOLLOW) != 0) {
      return Failed(entry, errno, "set the time of");
    }
    return {};
  }

  // Before its mode and its attributes: both lose rights by it.
  Status SetOwner(int fd, const Entry& entry) const {
    if (!kept_ || fchown(fd, entry.about.st_uid, entry.about.st_gid) == 0) return {};
    return Failed(entry, errno, "chown");
  }

  Status SetAttributes(int fd, const Entry& entry) const {
    const char* name = nullptr;
    const void* value = nullptr;
    size_t size = 0;
    archive_entry_xattr_reset(entry.raw);
    while (archive_entry_xattr_next(entry.raw, &name, &value, &size) == ARCHIVE_OK) {
      const std::string_view attribute(name == nullptr ? "" : name);
      const bool capability = attribute == kFileCapability;
      if (capability && !kept_) continue;
      if (!capability && !attribute.starts_with("user.")) {
        return InvalidArgument(entry.quoted() + " has the attribute " + Quoted(attribute) +
                               ", which layers do not have");
      }
      if (fsetxattr(fd, name, value, size, 0) == 0) continue;
      if (errno != EOPNOTSUPP)
        return Failed(entry, errno, "set the attribute " + Quoted(attribute) + " of");
      return FailedPrecondition(entry.quoted() + " needs the attribute " + Quoted(attribute) +
                                ": layers need a file system with user.* attributes");
    }
    return {};
  }

  Status TakeEnd() {
    std::string text;
    while (true) {
      const void* block = nullptr;
      size_t length = 0;
      la_int64_t offset = 0;
      const int result = archive_read_data_block(in_, &block, &length, &offset);
      if (result == ARCHIVE_EOF) break;
      if (result != ARCHIVE_OK) return Broken();
      text.append(static_cast<const char*>(block), length);
      if (text.size() > 100) break;
    }
    const std::string expected =
        std::string(kArchiveVersion) + " " + std::to_string(entries_) + "\n";
    if (text != expected || entries_ == 0) {
      return DataLoss("the layer's end says " + Quoted(text) + ", there were " +
                      std::to_string(entries_) + " entries and the version is " +
                      std::string(kArchiveVersion));
    }
    while (!folders_.empty()) RETURN_IF_ERROR(LeaveFolder());
    ended_ = true;
    return {};
  }

  const Call& call_;
  const ByteSource& source_;
  const bool kept_;  // owners, modes and file capabilities
  const ReadLimits limits_;
  archive* in_;
  std::vector<char> buffer_;
  Status failure_;  // of the source
  UniqueFd root_;
  std::vector<OpenFolder> folders_;  // from the root to the one that entries are made in
  uint64_t entries_ = 0;
  uint64_t bytes_ = 0;
  bool ended_ = false;
};

}  // namespace

Status ReadLayer(const Call& call, const ByteSource& source, const std::string& to,
                 LayerOwners owners, const ReadLimits& limits) {
  return LayerReading(call, source, owners, limits).Run(to);
}

}  // namespace interlink::layer_archive
