#include "log_file.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>

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
  formatter_.Add(stream, bytes, NowNs(),
                 [this](const char* lines, size_t size) { Append(lines, size); });
  if (size_ > next_check_) DropOldest();
}

void LogFile::Finish() {
  for (const LogStream stream : {LogStream::kStdout, LogStream::kStderr}) {
    formatter_.Finish(stream, NowNs(),
                      [this](const char* lines, size_t size) { Append(lines, size); });
  }
}

bool LogFile::AppendAll(const char* bytes, size_t size) {
  while (size > 0) {
    const ssize_t count = write(file_.get(), bytes, size);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    size_ += static_cast<uint64_t>(count);
    bytes += count;
    size -= static_cast<size_t>(count);
    torn_ = size > 0;
  }
  return true;
}

void LogFile::Append(const char* bytes, size_t size) {
  if (torn_ && !AppendAll("\n", 1)) {
    lost_ += size;
    return;
  }
  torn_ = false;
  if (lost_ > 0) {
    Text<kLogHeader + 160> line;
    char header[kLogHeader];
    PutLogHeader(header, formatter_.NextTime(NowNs()), LogStream::kStderr, false);
    line.Add({header, sizeof header}).Add("interlink: ").AddUnsigned(lost_);
    line.Add(" bytes of log were lost here: the site could not write them\n");
    if (!AppendAll(line.view().data(), line.size())) {
      lost_ += size;
      return;
    }
    lost_ = 0;
  }
  const uint64_t before = size_;
  if (!AppendAll(bytes, size)) lost_ += size - (size_ - before);
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
