#include "agent_hub/left_log.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <memory>
#include <optional>
#include <set>
#include <utility>

#include "base/beneath.h"
#include "base/unique_fd.h"
#include "shim/cri_log.h"
#include "shim/layout.h"
#include "shim/left_log.h"

namespace interlink::agent_hub {
namespace {

constexpr size_t kMaxLeftChunk = 1U << 20U;
constexpr size_t kMaxSegments = 100'000;
constexpr size_t kMaxEndFile = 64;

std::string NoteLine(uint64_t time_ns, const std::string& text) {
  std::string line(shim::kLogHeader, ' ');
  shim::PutLogHeader(line.data(), time_ns, shim::LogStream::kStderr, false);
  return line + "[interlink: " + text + "]\n";
}

class LeftLogFolder {
 public:
  static Result<LeftLogFolder> Open(const std::string& pod_folder, const ContainerId& container) {
    if (!IsFullId(container.str())) return InvalidArgument("the container id is not 64 hex digits");
    LeftLogFolder left;
    const UniqueFd pod(open(pod_folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!pod) return ErrnoStatus(errno, "open \"" + pod_folder + "\"");
    struct stat about {};
    if (fstat(pod.get(), &about) != 0) return ErrnoStatus(errno, "stat \"" + pod_folder + "\"");
    left.owner_ = about.st_uid;
    auto folder = OpenBeneath(pod.get(), std::string(shim::kLeftLogs) + "/" + container.str(),
                              O_RDONLY | O_DIRECTORY);
    if (folder.status().code() == Code::kNotFound) return left;
    if (!folder.ok()) return folder.status();
    left.folder_ = *std::move(folder);
    RETURN_IF_ERROR(left.ListSegments());
    RETURN_IF_ERROR(left.ReadEnds());
    return left;
  }

  bool complete() const { return complete_; }
  uint64_t saved() const { return saved_; }

  // Bytes from `offset` on, as many as lie together; none: there is a gap, or the end.
  Result<std::string> Read(uint64_t offset, size_t max) const {
    std::string bytes;
    while (bytes.size() < max && offset < saved_) {
      auto segment = segments_.upper_bound(offset);
      const uint64_t limit = segment == segments_.end() ? saved_ : std::min(saved_, *segment);
      if (segment == segments_.begin()) break;
      const uint64_t begin = *--segment;
      const uint64_t want = std::min<uint64_t>(max - bytes.size(), limit - offset);
      ASSIGN_OR_RETURN(const std::string more, ReadSegment(begin, offset - begin, want));
      if (more.empty()) break;
      bytes += more;
      offset += more.size();
    }
    return bytes;
  }

  // The first byte that there is at `offset` or later; nothing: none.
  std::optional<uint64_t> NextAfter(uint64_t offset) const {
    const auto segment = segments_.lower_bound(offset);
    if (segment == segments_.end() || *segment >= saved_) return {};
    return *segment;
  }

  // The last bytes, at most `max`, that lie together.
  Result<std::string> Tail(size_t max) const {
    uint64_t from = saved_ - std::min<uint64_t>(saved_, max);
    while (true) {
      ASSIGN_OR_RETURN(std::string bytes, Read(from, static_cast<size_t>(saved_ - from)));
      if (from + bytes.size() >= saved_) return bytes;
      const auto next = NextAfter(from + bytes.size() + 1);
      if (!next) return std::string();
      from = *next;
    }
  }

 private:
  Result<UniqueFd> OpenFile(const std::string& name) const {
    ASSIGN_OR_RETURN(UniqueFd file, OpenBeneath(folder_.get(), name, O_RDONLY | O_NONBLOCK));
    struct stat about {};
    if (fstat(file.get(), &about) != 0) return ErrnoStatus(errno, "stat \"" + name + "\"");
    if (!S_ISREG(about.st_mode) || about.st_uid != owner_)
      return DataLoss("\"" + name + "\" among the pod's logs is not the pod's own file");
    return file;
  }

  Status ListSegments() {
    const std::unique_ptr<DIR, int (*)(DIR*)> entries(
        fdopendir(fcntl(folder_.get(), F_DUPFD_CLOEXEC, 0)), closedir);
    if (!entries) return ErrnoStatus(errno, "list the pod's logs");
    errno = 0;
    while (const dirent* entry = readdir(entries.get())) {  // NOLINT(concurrency-mt-unsafe)
      uint64_t offset = 0;
      if (shim::ParseSegmentName(entry->d_name, offset)) segments_.insert(offset);
      if (segments_.size() > kMaxSegments) return DataLoss("the pod's logs are too many files");
      errno = 0;
    }
    return errno == 0 ? Status::Ok() : ErrnoStatus(errno, "list the pod's logs");
  }

  Status ReadEnds() {
    const auto saved = OpenFile(shim::kSavedFile);
    if (saved.ok()) {
      saved_ = shim::ReadLogOffset(saved->get());
    } else if (saved.status().code() != Code::kNotFound) {
      return saved.status();
    }
    const auto end = OpenFile(shim::kLogEndFile);
    if (end.status().code() == Code::kNotFound) return CutTornLine();
    if (!end.ok()) return end.status();
    std::string text(kMaxEndFile, '\0');
    const ssize_t size = pread(end->get(), text.data(), text.size(), 0);
    if (size < 0) return ErrnoStatus(errno, "read the end of a log");
    text.resize(static_cast<size_t>(size));
    uint64_t offset = 0;
    const size_t from = shim::kLogEndVersion.size();
    const char* last = text.data() + text.size() - 1;
    if (!text.starts_with(shim::kLogEndVersion) || !text.ends_with('\n'))
      return DataLoss("the end of a log is damaged");
    const auto parsed = std::from_chars(text.data() + from, last, offset);
    if (parsed.ec != std::errc() || parsed.ptr != last || offset < saved_)
      return DataLoss("the end of a log is damaged");
    saved_ = offset;
    complete_ = true;
    return {};
  }

  // Nothing comes after it that would complete the line.
  Status CutTornLine() {
    ASSIGN_OR_RETURN(const std::string tail, Tail(shim::kMaxLogLine));
    const size_t line_end = tail.rfind('\n');
    if (line_end != std::string::npos) saved_ -= tail.size() - line_end - 1;
    return {};
  }

  Result<std::string> ReadSegment(uint64_t begin, uint64_t at, uint64_t want) const {
    std::string name(shim::kSegmentName, '0');
    shim::PutSegmentName(name.data(), begin);
    ASSIGN_OR_RETURN(const UniqueFd file, OpenFile(name));
    std::string bytes(static_cast<size_t>(std::min<uint64_t>(want, kMaxLeftChunk)), '\0');
    const ssize_t size = pread(file.get(), bytes.data(), bytes.size(), static_cast<off_t>(at));
    if (size < 0) return ErrnoStatus(errno, "read a saved log");
    bytes.resize(static_cast<size_t>(size));
    return bytes;
  }

  UniqueFd folder_;
  uid_t owner_ = 0;
  std::set<uint64_t> segments_;
  uint64_t saved_ = 0;
  bool complete_ = false;
};

uint64_t TimeOfLine(std::string_view line) {
  shim::LogLine parsed;
  return shim::ParseLogLine(line, parsed) ? parsed.time_ns : 0;
}

uint64_t EndOf(const LeftLogFolder& left, uint64_t log_end) {
  return left.complete() ? left.saved() : std::max(log_end, left.saved() + 1);
}

// In the place of what is gone before `next`, and of the rest of its last line.
Result<sdk::LogChunk> GapLine(const LeftLogFolder& left, uint64_t offset, uint64_t next) {
  ASSIGN_OR_RETURN(const std::string bytes, left.Read(next, 2 * shim::kMaxLogLine));
  std::string_view rest = bytes;
  uint64_t time = TimeOfLine(rest.substr(0, rest.find('\n')));
  const size_t line_end = rest.find('\n');
  if (time == 0 && line_end != std::string_view::npos) {
    rest.remove_prefix(line_end + 1);
    next += line_end + 1;
    time = TimeOfLine(rest.substr(0, rest.find('\n')));
  }
  sdk::LogChunk chunk;
  chunk.bytes =
      NoteLine(time > 0 ? time - 1 : 0, std::to_string(next - offset) +
                                            " bytes of log were dropped: nobody read them in time");
  chunk.next = next;
  return chunk;
}

// In the place of what came after the last byte that was saved.
Result<sdk::LogChunk> LostLine(const LeftLogFolder& left, uint64_t offset, uint64_t end) {
  uint64_t time = 0;
  ASSIGN_OR_RETURN(std::string tail, left.Tail(2 * shim::kMaxLogLine));
  if (tail.ends_with('\n')) {
    tail.pop_back();
    time = TimeOfLine(std::string_view(tail).substr(tail.rfind('\n') + 1)) + 1;
  }
  sdk::LogChunk chunk;
  chunk.bytes =
      NoteLine(time, "the log ends here: what came after it was lost with the allocation");
  chunk.next = std::max(end, offset + 1);
  chunk.end = true;
  return chunk;
}

}  // namespace

Result<uint64_t> LeftLogEnd(const std::string& pod_folder, const ContainerId& container) {
  ASSIGN_OR_RETURN(const LeftLogFolder left, LeftLogFolder::Open(pod_folder, container));
  return EndOf(left, 0);
}

Result<sdk::LogChunk> ReadLeftLog(const std::string& pod_folder, const ContainerId& container,
                                  uint64_t log_end, uint64_t offset, size_t max) {
  ASSIGN_OR_RETURN(const LeftLogFolder left, LeftLogFolder::Open(pod_folder, container));
  const uint64_t end = EndOf(left, log_end);
  sdk::LogChunk chunk;
  chunk.next = offset;
  if (offset >= end) {
    chunk.end = true;
    return chunk;
  }
  ASSIGN_OR_RETURN(chunk.bytes, left.Read(offset, std::min(max, kMaxLeftChunk)));
  chunk.next += chunk.bytes.size();
  chunk.end = chunk.next >= end;
  if (!chunk.bytes.empty() || max == 0) return chunk;
  if (const auto next = left.NextAfter(offset)) return GapLine(left, offset, *next);
  if (!left.complete()) return LostLine(left, offset, end);
  return GapLine(left, offset, end);
}

}  // namespace interlink::agent_hub
