#include "layer_archive/write_layer.h"

#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "base/beneath.h"
#include "base/unique_fd.h"
#include "layer_archive/entry_name.h"

namespace interlink::layer_archive {
namespace {

constexpr size_t kWriteBlock = 256U << 10U;
constexpr const char* kWriteOptions = "pax:hdrcharset=BINARY,pax:xattrheader=LIBARCHIVE";
// Headers of an entry, about.
constexpr uint64_t kHeaderBytes = 2048;
// A file of more holes has its last ones filled: their list is kept in memory.
constexpr size_t kMaxExtents = 65'536;

using EntryPtr = std::unique_ptr<archive_entry, void (*)(archive_entry*)>;

Status WriteFailed(int error, const std::string& verb, const std::string& path) {
  return ErrnoStatus(error, verb + " " + Quoted(path.empty() ? "/" : path));
}

bool IsWhiteout(const struct stat& about) {
  return S_ISCHR(about.st_mode) && about.st_rdev == makedev(0, 0);
}

bool IsCarried(const struct stat& about) {
  return S_ISDIR(about.st_mode) || S_ISREG(about.st_mode) || S_ISLNK(about.st_mode) ||
         S_ISFIFO(about.st_mode) || IsWhiteout(about);
}

struct Extent {
  off_t begin;
  off_t end;
};

// Where a file has bytes.
std::vector<Extent> ExtentsOf(int file, off_t size) {
  std::vector<Extent> extents;
  for (off_t at = 0; at < size;) {
    const off_t begin = lseek(file, at, SEEK_DATA);
    if (begin < 0 && errno == ENXIO) break;
    off_t end = begin < 0 || extents.size() + 1 >= kMaxExtents ? -1 : lseek(file, begin, SEEK_HOLE);
    // Also for a file system that does not tell.
    if (end < 0) end = size;
    extents.push_back({std::max(begin, at), std::min(end, size)});
    at = end;
  }
  return extents;
}

// Visits what is carried: parents first, each folder's contents together.
class LayerWalk {
 public:
  struct Place {
    int folder;  // that it is in; the root's own: the root
    const char* name;
    std::string path;  // in the layer; empty: the root
    struct stat about;
  };
  explicit LayerWalk(const Call& call) : call_(call) {}
  virtual ~LayerWalk() = default;

  Status Walk(const std::string& folder) {
    const UniqueFd root(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!root) return ErrnoStatus(errno, "open the layer \"" + folder + "\"");
    Place place{root.get(), ".", "", {}};
    if (fstat(root.get(), &place.about) != 0) return WriteFailed(errno, "stat", "");
    RETURN_IF_ERROR(Visit(place));
    RETURN_IF_ERROR(WalkFolder(root.get(), "", 1));
    // Whoever deletes it moves it away first: all that was read was whole.
    struct stat now {};
    if (lstat(folder.c_str(), &now) != 0 || now.st_dev != place.about.st_dev ||
        now.st_ino != place.about.st_ino) {
      return NotFound("the layer \"" + folder + "\" was moved away while it was read");
    }
    return {};
  }

 protected:
  virtual Status Visit(const Place& place) = 0;
  const Call& call() const { return call_; }

 private:
  Status WalkFolder(int folder, const std::string& path, size_t depth) {
    if (depth >= kMaxDepth) return InvalidArgument(Quoted(path) + " is too deep");
    const std::unique_ptr<DIR, int (*)(DIR*)> entries(fdopendir(fcntl(folder, F_DUPFD_CLOEXEC, 0)),
                                                      closedir);
    if (!entries) return WriteFailed(errno, "list", path);
    const std::string before = path.empty() ? "" : path + "/";
    errno = 0;
    while (const dirent* entry = readdir(entries.get())) {  // NOLINT(concurrency-mt-unsafe)
      const std::string name = entry->d_name;
      if (name != "." && name != "..") {
        std::string whole = before;
        whole += name;
        RETURN_IF_ERROR(WalkEntry({folder, name.c_str(), std::move(whole), {}}, depth));
      }
      errno = 0;
    }
    return errno == 0 ? Status() : WriteFailed(errno, "list", path);
  }

  Status WalkEntry(Place place, size_t depth) {
    RETURN_IF_ERROR(call_.Check("reading the layer"));
    if (fstatat(place.folder, place.name, &place.about, AT_SYMLINK_NOFOLLOW) != 0) {
      return WriteFailed(errno, "stat", place.path);
    }
    if (!IsCarried(place.about)) return {};
    RETURN_IF_ERROR(Visit(place));
    if (!S_ISDIR(place.about.st_mode)) return {};
    ASSIGN_OR_RETURN(const UniqueFd folder,
                     OpenBeneath(place.folder, place.name, O_RDONLY | O_DIRECTORY));
    return WalkFolder(folder.get(), place.path, depth + 1);
  }

  const Call& call_;
};

class LayerMeasure final : public LayerWalk {
 public:
  using LayerWalk::LayerWalk;
  uint64_t bytes() const { return bytes_; }

 private:
  Status Visit(const Place& place) override {
    bytes_ += kHeaderBytes;
    if (!S_ISREG(place.about.st_mode)) return {};
    const uint64_t held = static_cast<uint64_t>(place.about.st_blocks) * 512;
    const uint64_t size = std::min(static_cast<uint64_t>(place.about.st_size), held);
    // Of one with several names each has its share.
    bytes_ += size / std::max<uint64_t>(1, place.about.st_nlink);
    return {};
  }

  uint64_t bytes_ = 0;
};

class LayerArchive final : public LayerWalk {
 public:
  LayerArchive(const Call& call, const ByteSink& sink)
      : LayerWalk(call), sink_(sink), out_(archive_write_new()), zeros_(kWriteBlock, '\0') {
    buffer_.resize(kWriteBlock);
  }
  ~LayerArchive() override {
    // What is not finished gets no end.
    parting_ = true;
    archive_write_free(out_);
  }
  LayerArchive(const LayerArchive&) = delete;
  LayerArchive& operator=(const LayerArchive&) = delete;

  Status Run(const std::string& folder) {
    archive_write_set_format_pax(out_);
    archive_write_set_bytes_per_block(out_, static_cast<int>(kWriteBlock));
    archive_write_set_bytes_in_last_block(out_, 1);
    if (archive_write_set_options(out_, kWriteOptions) != ARCHIVE_OK ||
        archive_write_open(out_, this, nullptr, Take, nullptr) != ARCHIVE_OK) {
      return ArchiveFailed("begin the archive");
    }
    RETURN_IF_ERROR(Walk(folder));
    RETURN_IF_ERROR(WriteEnd());
    return Wrote(archive_write_close(out_) == ARCHIVE_OK, "end the archive");
  }

 private:
  // libarchive is told of no failure until the end: an archive that has failed is not closed, and
  // one that is not closed keeps its buffers for ever (3.6). At the end it saves the rest of a
  // file.
  static la_ssize_t Take(archive*, void* context, const void* bytes, size_t size) {
    LayerArchive& self = *static_cast<LayerArchive*>(context);
    if (self.parting_) return -1;
    if (self.failure_.ok()) self.failure_ = self.sink_({static_cast<const char*>(bytes), size});
    return static_cast<la_ssize_t>(size);
  }

  Status Wrote(bool done, const std::string& what) {
    if (done) return failure_;
    return ArchiveFailed(what);
  }

  Status ArchiveFailed(const std::string& what) {
    if (!failure_.ok()) return failure_;
    const char* why = archive_error_string(out_);
    return InternalError(what + ": " + (why == nullptr ? "unknown" : why));
  }

  static EntryPtr NewEntry(const std::string& path, const struct stat& about) {
    EntryPtr entry(archive_entry_new(), archive_entry_free);
    const std::string root(kRootName);
    archive_entry_copy_pathname(entry.get(), (path.empty() ? root : root + "/" + path).c_str());
    archive_entry_set_mode(entry.get(), about.st_mode);
    archive_entry_set_uid(entry.get(), about.st_uid);
    archive_entry_set_gid(entry.get(), about.st_gid);
    archive_entry_set_mtime(entry.get(), about.st_mtim.tv_sec, about.st_mtim.tv_nsec);
    archive_entry_set_size(entry.get(), 0);
    return entry;
  }

  Status WriteHeader(archive_entry* entry, const std::string& path) {
    ++entries_;
    return Wrote(archive_write_header(out_, entry) == ARCHIVE_OK,
                 "write the header of " + Quoted(path));
  }

  Status Visit(const Place& place) override {
    const EntryPtr entry = NewEntry(place.path, place.about);
    switch (place.about.st_mode & S_IFMT) {
      case S_IFDIR:
        return WriteFolder(entry.get(), place);
      case S_IFCHR:
        // They may share an inode; each is made anew.
        archive_entry_set_rdev(entry.get(), place.about.st_rdev);
        return WriteHeader(entry.get(), place.path);
      default:
        break;
    }
    if (place.about.st_nlink > 1) {
      const auto [first, fresh] = files_.emplace(std::pair(place.about.st_dev, place.about.st_ino),
                                                 std::string(kRootName) + "/" + place.path);
      if (!fresh) {
        archive_entry_copy_hardlink(entry.get(), first->second.c_str());
        return WriteHeader(entry.get(), place.path);
      }
    }
    if (S_ISREG(place.about.st_mode)) return WriteFile(entry.get(), place);
    if (S_ISLNK(place.about.st_mode)) {
      ASSIGN_OR_RETURN(const std::string target, TargetOf(place));
      archive_entry_copy_symlink(entry.get(), target.c_str());
    }
    return WriteHeader(entry.get(), place.path);
  }

  static Result<std::string> TargetOf(const Place& place) {
    std::string target(PATH_MAX, '\0');
    const ssize_t size = readlinkat(place.folder, place.name, target.data(), target.size());
    if (size < 0) return WriteFailed(errno, "read the link", place.path);
    target.resize(static_cast<size_t>(size));
    return target;
  }

  Status WriteFolder(archive_entry* entry, const Place& place) {
    ASSIGN_OR_RETURN(const UniqueFd folder,
                     OpenBeneath(place.folder, place.name, O_RDONLY | O_DIRECTORY));
    RETURN_IF_ERROR(AddAttributes(entry, folder.get(), place.path));
    return WriteHeader(entry, place.path);
  }

  Status WriteFile(archive_entry* entry, const Place& place) {
    ASSIGN_OR_RETURN(const UniqueFd file,
                     OpenBeneath(place.folder, place.name, O_RDONLY | O_NONBLOCK | O_NOFOLLOW));
    RETURN_IF_ERROR(AddAttributes(entry, file.get(), place.path));
    const off_t size = place.about.st_size;
    const std::vector<Extent> extents = ExtentsOf(file.get(), size);
    const bool whole =
        size == 0 || (extents.size() == 1 && extents[0].begin == 0 && extents[0].end == size);
    archive_entry_set_size(entry, size);
    if (!whole) {
      for (const Extent& one : extents)
        archive_entry_sparse_add_entry(entry, one.begin, one.end - one.begin);
      if (extents.empty()) archive_entry_sparse_add_entry(entry, 0, 0);
    }
    RETURN_IF_ERROR(WriteHeader(entry, place.path));
    off_t at = 0;
    for (const Extent& one : extents) {
      // libarchive leaves out what is in no extent, but is given it.
      RETURN_IF_ERROR(WriteZeros(one.begin - at, place.path));
      RETURN_IF_ERROR(WriteExtent(file.get(), one, place.path));
      at = one.end;
    }
    return WriteZeros(size - at, place.path);
  }

  Status WriteExtent(int file, const Extent& extent, const std::string& path) {
    for (off_t at = extent.begin; at < extent.end;) {
      RETURN_IF_ERROR(call().Check("reading the layer"));
      const auto want = std::min(static_cast<size_t>(extent.end - at), buffer_.size());
      const ssize_t got = pread(file, buffer_.data(), want, at);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return WriteFailed(errno, "read", path);
      if (got == 0) return DataLoss(Quoted(path) + " became shorter while it was read");
      RETURN_IF_ERROR(WriteData(buffer_.data(), static_cast<size_t>(got), path));
      at += got;
    }
    return {};
  }

  Status WriteZeros(off_t count, const std::string& path) {
    while (count > 0) {
      const auto size = std::min(static_cast<size_t>(count), zeros_.size());
      RETURN_IF_ERROR(WriteData(zeros_.data(), size, path));
      count -= static_cast<off_t>(size);
    }
    return {};
  }

  Status WriteData(const char* bytes, size_t size, const std::string& path) {
    while (size > 0) {
      const la_ssize_t took = archive_write_data(out_, bytes, size);
      RETURN_IF_ERROR(Wrote(took > 0, "write " + Quoted(path)));
      bytes += took;
      size -= static_cast<size_t>(took);
    }
    return {};
  }

  Status AddAttributes(archive_entry* entry, int from, const std::string& path) {
    std::string names(XATTR_LIST_MAX, '\0');
    const ssize_t size = flistxattr(from, names.data(), names.size());
    if (size < 0 && errno == EOPNOTSUPP) return {};
    if (size < 0) return WriteFailed(errno, "list the attributes of", path);
    names.resize(static_cast<size_t>(size));
    for (size_t at = 0; at < names.size();) {
      const std::string name = names.c_str() + at;
      at += name.size() + 1;
      if (!name.starts_with("user.") && name != "security.capability") continue;
      std::string value(XATTR_SIZE_MAX, '\0');
      const ssize_t length = fgetxattr(from, name.c_str(), value.data(), value.size());
      if (length < 0) return WriteFailed(errno, "read the attribute " + Quoted(name) + " of", path);
      archive_entry_xattr_add_entry(entry, name.c_str(), value.data(), static_cast<size_t>(length));
    }
    return {};
  }

  Status WriteEnd() {
    struct stat about {};
    about.st_mode = S_IFREG | S_IRUSR;
    const EntryPtr entry = NewEntry("", about);
    const std::string name(kEndName);
    const std::string text = std::string(kArchiveVersion) + " " + std::to_string(entries_) + "\n";
    archive_entry_copy_pathname(entry.get(), name.c_str());
    archive_entry_set_size(entry.get(), static_cast<la_int64_t>(text.size()));
    RETURN_IF_ERROR(WriteHeader(entry.get(), name));
    return WriteData(text.data(), text.size(), name);
  }

  const ByteSink& sink_;
  archive* out_;
  Status failure_;  // of the sink
  bool parting_ = false;
  std::vector<char> buffer_;
  const std::string zeros_;
  uint64_t entries_ = 0;
  std::map<std::pair<dev_t, ino_t>, std::string> files_;  // of several names: the first
};

}  // namespace

Status WriteLayer(const Call& call, const std::string& folder, const ByteSink& sink) {
  return LayerArchive(call, sink).Run(folder);
}

Result<uint64_t> MeasureLayer(const Call& call, const std::string& folder) {
  LayerMeasure measure(call);
  RETURN_IF_ERROR(measure.Walk(folder));
  return measure.bytes();
}

}  // namespace interlink::layer_archive
