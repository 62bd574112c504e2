#include "agent/left_log.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "base/file.h"
#include "shim/layout.h"
#include "shim/left_log.h"

namespace interlink::agent {
namespace {

constexpr uint64_t kCopyBlock = 1U << 20U;

uint64_t OffsetIn(const std::string& path) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  return fd ? shim::ReadLogOffset(fd.get()) : 0;
}

Status WriteWhole(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = write(fd, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return ErrnoStatus(errno, "write");
    bytes.remove_prefix(static_cast<size_t>(count));
  }
  return {};
}

}  // namespace

uint64_t LeftLog::Floor() const {
  return std::max(OffsetIn(shim_folder_ + "/" + shim::kLogAckFile),
                  OffsetIn(shim_folder_ + "/" + shim::kLogStartFile));
}

Status LeftLog::Load() {
  if (loaded_) return {};
  std::error_code error;
  std::filesystem::directory_iterator it(folder_, error);
  for (; !error && it != std::filesystem::directory_iterator(); it.increment(error)) {
    uint64_t offset = 0;
    if (shim::ParseSegmentName(it->path().filename().string(), offset))
      segments_[offset] = it->path().string();
  }
  if (error && error != std::errc::no_such_file_or_directory)
    return ErrnoStatus(error.value(), "list \"" + folder_ + "\"");
  saved_ = written_ = OffsetIn(folder_ + "/" + shim::kSavedFile);
  loaded_ = true;
  return {};
}

Result<uint64_t> LeftLog::Save(uint64_t until) {
  const std::string path = shim_folder_ + "/" + shim::kLogFile;
  const UniqueFd log(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!log) return ErrnoStatus(errno, "open \"" + path + "\"");
  struct stat about {};
  if (fstat(log.get(), &about) != 0) return ErrnoStatus(errno, "stat \"" + path + "\"");
  const auto size = static_cast<uint64_t>(about.st_size);
  RETURN_IF_ERROR(Load());
  Status copied = CopyUntil(log.get(), std::min(until, size));
  if (copied.ok()) copied = Sync();
  if (!copied.ok()) {
    // What was written beyond saved_ is written again, into a segment of its own.
    segment_.Reset();
    written_ = saved_;
    return copied.WithContext("save the log in \"" + folder_ + "\"");
  }
  RETURN_IF_ERROR(Trim(OffsetIn(shim_folder_ + "/" + shim::kLogAckFile)));
  return size;
}

Status LeftLog::CopyUntil(int log, uint64_t until) {
  written_ = saved_;
  while (written_ < until) {
    std::string bytes(std::min(kCopyBlock, until - written_), '\0');
    const ssize_t count = pread(log, bytes.data(), bytes.size(), static_cast<off_t>(written_));
    if (count < 0) return ErrnoStatus(errno, "read the log");
    if (count == 0) break;
    bytes.resize(static_cast<size_t>(count));
    // After the bytes (shim/layout.h): below it they may be holes by now.
    const uint64_t floor = Floor();
    if (floor > written_) {
      segment_.Reset();
      written_ = floor;
      continue;
    }
    RETURN_IF_ERROR(Append(bytes));
  }
  return {};
}

Status LeftLog::Append(const std::string& bytes) {
  const bool full =
      segment_ && written_ - segments_.rbegin()->first + bytes.size() > shim::kSegmentLimit;
  if (full) {
    RETURN_IF_ERROR(Sync());
    segment_.Reset();
  }
  if (!segment_) RETURN_IF_ERROR(OpenSegment(written_));
  RETURN_IF_ERROR(WriteWhole(segment_.get(), bytes));
  written_ += bytes.size();
  return {};
}

Status LeftLog::OpenSegment(uint64_t offset) {
  RETURN_IF_ERROR(MakeDirectories(folder_, 0700));
  std::string name(shim::kSegmentName, '0');
  shim::PutSegmentName(name.data(), offset);
  const std::string path = folder_ + "/" + name;
  segment_ =
      UniqueFd(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!segment_) return ErrnoStatus(errno, "create \"" + path + "\"");
  segments_[offset] = path;
  RETURN_IF_ERROR(SyncDirectoryOf(path));
  return SyncDirectoryOf(folder_);
}

// First the bytes, then the word that they are there.
Status LeftLog::Sync() {
  if (written_ == saved_) return {};
  if (segment_ && fdatasync(segment_.get()) != 0) return ErrnoStatus(errno, "sync a segment");
  if (!segments_.empty()) {
    const std::string path = folder_ + "/" + shim::kSavedFile;
    const UniqueFd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!fd || !shim::WriteLogOffset(fd.get(), written_) || fdatasync(fd.get()) != 0)
      return ErrnoStatus(errno, "write \"" + path + "\"");
  }
  saved_ = written_;
  return {};
}

Status LeftLog::Trim(uint64_t acknowledged) {
  const uint64_t from = std::max(acknowledged, saved_ > limit_ ? saved_ - limit_ : 0);
  while (!segments_.empty()) {
    const auto first = segments_.begin();
    const auto second = std::next(first);
    const uint64_t end = second == segments_.end() ? saved_ : second->first;
    if (end > from) break;
    if (second == segments_.end()) segment_.Reset();
    if (unlink(first->second.c_str()) != 0 && errno != ENOENT)
      return ErrnoStatus(errno, "remove \"" + first->second + "\"");
    segments_.erase(first);
  }
  return {};
}

Status LeftLog::Finish() {
  auto size = Save(UINT64_MAX);
  if (size.status().code() == Code::kNotFound) {
    // It never began to run. A log that has gone is something else.
    RETURN_IF_ERROR(Load());
    if (saved_ > 0) return size.status();
    size = 0;
  }
  RETURN_IF_ERROR(size.status());
  RETURN_IF_ERROR(MakeDirectories(folder_, 0700));
  const std::string text = std::string(shim::kLogEndVersion) + std::to_string(*size) + "\n";
  RETURN_IF_ERROR(WriteFileAtomically(folder_ + "/" + shim::kLogEndFile, text, 0600));
  segment_.Reset();
  return SyncDirectoryOf(folder_);
}

}  // namespace interlink::agent
