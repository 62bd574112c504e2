#include "agent/secret_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "base/unique_fd.h"

namespace interlink::agent {
namespace {

constexpr size_t kMaxSecret = 1U << 20U;

}  // namespace

Result<std::string> ReadSecretFile(const std::string& path) {
  // Of what is open, not of the name: it may be another file a moment later.
  const UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file) return ErrnoStatus(errno, "open \"" + path + "\"");
  struct stat about {};
  if (fstat(file.get(), &about) != 0) return ErrnoStatus(errno, "stat \"" + path + "\"");
  if (!S_ISREG(about.st_mode)) {
    return PermissionDenied("\"" + path + "\" is not a regular file");
  }
  if ((about.st_mode & 077U) != 0) {
    return PermissionDenied("\"" + path + "\" can be used by others: its mode must be 0600");
  }
  if (about.st_uid != geteuid() && about.st_uid != 0) {
    return PermissionDenied("\"" + path + "\" belongs to another user");
  }
  std::string text;
  std::array<char, 4096> buffer{};
  while (true) {
    const ssize_t n = read(file.get(), buffer.data(), buffer.size());
    if (n < 0) return ErrnoStatus(errno, "read \"" + path + "\"");
    if (n == 0) break;
    text.append(buffer.data(), static_cast<size_t>(n));
    if (text.size() > kMaxSecret) return ResourceExhausted("\"" + path + "\" is too large");
  }
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' ')) {
    text.pop_back();
  }
  if (text.empty()) return InvalidArgument("\"" + path + "\" is empty");
  return text;
}

}  // namespace interlink::agent
