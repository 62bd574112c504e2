#include "log_file.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "shim/layout.h"

namespace interlink::shim {

Outcome LogFile::Open() {
  file_ = Fd(open(kLogFile, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640));
  if (!file_.valid()) return Outcome::Errno(errno, kLogFile);
  struct stat info {};
  if (fstat(file_.get(), &info) != 0) return Outcome::Errno(errno, kLogFile);
  size_ = static_cast<uint64_t>(info.st_size);
  return {};
}

void LogFile::Add(LogStream stream, std::string_view bytes) {
  // Before the new lines get their times: the marker must have an earlier one.
  static_cast<void>(CatchUp());
  formatter_.Add(stream, bytes, NowNs(), [this](const char* lines, size_t size) {
    Append({lines, size});
  });
  if (size_ > next_check_) DropOldest();
}

void LogFile::Finish() {
  for (const LogStream stream : {LogStream::kStdout, LogStream::kStderr}) {
    static_cast<void>(CatchUp());
    formatter_.Finish(stream, NowNs(), [this](const char* lines, size_t size) {
      Append({lines, size});
    });
  }
  static_cast<void>(CatchUp());
}

size_t LogFile::Write(std::string_view bytes) {
  size_t written = 0;
  while (written < bytes.size()) {
    const ssize_t count = write(file_.get(), bytes.data() + written, bytes.size() - written);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    written += static_cast<size_t>(count);
  }
  size_ += written;
  return written;
}

bool LogFile::CatchUp() {
  if (rest_size_ > 0) {
    const size_t written = Write({rest_, rest_size_});
    rest_size_ -= written;
    std::memmove(rest_, rest_ + written, rest_size_);
    if (rest_size_ > 0) return false;
  }
  if (lost_ == 0) return true;
  const uint64_t lost = std::exchange(lost_, 0);
  Text<kLogHeader + 160> line;
  char header[kLogHeader];
  PutLogHeader(header, formatter_.NextTime(NowNs()), LogStream::kStderr, false);
  line.Add({header, sizeof header}).Add("interlink: ").AddUnsigned(lost);
  line.Add(" bytes of log were lost before this line: the site could not write them\n");
  Append(line.view());
  if (lost_ > 0) lost_ = lost;  // not even that: the marker itself does not count
  return lost_ == 0 && rest_size_ == 0;
}

// Appends whole lines. What a full disk refuses is lost, but for the line that it has cut.
void LogFile::Append(std::string_view lines) {
  if (rest_size_ > 0) {
    lost_ += lines.size();
    return;
  }
  const size_t written = Write(lines);
  if (written == lines.size()) return;
  const bool cut = written > 0 && lines[written - 1] != '\n';
  lines.remove_prefix(written);
  if (cut) {
    const void* end = std::memchr(lines.data(), '\n', lines.size());
    rest_size_ = static_cast<size_t>(static_cast<const char*>(end) - lines.data()) + 1;
    std::memcpy(rest_, lines.data(), rest_size_);
    lines.remove_prefix(rest_size_);
  }
  lost_ += lines.size();
}

void LogFile::DropOldest() {
  uint64_t acknowledged = 0;
  const Fd ack(open(kLogAckFile, O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (ack.valid()) acknowledged = ReadLogOffset(ack.get());
  const uint64_t kept_from = acknowledged > start_ ? acknowledged : start_;
  next_check_ = kept_from + limit_;
  if (size_ <= next_check_) return;
  // An eighth more than needed, so that this is rare; then the next line's begin.
  uint64_t from = size_ - limit_ + limit_ / 8;
  char line[kMaxLogLine];
  const ssize_t count = pread(file_.get(), line, sizeof line, static_cast<off_t>(from));
  const void* end = count > 0 ? std::memchr(line, '\n', static_cast<size_t>(count)) : nullptr;
  if (end == nullptr) return;
  from += static_cast<uint64_t>(static_cast<const char*>(end) - line) + 1;
  const Fd start(open(kLogStartFile, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  // First the word, then the deed: a reader that finds zeros finds the reason too.
  if (!start.valid() || !WriteLogOffset(start.get(), from)) return;
  start_ = from;
  next_check_ = start_ + limit_;
  const uint64_t hole = from & ~uint64_t{4095};
  // A file system without holes keeps the bytes; the log is bounded for its reader all the same.
  static_cast<void>(fallocate(file_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
                              static_cast<off_t>(hole)));
}

}  // namespace interlink::shim
