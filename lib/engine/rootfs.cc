#include "engine/rootfs.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <utility>

namespace interlink::engine {
namespace {

UniqueFd OpenInRoot(int root, const std::string& path, int flags) {
  open_how how{};
  how.flags = static_cast<uint64_t>(flags) | O_CLOEXEC;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  return UniqueFd(static_cast<int>(syscall(SYS_openat2, root, path.c_str(), &how, sizeof how)));
}

Result<std::string> PathOf(int fd) {
  std::array<char, PATH_MAX> buffer;
  const std::string link = "/proc/self/fd/" + std::to_string(fd);
  const ssize_t size = readlink(link.c_str(), buffer.data(), buffer.size());
  if (size < 0) return ErrnoStatus(errno, "read \"" + link + "\"");
  return std::string(buffer.data(), static_cast<size_t>(size));
}

}  // namespace

Result<Rootfs> Rootfs::Open(const std::string& path, uint32_t owner) {
  UniqueFd root(open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!root) return ErrnoStatus(errno, "open \"" + path + "\"");
  return Rootfs(path, std::move(root), owner);
}

Result<std::string> Rootfs::Read(const std::string& path, size_t limit) const {
  // To open a device is to use it, and the image may have put one there, or a fifo.
  const UniqueFd found = OpenInRoot(root_.get(), path, O_PATH);
  if (!found) {
    if (errno == ENOENT || errno == ENOTDIR) return std::string();
    return InvalidArgument("the image's \"" + path + "\" cannot be read");
  }
  struct stat about {};
  if (fstat(found.get(), &about) != 0) return ErrnoStatus(errno, "stat \"" + path + "\"");
  if (!S_ISREG(about.st_mode)) return InvalidArgument("the image's \"" + path + "\" is no file");
  const std::string link = "/proc/self/fd/" + std::to_string(found.get());
  const UniqueFd fd(open(link.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return ErrnoStatus(errno, "open the image's \"" + path + "\"");
  std::string bytes;
  std::array<char, 16384> buffer;
  while (true) {
    const ssize_t n = read(fd.get(), buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoStatus(errno, "read the image's \"" + path + "\"");
    if (n == 0) return bytes;
    bytes.append(buffer.data(), static_cast<size_t>(n));
    if (bytes.size() > limit) return InvalidArgument("the image's \"" + path + "\" is too large");
  }
}

Result<UniqueFd> Rootfs::OpenFolder(const std::string& path) const {
  UniqueFd folder = OpenInRoot(root_.get(), path.empty() ? "/" : path, O_PATH | O_DIRECTORY);
  if (folder) return folder;
  const int error = errno;
  const std::string name = "\"" + path + "\"";
  if (error == ENOENT) return InvalidArgument(name + " does not exist in the image");
  if (error == ENOTDIR) return InvalidArgument(name + " is not a folder in the image");
  if (error == ELOOP) return InvalidArgument(name + " is a loop of links in the image");
  if (error == ENAMETOOLONG) return InvalidArgument(name + " is too long a path");
  return ErrnoStatus(error, "open " + name + " in the image");
}

Result<std::string> Rootfs::MakeFolder(std::string_view path) const {
  if (path.empty() || path[0] != '/') {
    return InvalidArgument("\"" + std::string(path) + "\" is not an absolute path");
  }
  std::string done = "/";
  UniqueFd folder = OpenInRoot(root_.get(), done, O_PATH | O_DIRECTORY);
  if (!folder) return ErrnoStatus(errno, "open the root");
  while (!path.empty()) {
    const size_t slash = path.find('/');
    const std::string part(path.substr(0, slash));
    path.remove_prefix(slash == std::string_view::npos ? path.size() : slash + 1);
    if (part.empty() || part == ".") continue;
    const std::string next = done + (done == "/" ? "" : "/") + part;
    UniqueFd child = OpenInRoot(root_.get(), next, O_PATH | O_DIRECTORY);
    if (!child && errno == ENOENT && part != "..") {
      // A dangling link stays what it is: mkdirat does not follow it, and the open fails again.
      const bool made = mkdirat(folder.get(), part.c_str(), 0755) == 0;
      if (!made && errno != EEXIST) {
        return ErrnoStatus(errno, "make \"" + next + "\" in the container's root");
      }
      child = OpenInRoot(root_.get(), next, O_PATH | O_DIRECTORY);
      // Our umask is not the container's business.
      if (made && fchmodat(folder.get(), part.c_str(), 0755, 0) != 0) {
        return ErrnoStatus(errno, "chmod \"" + next + "\" in the container's root");
      }
      if (made && owner_ != 0 &&
          fchownat(folder.get(), part.c_str(), owner_, owner_, AT_SYMLINK_NOFOLLOW) != 0) {
        return ErrnoStatus(errno, "chown \"" + next + "\" in the container's root");
      }
    }
    if (!child) return InvalidArgument("\"" + next + "\" in the image is not a folder");
    folder = std::move(child);
    done = next;
  }
  ASSIGN_OR_RETURN(const std::string root, PathOf(root_.get()));
  ASSIGN_OR_RETURN(std::string found, PathOf(folder.get()));
  if (found != root && found.rfind(root + "/", 0) != 0) {
    return InvalidArgument("\"" + done + "\" leads out of the container's root");
  }
  return found;
}

}  // namespace interlink::engine
