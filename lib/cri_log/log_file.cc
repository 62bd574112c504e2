#include "cri_log/log_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <utility>

#include "cri_log/log_path.h"
#include "shim/cri_log.h"

namespace interlink::cri_log {
namespace {

// Small chunks are written together up to this size.
constexpr size_t kMaxPiece = 256 * 1024;

Result<uint64_t> SizeOf(const UniqueFd& fd) {
  struct stat about {};
  if (::fstat(fd.get(), &about) != 0) return ErrnoStatus(errno, "stat");
  return static_cast<uint64_t>(about.st_size);
}

}  // namespace

LogFile::LogFile(Start start)
    : start_(std::move(start)), expected_(start_.site_offset), written_(start_.site_offset) {}

Status LogFile::Take(uint64_t offset, std::string bytes, uint64_t next) {
  Status wrong;
  const uint64_t after = offset + bytes.size();
  if (offset > expected_) {
    wrong = InternalError("the site left out log bytes " + std::to_string(expected_) + " to " +
                          std::to_string(offset));
    tail_.clear();
    check_line_ = true;
  } else if (const uint64_t known = expected_ - offset; known > 0) {
    bytes.erase(0, static_cast<size_t>(std::min<uint64_t>(known, bytes.size())));
  }
  expected_ = std::max(expected_, after);
  if (tail_.empty()) {
    tail_ = std::move(bytes);
  } else {
    tail_ += bytes;
  }
  const size_t lines = tail_.rfind('\n') + 1;  // npos + 1 == 0
  std::string rest = tail_.substr(lines);
  tail_.resize(lines);
  Piece piece{std::exchange(tail_, std::move(rest)), 0};
  Skip(piece.bytes);
  if (tail_.size() > shim::kMaxLogLine) {
    wrong = InternalError("the site sent " + std::to_string(tail_.size()) +
                          " log bytes without a line end");
    tail_.clear();
    check_line_ = true;
  }
  if (next > expected_) {
    // The site has dropped what lies between, and said so in a line of its own.
    expected_ = next;
    tail_.clear();
    check_line_ = true;
  }
  piece.end = expected_ - tail_.size();
  if (!ready_.empty() && ready_.back().bytes.size() + piece.bytes.size() <= kMaxPiece) {
    ready_.back().bytes += piece.bytes;
    ready_.back().end = piece.end;
  } else if (piece.end > (ready_.empty() ? written_ : ready_.back().end)) {
    ready_.push_back(std::move(piece));
  }
  return wrong;
}

// Takes out of the front of `lines` what is in the file already, and a line without a beginning.
void LogFile::Skip(std::string& lines) {
  size_t at = 0;
  while (at < lines.size() && (check_line_ || start_.skip_until_ns != 0)) {
    const size_t end = lines.find('\n', at);
    shim::LogLine line;
    const bool whole = shim::ParseLogLine({lines.data() + at, end - at}, line);
    if (!whole && !check_line_) break;
    check_line_ = false;
    if (whole && line.time_ns > start_.skip_until_ns) {
      start_.skip_until_ns = 0;
      break;
    }
    at = end + 1;
  }
  lines.erase(0, at);
}

Status LogFile::Write(size_t budget) {
  RETURN_IF_ERROR(OpenFirst());
  while (!ready_.empty()) {
    Piece& piece = ready_.front();
    const size_t size = piece.bytes.size();
    if (size > 0 && !start_.path.empty()) RETURN_IF_ERROR(WritePiece(piece));
    written_ = piece.end;
    dirty_ = true;
    ready_.pop_front();
    if (size >= budget) return {};
    budget -= size;
  }
  return {};
}

Status LogFile::OpenFirst() {
  if (start_.open == Open::kMake) {
    ASSIGN_OR_RETURN(start_.current, MakeFolderAndOpen(start_.path));
  } else if (start_.open == Open::kResume) {
    ASSIGN_OR_RETURN(Resumed resumed, ResumeAt(start_.path));
    start_.current = std::move(resumed.current);
    start_.rotated = std::move(resumed.rotated);
    start_.skip_until_ns = resumed.last_time_ns;
    for (Piece& piece : ready_) Skip(piece.bytes);
  }
  start_.open = Open::kDone;
  return {};
}

// All of it, or some whole lines of it, which are then taken out, and an error.
Status LogFile::WritePiece(Piece& piece) {
  RETURN_IF_ERROR(OpenAgain());
  RETURN_IF_ERROR(CutTorn());
  size_t done = 0;
  int error = 0;
  while (done < piece.bytes.size() && error == 0) {
    const ssize_t n =
        ::write(start_.current.get(), piece.bytes.data() + done, piece.bytes.size() - done);
    if (n > 0) done += static_cast<size_t>(n);
    if (n == 0) error = ENOSPC;
    if (n < 0 && errno != EINTR) error = errno;
  }
  written_bytes_ += done;
  if (done > 0) dirty_ = true;
  if (error == 0) return {};
  const size_t lines = done == 0 ? 0 : piece.bytes.rfind('\n', done - 1) + 1;
  if (lines < done) {
    auto size = SizeOf(start_.current);
    if (size.ok()) torn_at_ = *size - (done - lines);
    written_bytes_ -= done - lines;
    // Now, or before the next write.
    if (const Status cut = CutTorn(); !cut.ok()) {
      piece.bytes.erase(0, lines);
      return cut;
    }
  }
  piece.bytes.erase(0, lines);
  return ErrnoStatus(error, "write");
}

Status LogFile::CutTorn() {
  if (!torn_at_.has_value()) return {};
  if (::ftruncate(start_.current.get(), static_cast<off_t>(*torn_at_)) != 0) {
    return ErrnoStatus(errno, "cut a torn line");
  }
  torn_at_.reset();
  return {};
}

// kubelet renames the file back when it could not rotate it: after a restart in between there was
// none.
Status LogFile::OpenAgain() {
  if (start_.current.valid()) return {};
  auto fd = OpenForAppend(start_.path, false);
  if (!fd.ok()) return fd.status();
  start_.current = *std::move(fd);
  return {};
}

Status LogFile::SyncOne(UniqueFd& fd) {
  if (!fd.valid() || ::fdatasync(fd.get()) == 0) return {};
  lost_ = ErrnoStatus(errno, "sync");
  return lost_;
}

Result<node::LogPosition> LogFile::Sync() {
  if (!lost_.ok()) return lost_;
  dirty_ = false;
  RETURN_IF_ERROR(SyncOne(start_.rotated));
  start_.rotated.Reset();
  if (!start_.current.valid()) return node::LogPosition{written_, 0};
  RETURN_IF_ERROR(SyncOne(start_.current));
  if (!folder_synced_) {
    // The name of a new file must survive too. The folder may be gone: so is the file then.
    const std::string folder = std::filesystem::path(start_.path).parent_path().string();
    UniqueFd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (fd.valid() && ::fsync(fd.get()) != 0) {
      lost_ = ErrnoStatus(errno, "sync the folder");
      return lost_;
    }
    folder_synced_ = true;
  }
  ASSIGN_OR_RETURN(const uint64_t size, SizeOf(start_.current));
  return node::LogPosition{written_, size};
}

Status LogFile::Replace(UniqueFd fd) {
  // Best effort: what the rotated files have is not to be written twice.
  Status status = start_.open == Open::kResume ? OpenFirst() : Status::Ok();
  start_.open = Open::kDone;
  if (const Status cut = CutTorn(); !cut.ok()) status = cut;
  torn_at_.reset();
  for (UniqueFd* old : {&start_.rotated, &start_.current}) {
    if (const Status synced = SyncOne(*old); !synced.ok()) status = synced;
    old->Reset();
  }
  start_.current = std::move(fd);
  folder_synced_ = false;
  return status;
}

bool LogFile::Gone() const {
  if (!start_.current.valid()) return true;
  struct stat about {};
  return ::fstat(start_.current.get(), &about) == 0 && about.st_nlink == 0;
}

}  // namespace interlink::cri_log
