#include "auth/audit_files.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/file.h"

namespace interlink::auth {
namespace {

// What is looked at for the last whole line.
constexpr off_t kTail = 2 * static_cast<off_t>(kMaxAuditLine);

struct Tail {
  std::string last_line;  // "": the file has no whole line
  uint64_t torn = 0;      // bytes behind it
};

Result<Tail> ReadTail(const std::string& path) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return ErrnoStatus(errno, "open \"" + path + "\"");
  struct stat about {};
  if (fstat(fd.get(), &about) != 0) return ErrnoStatus(errno, "look at \"" + path + "\"");
  const off_t begin = std::max<off_t>(0, about.st_size - kTail);
  std::string bytes(static_cast<size_t>(about.st_size - begin), '\0');
  const ssize_t got = pread(fd.get(), bytes.data(), bytes.size(), begin);
  if (got != static_cast<ssize_t>(bytes.size())) return ErrnoStatus(errno, "read \"" + path + "\"");
  Tail tail;
  const size_t newline = bytes.rfind('\n');
  if (newline == std::string::npos) {
    if (begin != 0) return DataLoss("\"" + path + "\" has no line at its end");
    tail.torn = bytes.size();
    return tail;
  }
  tail.torn = bytes.size() - newline - 1;
  const size_t before = newline == 0 ? std::string::npos : bytes.rfind('\n', newline - 1);
  const size_t first = before == std::string::npos ? 0 : before + 1;
  tail.last_line = bytes.substr(first, newline - first);
  return tail;
}

Result<uint64_t> NumberOfLine(const std::string& line, const std::string& path) {
  const auto json = nlohmann::json::parse(line, nullptr, false);
  if (!json.is_object() || !json.contains("n") || !json["n"].is_number_unsigned() ||
      !json.contains("prev")) {
    return DataLoss("the last line of \"" + path +
                    "\" is none of an audit log: move the folder away, and look at what happened");
  }
  return json["n"].get<uint64_t>();
}

std::string OpenMembers(const AuditFilesOptions& options, uint64_t file, uint64_t torn) {
  nlohmann::ordered_json json = {{"event", "open"},      {"format", 1},  {"daemon", options.daemon},
                                 {"name", options.name}, {"file", file}, {"pid", getpid()}};
  if (torn != 0) json["torn"] = torn;
  const std::string text = json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  return text.substr(1, text.size() - 2);
}

}  // namespace

Result<std::vector<uint64_t>> ListAuditFiles(const std::string& folder) {
  std::vector<uint64_t> numbers;
  std::error_code error;
  for (auto entry = std::filesystem::directory_iterator(folder, error);
       !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    const uint64_t number = AuditFileNumber(entry->path().filename().string());
    if (number != 0) numbers.push_back(number);
  }
  if (error) return ErrnoStatus(error.value(), "list \"" + folder + "\"");
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

Result<AuditFiles> AuditFiles::Open(AuditFilesOptions options, AuditKey key, const Clock& clock) {
  RETURN_IF_ERROR(MakeDirectories(options.folder, 0700));
  AuditFiles files(std::move(options), std::move(key), clock);
  const std::string& folder = files.options_.folder;
  files.folder_ = UniqueFd(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!files.folder_) return ErrnoStatus(errno, "open \"" + folder + "\"");
  if (flock(files.folder_.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return ErrnoStatus(errno, "lock \"" + folder + "\"");
    return FailedPrecondition("another process writes the audit log in \"" + folder +
                              "\": each daemon needs a folder of its own");
  }
  RETURN_IF_ERROR(files.Recover());
  RETURN_IF_ERROR(files.OpenNext());
  RETURN_IF_ERROR(files.Sync());
  return files;
}

Status AuditFiles::Recover() {
  ASSIGN_OR_RETURN(const std::vector<uint64_t> numbers, ListAuditFiles(options_.folder));
  if (!numbers.empty()) number_ = numbers.back();
  for (auto number = numbers.rbegin(); number != numbers.rend(); ++number) {
    const std::string path = options_.folder + "/" + AuditFileName(*number);
    ASSIGN_OR_RETURN(const Tail tail, ReadTail(path));
    if (number == numbers.rbegin()) torn_ = tail.torn;
    if (tail.last_line.empty()) continue;  // died before its first line was whole
    ASSIGN_OR_RETURN(const uint64_t last, NumberOfLine(tail.last_line, path));
    chain_.next = last + 1;
    chain_.last = AuditHash(tail.last_line);
    return {};
  }
  return {};
}

Status AuditFiles::OpenNext() {
  const uint64_t number = number_ + 1;
  const std::string path = options_.folder + "/" + AuditFileName(number);
  UniqueFd file(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!file) return ErrnoStatus(errno, "make \"" + path + "\"");
  file_ = std::move(file);
  path_ = path;
  size_ = 0;
  const Status begun = WriteSigned(OpenMembers(options_, number, torn_));
  if (!begun.ok()) {
    file_.Reset();
    unlink(path.c_str());  // empty: Write takes back what it could not finish
    return begun;
  }
  number_ = number;
  torn_ = 0;
  RETURN_IF_ERROR(SyncDirectoryOf(path));
  return RemoveOldest();
}

Status AuditFiles::RemoveOldest() {
  if (options_.max_files == 0) return {};
  ASSIGN_OR_RETURN(const std::vector<uint64_t> numbers, ListAuditFiles(options_.folder));
  for (size_t i = 0; i + options_.max_files < numbers.size(); ++i) {
    const std::string path = options_.folder + "/" + AuditFileName(numbers[i]);
    if (unlink(path.c_str()) != 0) return ErrnoStatus(errno, "remove \"" + path + "\"");
  }
  return {};
}

Status AuditFiles::Write(std::string_view bytes, const AuditChain& chain) {
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t n = pwrite(file_.get(), bytes.data() + done, bytes.size() - done,
                             static_cast<off_t>(size_ + done));
    if (n > 0) {
      done += static_cast<size_t>(n);
      continue;
    }
    if (n < 0 && errno == EINTR) continue;
    const int error = n == 0 ? EIO : errno;
    // Nothing half stays: the next try writes the same lines again.
    if (done != 0 && ftruncate(file_.get(), static_cast<off_t>(size_)) != 0) {
      torn_ = done;
      file_.Reset();  // a new one goes on behind its last whole line
    }
    return ErrnoStatus(error, "write \"" + path_ + "\"");
  }
  size_ += bytes.size();
  chain_ = chain;
  dirty_ = true;
  return {};
}

Status AuditFiles::WriteSigned(std::string_view members) {
  AuditChain chain = chain_;
  ASSIGN_OR_RETURN(const std::string line, chain.AddSigned(clock_->WallNanos(), members, key_));
  RETURN_IF_ERROR(Write(line, chain));
  unsealed_ = 0;
  return {};
}

Status AuditFiles::Append(const std::vector<Entry>& entries) {
  if (file_.valid() && size_ >= options_.max_file_bytes) RETURN_IF_ERROR(Close());
  if (!file_.valid()) RETURN_IF_ERROR(OpenNext());
  AuditChain chain = chain_;
  std::string bytes;
  for (const Entry& entry : entries) bytes += chain.Add(entry.wall_nanos, entry.members);
  RETURN_IF_ERROR(Write(bytes, chain));
  unsealed_ += entries.size();
  return {};
}

Status AuditFiles::Sync() {
  if (!dirty_ || !file_.valid()) return {};
  if (fdatasync(file_.get()) != 0) {
    const Status failed = ErrnoStatus(errno, "sync \"" + path_ + "\"");
    // What the disk has of it cannot be known any more: a new file goes on.
    file_.Reset();
    return failed;
  }
  dirty_ = false;
  return {};
}

Status AuditFiles::Seal() {
  if (unsealed_ == 0 || !file_.valid()) return {};
  return WriteSigned("\"event\":\"seal\"");
}

Status AuditFiles::Close() {
  if (!file_.valid()) return {};
  RETURN_IF_ERROR(WriteSigned("\"event\":\"close\""));
  const Status synced = Sync();
  file_.Reset();
  return synced;
}

}  // namespace interlink::auth
