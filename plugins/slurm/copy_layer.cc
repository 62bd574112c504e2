#include "slurm/copy_layer.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <climits>
#include <cstring>
#include <map>
#include <memory>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "base/beneath.h"
#include "base/mutex.h"
#include "base/unique_fd.h"
#include "base/utf8.h"

namespace interlink::slurm {
namespace {

// A file server answers several at once, each as slowly as one.
constexpr size_t kCopiers = 8;
constexpr auto kLookAgain = std::chrono::seconds(1);
constexpr size_t kCopyBlock = 1U << 20U;
constexpr mode_t kAllBits = 07777;
constexpr mode_t kOwnerReads = S_IRUSR;
constexpr mode_t kOwnerEnters = S_IRUSR | S_IXUSR;
constexpr const char* kOpaque = "user.overlay.opaque";
constexpr const char* kCapability = "security.capability";

std::string EntryName(const std::string& path) {
  return "\"" + Utf8Prefix(path.empty() ? "/" : path, 200) + "\"";
}

Status CopyFailed(int error, const std::string& verb, const std::string& path) {
  return ErrnoStatus(error, verb + " " + EntryName(path));
}

std::array<timespec, 2> TimesOf(const struct stat& about) {
  return {timespec{0, UTIME_OMIT}, about.st_mtim};
}

bool IsOpaque(int folder) {
  for (const char* name : {"trusted.overlay.opaque", kOpaque}) {
    char value = 0;
    if (fgetxattr(folder, name, &value, 1) == 1 && value == 'y') return true;
  }
  return false;
}

class LayerCopy {
 public:
  LayerCopy(const Call& call, const FileOwner& owner, LayerOwners owners)
      : call_(call), owner_(owner), kept_(owners == LayerOwners::kKept) {}

  Status Run(const std::string& from, const std::string& to) {
    from_ = UniqueFd(open(from.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!from_) return ErrnoStatus(errno, "open the layer \"" + from + "\"");
    {
      const OwnersRights rights(owner_);
      if (mkdir(to.c_str(), S_IRWXU) != 0) return ErrnoStatus(errno, "make \"" + to + "\"");
      to_ = UniqueFd(open(to.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
      if (!to_) return ErrnoStatus(errno, "open \"" + to + "\"");
    }
    {
      MutexLock lock(mutex_);
      waiting_.emplace_back();
    }
    RETURN_IF_ERROR(InParallel(&LayerCopy::CopyFolders));
    RETURN_IF_ERROR(MakeLinks());
    return InParallel(&LayerCopy::FinishFolders);
  }

 private:
  struct Folder {
    std::string path;
    struct stat about;
  };
  struct Link {
    std::string first;  // the name of the file that was seen before
    std::string path;
    struct stat about;
  };
  struct Entry {
    int from;  // the folders that it is in
    int to;
    const char* name;
    std::string path;
    struct stat about;
  };

  mode_t FileMode(const struct stat& about) const {
    return kept_ ? about.st_mode & kAllBits : (about.st_mode & 0777U) | kOwnerReads;
  }
  mode_t FolderMode(const struct stat& about) const {
    return kept_ ? about.st_mode & kAllBits
                 : (about.st_mode & (0777U | S_ISVTX | S_ISGID)) | kOwnerEnters;
  }

  Status InParallel(Status (LayerCopy::*work)()) {
    std::array<Status, kCopiers> ends;
    {
      std::vector<std::jthread> threads;
      threads.reserve(kCopiers);
      try {
        for (size_t i = 1; i < kCopiers; ++i)
          threads.emplace_back([this, work, &end = ends[i]] { end = (this->*work)(); });
      } catch (const std::system_error&) {  // no more threads for us: fewer do
      }
      ends[0] = (this->*work)();
    }
    for (Status& end : ends) RETURN_IF_ERROR(std::move(end));
    return {};
  }

  // Until no folder waits and none is being copied, which may bring more.
  Status CopyFolders() {
    while (true) {
      std::string path;
      {
        MutexLock lock(mutex_);
        const auto settled = [this]() NO_LOCK_ANALYSIS {
          return !waiting_.empty() || copying_ == 0 || stopped_;
        };
        while (!settled()) changed_.WaitFor(mutex_, kLookAgain, settled);
        if (stopped_ || waiting_.empty()) return {};
        path = std::move(waiting_.back());
        waiting_.pop_back();
        ++copying_;
      }
      Status copied = CopyFolder(path);
      MutexLock lock(mutex_);
      --copying_;
      stopped_ = stopped_ || !copied.ok();
      changed_.NotifyAll();
      if (!copied.ok()) return copied;
    }
  }

  Status CopyFolder(const std::string& path) {
    ASSIGN_OR_RETURN(const UniqueFd from, OpenBeneath(from_.get(), path, O_RDONLY | O_DIRECTORY));
    Folder folder{path, {}};
    if (fstat(from.get(), &folder.about) != 0) return CopyFailed(errno, "stat", path);
    ASSIGN_OR_RETURN(const UniqueFd to, OpenCopy(path));
    RETURN_IF_ERROR(SetOwner(to.get(), folder.about, path));
    RETURN_IF_ERROR(CopyAttributes(from.get(), to.get(), path));
    if (IsOpaque(from.get())) RETURN_IF_ERROR(SetAttribute(to.get(), kOpaque, "y", path));
    const std::unique_ptr<DIR, int (*)(DIR*)> entries(
        fdopendir(fcntl(from.get(), F_DUPFD_CLOEXEC, 0)), closedir);
    if (!entries) return CopyFailed(errno, "list", path);
    errno = 0;
    while (const dirent* entry = readdir(entries.get())) {  // NOLINT(concurrency-mt-unsafe)
      const std::string name = entry->d_name;
      if (name == "." || name == "..") continue;
      RETURN_IF_ERROR(call_.Check("copying the layer"));
      RETURN_IF_ERROR(CopyEntry(
          {from.get(), to.get(), name.c_str(), (path.empty() ? "" : path + "/") + name, {}}));
      errno = 0;
    }
    if (errno != 0) return CopyFailed(errno, "list", path);
    MutexLock lock(mutex_);
    folders_.push_back(std::move(folder));
    return {};
  }

  Result<UniqueFd> OpenCopy(const std::string& path) {
    const OwnersRights rights(owner_);
    return OpenBeneath(to_.get(), path, O_RDONLY | O_DIRECTORY);
  }

  Status CopyEntry(Entry entry) {
    if (fstatat(entry.from, entry.name, &entry.about, AT_SYMLINK_NOFOLLOW) != 0)
      return CopyFailed(errno, "stat", entry.path);
    const mode_t kind = entry.about.st_mode & S_IFMT;
    if (kind == S_IFDIR) return MakeFolder(entry);
    if (kind != S_IFLNK && kind != S_IFREG && kind != S_IFIFO && !IsWhiteout(entry)) return {};
    // Whiteouts may share one inode; each is made anew.
    if (entry.about.st_nlink > 1 && !IsWhiteout(entry)) {
      MutexLock lock(mutex_);
      const auto [first, fresh] =
          files_.emplace(std::pair(entry.about.st_dev, entry.about.st_ino), entry.path);
      if (!fresh) {
        links_.push_back({first->second, entry.path, entry.about});
        return {};
      }
    }
    return MakeCopy(entry);
  }

  Status MakeCopy(const Entry& entry) {
    switch (entry.about.st_mode & S_IFMT) {
      case S_IFLNK:
        return CopyLink(entry);
      case S_IFREG:
        return CopyFile(entry);
      case S_IFIFO:
        return MakeNode(entry, S_IFIFO | FileMode(entry.about));
      default:
        return MakeNode(entry, S_IFCHR);
    }
  }

  static bool IsWhiteout(const Entry& entry) {
    return S_ISCHR(entry.about.st_mode) && entry.about.st_rdev == makedev(0, 0);
  }

  Status MakeFolder(const Entry& entry) {
    const OwnersRights rights(owner_);
    if (mkdirat(entry.to, entry.name, S_IRWXU) != 0) return CopyFailed(errno, "make", entry.path);
    MutexLock lock(mutex_);
    waiting_.push_back(entry.path);
    changed_.NotifyOne();
    return {};
  }

  // When all files are there that they are links to.
  Status MakeLinks() {
    for (const Link& link : links_) {
      RETURN_IF_ERROR(call_.Check("copying the layer"));
      const size_t slash = link.path.rfind('/');
      const std::string parent = slash == std::string::npos ? "" : link.path.substr(0, slash);
      const std::string name = link.path.substr(slash == std::string::npos ? 0 : slash + 1);
      ASSIGN_OR_RETURN(const UniqueFd from,
                       OpenBeneath(from_.get(), parent, O_RDONLY | O_DIRECTORY));
      ASSIGN_OR_RETURN(const UniqueFd to, OpenCopy(parent));
      const Entry entry{from.get(), to.get(), name.c_str(), link.path, link.about};
      ASSIGN_OR_RETURN(const bool made, MakeLink(link.first, entry));
      if (!made) RETURN_IF_ERROR(MakeCopy(entry));
    }
    return {};
  }

  // False: this file system cannot.
  Result<bool> MakeLink(const std::string& first, const Entry& entry) {
    const OwnersRights rights(owner_);
    if (linkat(to_.get(), first.c_str(), entry.to, entry.name, 0) == 0) return true;
    for (const int error : {EPERM, EXDEV, EMLINK, EOPNOTSUPP, ENOSYS})
      if (errno == error) return false;
    return CopyFailed(errno, "link", entry.path);
  }

  Status CopyLink(const Entry& entry) {
    std::string target(PATH_MAX, '\0');
    const ssize_t size = readlinkat(entry.from, entry.name, target.data(), target.size());
    if (size < 0) return CopyFailed(errno, "read the link", entry.path);
    target.resize(static_cast<size_t>(size));
    const OwnersRights rights(owner_);
    if (symlinkat(target.c_str(), entry.to, entry.name) != 0)
      return CopyFailed(errno, "make the link", entry.path);
    return SetOwnerAndTimes(entry);
  }

  Status MakeNode(const Entry& entry, mode_t mode) {
    const OwnersRights rights(owner_);
    if (mknodat(entry.to, entry.name, mode, makedev(0, 0)) != 0) {
      if (!S_ISCHR(mode)) return CopyFailed(errno, "make the fifo", entry.path);
      return FailedPrecondition(
          "the whiteout of " + EntryName(entry.path) + " cannot be made (" +
          ErrnoStatus(errno, "mknod").message() +
          "): layers for jobs need Linux 5.8 and a file system with device nodes");
    }
    if (S_ISCHR(mode)) return {};
    // mknod obeys the process's umask.
    RETURN_IF_ERROR(SetOwnerAndTimes(entry));
    if (fchmodat(entry.to, entry.name, mode & kAllBits, 0) != 0)
      return CopyFailed(errno, "chmod", entry.path);
    return {};
  }

  Status SetOwnerAndTimes(const Entry& entry) const {
    if (kept_ && fchownat(entry.to, entry.name, entry.about.st_uid, entry.about.st_gid,
                          AT_SYMLINK_NOFOLLOW) != 0)
      return CopyFailed(errno, "chown", entry.path);
    const auto times = TimesOf(entry.about);
    if (utimensat(entry.to, entry.name, times.data(), AT_SYMLINK_NOFOLLOW) != 0)
      return CopyFailed(errno, "set the time of", entry.path);
    return {};
  }

  Status CopyFile(const Entry& entry) {
    constexpr int kFlags = O_NOFOLLOW | O_CLOEXEC;
    const UniqueFd from(openat(entry.from, entry.name, O_RDONLY | O_NONBLOCK | kFlags));
    if (!from) return CopyFailed(errno, "open", entry.path);
    UniqueFd to;
    {
      const OwnersRights rights(owner_);
      to = UniqueFd(
          openat(entry.to, entry.name, O_WRONLY | O_CREAT | O_EXCL | kFlags, S_IRUSR | S_IWUSR));
    }
    if (!to) return CopyFailed(errno, "create", entry.path);
    RETURN_IF_ERROR(CopyContents(from.get(), to.get(), entry));
    RETURN_IF_ERROR(SetOwner(to.get(), entry.about, entry.path));
    RETURN_IF_ERROR(CopyAttributes(from.get(), to.get(), entry.path));
    return FinishInode(to.get(), FileMode(entry.about), entry.about, entry.path);
  }

  // Holes stay holes.
  Status CopyContents(int from, int to, const Entry& entry) {
    const off_t size = entry.about.st_size;
    off_t begin = 0;
    while (begin < size) {
      off_t data = lseek(from, begin, SEEK_DATA);
      if (data < 0 && errno == ENXIO) break;
      off_t hole = data < 0 ? -1 : lseek(from, data, SEEK_HOLE);
      if (hole < 0) {  // a file system that does not tell
        data = begin;
        hole = size;
      }
      RETURN_IF_ERROR(CopyRange(from, to, data, std::min(hole, size), entry.path));
      begin = hole;
    }
    // Behind the last byte that was written there may be a hole.
    struct stat about {};
    if (fstat(to, &about) != 0) return CopyFailed(errno, "stat", entry.path);
    if (about.st_size != size && ftruncate(to, size) != 0)
      return CopyFailed(errno, "write", entry.path);
    return {};
  }

  Status CopyRange(int from, int to, off_t begin, off_t end, const std::string& path) {
    while (begin < end) {
      RETURN_IF_ERROR(call_.Check("copying the layer"));
      const auto want = static_cast<size_t>(std::min<off_t>(end - begin, 16 * off_t{kCopyBlock}));
      off_t read_at = begin;
      off_t write_at = begin;
      const ssize_t copied =
          kernel_copies_ ? copy_file_range(from, &read_at, to, &write_at, want, 0) : 0;
      if (copied > 0) {
        begin += copied;
        continue;
      }
      // Between many pairs of file systems, and kernels, it cannot; each says so in its own way.
      kernel_copies_ = false;
      ASSIGN_OR_RETURN(
          begin, CopyBlock(from, to, begin, std::min<off_t>(end, begin + off_t{kCopyBlock}), path));
    }
    return {};
  }

  Result<off_t> CopyBlock(int from, int to, off_t begin, off_t end, const std::string& path) {
    std::vector<char> buffer(static_cast<size_t>(end - begin));
    const ssize_t size = pread(from, buffer.data(), buffer.size(), begin);
    if (size < 0) return CopyFailed(errno, "read", path);
    if (size == 0) return DataLoss(EntryName(path) + " became shorter while it was copied");
    for (ssize_t done = 0; done < size;) {
      const ssize_t count =
          pwrite(to, buffer.data() + done, static_cast<size_t>(size - done), begin + done);
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return CopyFailed(errno, "write", path);
      done += count;
    }
    return begin + size;
  }

  Status CopyAttributes(int from, int to, const std::string& path) {
    std::string names(XATTR_LIST_MAX, '\0');
    const ssize_t size = flistxattr(from, names.data(), names.size());
    if (size < 0 && errno == EOPNOTSUPP) return {};
    if (size < 0) return CopyFailed(errno, "list the attributes of", path);
    names.resize(static_cast<size_t>(size));
    for (size_t at = 0; at < names.size();) {
      const std::string name = names.c_str() + at;
      at += name.size() + 1;
      const bool wanted = name.starts_with("user.") && !name.starts_with("user.overlay.");
      if (!wanted && !(kept_ && name == kCapability)) continue;
      std::string value(XATTR_SIZE_MAX, '\0');
      const ssize_t length = fgetxattr(from, name.c_str(), value.data(), value.size());
      if (length < 0) return CopyFailed(errno, "read the attribute " + name + " of", path);
      value.resize(static_cast<size_t>(length));
      RETURN_IF_ERROR(SetAttribute(to, name.c_str(), value, path));
    }
    return {};
  }

  Status SetAttribute(int to, const char* name, const std::string& value, const std::string& path) {
    const OwnersRights rights(owner_);
    if (fsetxattr(to, name, value.data(), value.size(), 0) == 0) return {};
    if (errno != EOPNOTSUPP)
      return CopyFailed(errno, std::string("set the attribute ") + name + " of", path);
    return FailedPrecondition(EntryName(path) + " needs the attribute " + Utf8Prefix(name, 100) +
                              ": layers for jobs need a file system with user.* attributes");
  }

  // Before its mode and its attributes: both lose rights by it.
  Status SetOwner(int fd, const struct stat& about, const std::string& path) const {
    const OwnersRights rights(owner_);
    if (!kept_ || fchown(fd, about.st_uid, about.st_gid) == 0) return {};
    return CopyFailed(errno, "chown", path);
  }

  Status FinishInode(int fd, mode_t mode, const struct stat& about, const std::string& path) {
    const OwnersRights rights(owner_);
    if (fchmod(fd, mode) != 0) return CopyFailed(errno, "chmod", path);
    const auto times = TimesOf(about);
    if (futimens(fd, times.data()) != 0) return CopyFailed(errno, "set the time of", path);
    return {};
  }

  // Last: a closed folder takes no files, and each file changes its time.
  Status FinishFolders() {
    while (true) {
      const size_t at = next_folder_++;
      if (at >= folders_.size()) return {};
      const Folder& folder = folders_[at];
      RETURN_IF_ERROR(call_.Check("copying the layer"));
      ASSIGN_OR_RETURN(const UniqueFd to, OpenCopy(folder.path));
      RETURN_IF_ERROR(FinishInode(to.get(), FolderMode(folder.about), folder.about, folder.path));
    }
  }

  const Call& call_;
  const FileOwner owner_;
  const bool kept_;  // owners, modes and file capabilities
  UniqueFd from_;
  UniqueFd to_;
  std::atomic<bool> kernel_copies_ = true;
  Mutex mutex_;
  CondVar changed_;
  std::vector<std::string> waiting_ GUARDED_BY(mutex_);  // made and empty; "" is the layer's root
  int copying_ GUARDED_BY(mutex_) = 0;
  bool stopped_ GUARDED_BY(mutex_) = false;
  std::map<std::pair<dev_t, ino_t>, std::string> files_ GUARDED_BY(mutex_);  // of several names
  // Written while folders are copied, with the lock; read when that is over.
  std::vector<Link> links_;
  std::vector<Folder> folders_;
  std::atomic<size_t> next_folder_ = 0;
};

}  // namespace

Status CopyLayer(const Call& call, const std::string& from, const std::string& to,
                 const FileOwner& owner, LayerOwners owners) {
  return LayerCopy(call, owner, owners).Run(from, to);
}

}  // namespace interlink::slurm
