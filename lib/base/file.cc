#include "base/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>
#include <system_error>

#include "base/id.h"
#include "base/unique_fd.h"

namespace interlink {
namespace {

std::string Quoted(std::string_view verb, const std::string& path) {
  return std::string(verb) + " \"" + path + "\"";
}

Status WriteAll(int fd, std::string_view bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoStatus(errno, Quoted("write", path));
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return {};
}

constexpr int kMaxDepth = 64;  // open descriptors of one removal

struct Removal {
  int top;  // the tree's first folder
  const std::function<bool()>& go_on;
};

int RemoveEntries(const Removal& removal, UniqueFd folder, int depth);

// Images have folders that their own owner may not change.
bool GiveOwnerAccess(int folder) {
  return ::chmod(("/proc/self/fd/" + std::to_string(folder)).c_str(), S_IRWXU) == 0;
}

// A folder in `parent`, not on another mount: with the same device number that could be one too.
UniqueFd OpenFolderIn(int parent, const char* name, int flags) {
  open_how how{};
  how.flags = static_cast<unsigned>(flags | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV;
  return UniqueFd(static_cast<int>(::syscall(SYS_openat2, parent, name, &how, sizeof how)));
}

bool GiveOwnerAccess(int parent, const char* name) {
  const UniqueFd folder = OpenFolderIn(parent, name, O_PATH);
  return folder && GiveOwnerAccess(folder.get());
}

// 0 or an errno value.
int MoveUp(int parent, const char* name, int top) {
  const std::string higher = ".deep-" + RandomHex(8);
  return ::renameat(parent, name, top, higher.c_str()) == 0 || errno == ENOENT ? 0 : errno;
}

// `parent`/`name` is a folder. 0 or an errno value.
int RemoveFolder(const Removal& removal, int parent, const char* name, int depth) {
  if (depth >= kMaxDepth) {
    // Nobody's tree is too deep: what is below goes up, and is removed from there.
    const int error = MoveUp(parent, name, removal.top);
    return error == EACCES && GiveOwnerAccess(parent, name) ? MoveUp(parent, name, removal.top)
                                                            : error;
  }
  UniqueFd folder = OpenFolderIn(parent, name, O_RDONLY);
  if (!folder && errno == EACCES) {
    if (GiveOwnerAccess(parent, name)) folder = OpenFolderIn(parent, name, O_RDONLY);
  }
  if (!folder) return errno == ENOENT ? 0 : errno == EXDEV ? EBUSY : errno;
  const int error = RemoveEntries(removal, std::move(folder), depth + 1);
  if (error != 0) return error;
  return ::unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT ? 0 : errno;
}

// Until a pass finds nothing, or something that stays. 0 or an errno value, the first.
int RemoveEntries(const Removal& removal, UniqueFd folder, int depth) {
  const std::unique_ptr<DIR, int (*)(DIR*)> entries(::fdopendir(folder.get()), ::closedir);
  if (!entries) return errno;
  const int fd = folder.Release();
  int first = 0;
  for (bool found = true; found; ::rewinddir(entries.get())) {
    found = false;
    errno = 0;
    while (const dirent* entry = ::readdir(entries.get())) {
      const char* name = entry->d_name;
      if (std::strcmp(name, ".") == 0 || std::strcmp(name, "..") == 0) continue;
      found = true;
      if (removal.go_on && !removal.go_on()) return ECANCELED;
      int error = ::unlinkat(fd, name, 0) == 0 ? 0 : errno;
      if (error == EACCES && GiveOwnerAccess(fd)) error = ::unlinkat(fd, name, 0) == 0 ? 0 : errno;
      if (error == EISDIR) error = RemoveFolder(removal, fd, name, depth);
      if (error == ECANCELED) return error;
      if (first == 0 && error != ENOENT) first = error;
      errno = 0;
    }
    if (errno != 0) return errno;
    if (first != 0) break;
  }
  return first;
}

}  // namespace

Status SyncDirectoryOf(const std::string& path) {
  std::string parent = std::filesystem::path(path).parent_path().string();
  if (parent.empty()) parent = ".";
  const UniqueFd fd(::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return ErrnoStatus(errno, Quoted("open", parent));
  if (fsync(fd.get()) != 0) return ErrnoStatus(errno, Quoted("sync", parent));
  return {};
}

namespace {

Result<std::string> ReadAll(int fd, const std::string& path, size_t limit) {
  std::string bytes;
  std::array<char, 16384> buffer;
  while (true) {
    const ssize_t n = ::read(fd, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoStatus(errno, Quoted("read", path));
    if (n == 0) return bytes;
    if (bytes.size() + static_cast<size_t>(n) > limit) {
      return ResourceExhausted(Quoted("read", path) + ": larger than " + std::to_string(limit) +
                               " bytes");
    }
    bytes.append(buffer.data(), static_cast<size_t>(n));
  }
}

}  // namespace

Result<std::string> ReadFile(const std::string& path, size_t limit) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return ErrnoStatus(errno, Quoted("open", path));
  return ReadAll(fd.get(), path, limit);
}

Result<std::string> ReadPlainFile(const std::string& path, size_t limit) {
  const Status strange = DataLoss("\"" + path + "\" is no regular file");
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!fd && (errno == ELOOP || errno == ENXIO)) return strange;
  if (!fd) return ErrnoStatus(errno, Quoted("open", path));
  struct stat about {};
  if (fstat(fd.get(), &about) != 0) return ErrnoStatus(errno, Quoted("stat", path));
  if (!S_ISREG(about.st_mode)) return strange;
  return ReadAll(fd.get(), path, limit);
}

Status WriteFileAtomically(const std::string& path, std::string_view bytes, mode_t mode) {
  const std::string temporary = path + ".tmp-" + RandomHex(6);
  UniqueFd fd(
      ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode));
  if (!fd) return ErrnoStatus(errno, Quoted("create", temporary));
  Status status = WriteAll(fd.get(), bytes, temporary);
  if (status.ok() && fchmod(fd.get(), mode) != 0)
    status = ErrnoStatus(errno, Quoted("chmod", temporary));
  if (status.ok() && fdatasync(fd.get()) != 0)
    status = ErrnoStatus(errno, Quoted("sync", temporary));
  fd.Reset();
  if (status.ok() && ::rename(temporary.c_str(), path.c_str()) != 0) {
    status = ErrnoStatus(errno, Quoted("rename to", path));
  }
  if (!status.ok()) {
    ::unlink(temporary.c_str());
    return status;
  }
  return SyncDirectoryOf(path);
}

Status MakeDirectories(const std::string& path, mode_t mode) {
  std::string part;
  for (const auto& component : std::filesystem::path(path)) {
    part = part.empty() ? component.string() : (std::filesystem::path(part) / component).string();
    if (part.empty() || part == "/") continue;
    if (::mkdir(part.c_str(), mode) != 0 && errno != EEXIST)
      return ErrnoStatus(errno, Quoted("mkdir", part));
  }
  struct stat about {};
  if (::stat(path.c_str(), &about) != 0) return ErrnoStatus(errno, Quoted("stat", path));
  if (!S_ISDIR(about.st_mode)) return FailedPrecondition("\"" + path + "\" is not a directory");
  return {};
}

Status RemoveTree(const std::string& path, const std::function<bool()>& go_on) {
  struct stat about {};
  if (::lstat(path.c_str(), &about) != 0) {
    return errno == ENOENT ? Status::Ok() : ErrnoStatus(errno, Quoted("stat", path));
  }
  if (!S_ISDIR(about.st_mode)) {
    if (::unlink(path.c_str()) == 0 || errno == ENOENT) return {};
    return ErrnoStatus(errno, Quoted("remove", path));
  }
  constexpr int kFlags = O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  UniqueFd folder(::open(path.c_str(), O_RDONLY | kFlags));
  if (!folder && errno == EACCES) {
    const UniqueFd closed(::open(path.c_str(), O_PATH | kFlags));
    if (closed) GiveOwnerAccess(closed.get());
    folder = UniqueFd(::open(path.c_str(), O_RDONLY | kFlags));
  }
  if (!folder) return ErrnoStatus(errno, Quoted("open", path));
  const Removal removal{folder.get(), go_on};
  int error = RemoveEntries(removal, std::move(folder), 1);
  if (error == 0 && ::rmdir(path.c_str()) != 0 && errno != ENOENT) error = errno;
  if (error == ECANCELED) return CancelledError(Quoted("remove", path) + ": ended early");
  return error == 0 ? Status::Ok() : ErrnoStatus(error, Quoted("remove", path));
}

}  // namespace interlink
