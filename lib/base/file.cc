#include "base/file.h"

#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>
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

Status SyncDirectoryOf(const std::string& path) {
  std::string parent = std::filesystem::path(path).parent_path().string();
  if (parent.empty()) parent = ".";
  const UniqueFd fd(::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return ErrnoStatus(errno, Quoted("open", parent));
  if (fsync(fd.get()) != 0) return ErrnoStatus(errno, Quoted("sync", parent));
  return {};
}

}  // namespace

Result<std::string> ReadFile(const std::string& path, size_t limit) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return ErrnoStatus(errno, Quoted("open", path));
  std::string bytes;
  std::array<char, 16384> buffer;
  while (true) {
    const ssize_t n = ::read(fd.get(), buffer.data(), buffer.size());
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

Status RemoveTree(const std::string& path) {
  struct stat about {};
  if (::lstat(path.c_str(), &about) != 0) {
    return errno == ENOENT ? Status::Ok() : ErrnoStatus(errno, Quoted("stat", path));
  }
  const auto remove_one = [](const char* name, const struct stat*, int, struct FTW*) {
    return ::remove(name) == 0 || errno == ENOENT ? 0 : errno;
  };
  const int error = nftw(path.c_str(), remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
  if (error > 0) return ErrnoStatus(error, Quoted("remove", path));
  if (error < 0) return ErrnoStatus(errno, Quoted("remove", path));
  return {};
}

}  // namespace interlink
