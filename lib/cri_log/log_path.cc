#include "cri_log/log_path.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <tuple>
#include <vector>

#include "base/file.h"
#include "shim/cri_log.h"

namespace interlink::cri_log {
namespace {

constexpr size_t kBlock = 64 * 1024;
constexpr mode_t kMode = 0640;

bool EndsWith(const std::string& text, std::string_view end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

std::string FolderOf(const std::string& path) {
  return std::filesystem::path(path).parent_path().string();
}

Status OpenError(int error, const std::string& path) {
  struct stat about {};
  if (error == ENOENT && ::stat(FolderOf(path).c_str(), &about) != 0) {
    return NotFound("log folder \"" + FolderOf(path) + "\" does not exist");
  }
  if (error == ELOOP) return InvalidArgument("log file \"" + path + "\" is a symbolic link");
  if (error == EISDIR) return InvalidArgument("log file \"" + path + "\" is a folder");
  return ErrnoStatus(error, "open log file \"" + path + "\"");
}

// Rotated files, newest first. Compressed ones have older lines than any that is not.
Result<std::vector<std::string>> RotatedFiles(const std::string& path) {
  const std::string prefix = std::filesystem::path(path).filename().string() + ".";
  std::error_code error;
  std::vector<std::tuple<int64_t, std::string>> found;
  for (std::filesystem::directory_iterator it(FolderOf(path), error), end; !error && it != end;
       it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (name.compare(0, prefix.size(), prefix) != 0) continue;
    if (EndsWith(name, ".gz") || EndsWith(name, ".tmp")) continue;
    struct stat about {};
    if (::lstat(it->path().c_str(), &about) != 0 || !S_ISREG(about.st_mode)) continue;
    found.emplace_back(about.st_mtim.tv_sec * 1'000'000'000LL + about.st_mtim.tv_nsec,
                       it->path().string());
  }
  if (error == std::errc::no_such_file_or_directory) return std::vector<std::string>{};
  if (error) return ErrnoStatus(error.value(), "list \"" + FolderOf(path) + "\"");
  std::sort(found.rbegin(), found.rend());
  std::vector<std::string> names;
  for (auto& [time, name] : found) names.push_back(std::move(name));
  return names;
}

Result<std::string> ReadAt(int fd, uint64_t offset, size_t size) {
  std::string bytes(size, '\0');
  size_t have = 0;
  while (have < size) {
    const ssize_t n =
        ::pread(fd, bytes.data() + have, size - have, static_cast<off_t>(offset + have));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoStatus(errno, "read");
    if (n == 0) break;
    have += static_cast<size_t>(n);
  }
  bytes.resize(have);
  return bytes;
}

// The offset after the last line end before `size`, 0: there is none.
Result<uint64_t> EndOfLines(int fd, uint64_t size) {
  while (size > 0) {
    const uint64_t begin = size > kBlock ? size - kBlock : 0;
    ASSIGN_OR_RETURN(const std::string block, ReadAt(fd, begin, static_cast<size_t>(size - begin)));
    const size_t at = block.rfind('\n');
    if (at != std::string::npos) return begin + at + 1;
    size = begin;
  }
  return uint64_t{0};
}

// The time of the last CRI line before `end` (which is after a line end); a few lines of another
// form are passed over.
Result<uint64_t> LastTime(int fd, uint64_t end) {
  const uint64_t begin = end > kBlock ? end - kBlock : 0;
  ASSIGN_OR_RETURN(const std::string block, ReadAt(fd, begin, static_cast<size_t>(end - begin)));
  std::string_view rest = block;
  while (!rest.empty()) {
    rest.remove_suffix(1);
    const size_t line_end = rest.rfind('\n');
    // The block's first line may be cut, unless the block is the whole file.
    if (line_end == std::string_view::npos && begin > 0) break;
    const size_t line_begin = line_end == std::string_view::npos ? 0 : line_end + 1;
    shim::LogLine line;
    if (shim::ParseLogLine(rest.substr(line_begin), line)) return line.time_ns;
    rest = rest.substr(0, line_begin);
  }
  return uint64_t{0};
}

// Cuts a torn last line and returns the time of the last whole one, 0: none.
Result<uint64_t> Settle(int fd) {
  struct stat about {};
  if (::fstat(fd, &about) != 0) return ErrnoStatus(errno, "stat");
  const auto size = static_cast<uint64_t>(about.st_size);
  ASSIGN_OR_RETURN(const uint64_t end, EndOfLines(fd, size));
  if (end < size && ::ftruncate(fd, static_cast<off_t>(end)) != 0) {
    return ErrnoStatus(errno, "cut a torn line");
  }
  return LastTime(fd, end);
}

Result<UniqueFd> OpenChecked(const std::string& path, int flags) {
  // O_NONBLOCK: opening a pipe must not wait for its other end.
  UniqueFd fd(::open(path.c_str(),
                     flags | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK, kMode));
  if (!fd) return OpenError(errno, path);
  struct stat about {};
  if (::fstat(fd.get(), &about) != 0) return ErrnoStatus(errno, "stat \"" + path + "\"");
  if (!S_ISREG(about.st_mode)) {
    return InvalidArgument("log file \"" + path + "\" is not a regular file");
  }
  return fd;
}

}  // namespace

Status CheckPath(const std::string& path) {
  const std::string context = "log path \"" + path.substr(0, 256) + "\"";
  if (path.empty() || path.front() != '/') return InvalidArgument(context + " is not absolute");
  if (path.size() >= PATH_MAX) return InvalidArgument(context + "... is too long");
  if (path.find('\0') != std::string::npos) return InvalidArgument(context + " has a NUL in it");
  if (path.back() == '/') return InvalidArgument(context + " names a folder");
  for (const auto& part : std::filesystem::path(path)) {
    if (part == "..") return InvalidArgument(context + " has \"..\" in it");
  }
  return {};
}

Result<UniqueFd> OpenForAppend(const std::string& path, bool create) {
  if (create) {
    auto made = OpenChecked(path, O_RDWR | O_CREAT | O_EXCL);
    if (made.ok() && ::fchmod(made->get(), kMode) != 0) {
      return ErrnoStatus(errno, "chmod \"" + path + "\"");
    }
    if (made.status().code() != Code::kAlreadyExists) return made;
  }
  return OpenChecked(path, O_RDWR);
}

Result<UniqueFd> MakeFolderAndOpen(const std::string& path) {
  RETURN_IF_ERROR(MakeDirectories(FolderOf(path), 0755));
  return OpenForAppend(path, true);
}

Result<Resumed> ResumeAt(const std::string& path) {
  Resumed resumed;
  auto current = OpenForAppend(path, false);
  if (!current.ok() && current.status().code() != Code::kNotFound) return current.status();
  if (current.ok()) {
    resumed.current = *std::move(current);
    auto time = Settle(resumed.current.get());
    if (!time.ok()) return time.status().WithContext("log file \"" + path + "\"");
    resumed.last_time_ns = *time;
  }
  if (resumed.last_time_ns != 0) return resumed;
  ASSIGN_OR_RETURN(const auto rotated, RotatedFiles(path));
  for (const std::string& name : rotated) {
    auto fd = OpenForAppend(name, false);
    if (!fd.ok() && fd.status().code() == Code::kNotFound) continue;  // kubelet has removed it
    if (!fd.ok()) return fd.status();
    auto time = Settle(fd->get());
    if (!time.ok()) return time.status().WithContext("log file \"" + name + "\"");
    if (*time == 0) continue;
    resumed.rotated = *std::move(fd);
    resumed.last_time_ns = *time;
    break;
  }
  return resumed;
}

}  // namespace interlink::cri_log
