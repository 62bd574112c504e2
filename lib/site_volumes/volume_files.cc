#include "site_volumes/volume_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/mutex.h"

namespace interlink::site_volumes {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kKeptSeconds = 3600;  // a container that is to have it is created meanwhile
constexpr int64_t kNanosPerSecond = 1'000'000'000;
constexpr auto kTurn = std::chrono::seconds(10);  // for another one with the same path
constexpr size_t kMaxName = 120;  // bytes of a node's name; in hex it must fit a file's

std::string Hex(std::string_view text) {
  constexpr const char* kDigits = "0123456789abcdef";
  std::string hex;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    hex += kDigits[byte >> 4U];
    hex += kDigits[byte & 0xFU];
  }
  return hex;
}

// "sha256:HEX" -> HEX; anything else is no file of ours.
std::string FileName(const std::string& digest) {
  constexpr std::string_view kPrefix = "sha256:";
  constexpr size_t kDigits = 64;
  if (digest.rfind(kPrefix, 0) != 0) return "";
  const std::string hex = digest.substr(kPrefix.size());
  const bool right =
      hex.size() == kDigits && hex.find_first_not_of("0123456789abcdef") == std::string::npos;
  return right ? hex : "";
}

class VolumeFiles final : public site::Volumes {
 public:
  VolumeFiles(Options options, Log& log, const Clock& clock)
      : options_(std::move(options)), log_(log), clock_(clock) {}

  Status Load() {
    MutexLock lock(mutex_);
    std::error_code error;
    for (const auto& node : fs::directory_iterator(options_.folder, error)) {
      for (const auto& file : fs::directory_iterator(node.path(), error)) {
        // What a crash has left of a write goes with the next sweep.
        held_[node.path().string()][file.path().filename().string()] = file.file_size(error);
      }
    }
    if (error) return ErrnoStatus(error.value(), "look through \"" + options_.folder + "\"");
    return {};
  }

  Status Put(const NodeId& node, const std::string& digest, const std::string& bytes) override {
    ASSIGN_OR_RETURN(const std::string path, PathOf(node, digest));
    const std::string folder = FolderOf(node);
    RETURN_IF_ERROR(Begin(path));
    const Status status = PutInTurn(folder, FileName(digest), bytes);
    MutexLock lock(mutex_);
    busy_.erase(path);
    if (status.ok()) held_[folder][FileName(digest)] = bytes.size();
    free_.NotifyAll();
    return status;
  }

  Result<std::string> Get(const NodeId& node, const std::string& digest) const override {
    ASSIGN_OR_RETURN(const std::string path, PathOf(node, digest));
    auto bytes = ReadFile(path);
    if (bytes.status().code() != Code::kNotFound) return bytes;
    return NotFound("volume \"" + digest + "\" of this node is not at the site");
  }

  bool Has(const NodeId& node, const std::string& digest) const override {
    MutexLock lock(mutex_);
    const auto folder = held_.find(FolderOf(node));
    return folder != held_.end() && folder->second.count(FileName(digest)) != 0;
  }

  void KeepOnly(const std::map<NodeId, std::set<std::string>>& in_use) override {
    std::set<std::string> kept;
    for (const auto& [node, digests] : in_use) {
      for (const std::string& digest : digests)
        kept.insert(FolderOf(node) + "/" + FileName(digest));
    }
    std::vector<std::pair<std::string, std::string>> unused;  // folders and names
    {
      MutexLock lock(mutex_);
      for (const auto& [folder, files] : held_) {
        for (const auto& [name, size] : files) {
          if (kept.count(folder + "/" + name) == 0) unused.emplace_back(folder, name);
        }
      }
    }
    for (const auto& [folder, name] : unused) {
      const std::string path = folder + "/" + name;
      if (!Begin(path).ok()) continue;  // it is being put, or the next sweep has more luck
      const bool gone = RemoveOld(path);
      MutexLock lock(mutex_);
      busy_.erase(path);
      if (gone) held_[folder].erase(name);
      free_.NotifyAll();
    }
  }

 private:
  std::string FolderOf(const NodeId& node) const { return options_.folder + "/" + Hex(node.str()); }

  Result<std::string> PathOf(const NodeId& node, const std::string& digest) const {
    const std::string name = FileName(digest);
    if (name.empty()) return InvalidArgument("\"" + digest + "\" is no sha256 digest");
    if (node.str().empty() || node.str().size() > kMaxName) {
      return InvalidArgument("a node's name must have 1 to " + std::to_string(kMaxName) +
                             " bytes for its volumes to be kept");
    }
    return FolderOf(node) + "/" + name;
  }

  // One at a time has a path, and the lock is free meanwhile: a disk that stalls must not hold up
  // those who only look. Whoever begins erases the path from busy_.
  Status Begin(const std::string& path) {
    MutexLock lock(mutex_);
    const bool free = free_.WaitFor(mutex_, kTurn,
                                    [&]() REQUIRES_LOCK(mutex_) { return busy_.count(path) == 0; });
    if (!free) return Unavailable("\"" + path + "\" is being written, the disk is slow");
    busy_[path] = 0;
    return {};
  }

  // REQUIRES: the path's turn.
  Status PutInTurn(const std::string& folder, const std::string& name, const std::string& bytes) {
    const std::string path = folder + "/" + name;
    // Asked for anew: its hour begins again.
    if (utimensat(AT_FDCWD, path.c_str(), nullptr, 0) == 0) return SyncUnlessHeld(folder, name);
    if (errno != ENOENT) return ErrnoStatus(errno, "touch \"" + path + "\"");
    RETURN_IF_ERROR(Reserve(folder, path, bytes.size()));
    RETURN_IF_ERROR(MakeDirectories(folder, 0700));
    return WriteFileAtomically(path, bytes, 0600);
  }

  // A write that failed at last has left the file, and not durably.
  Status SyncUnlessHeld(const std::string& folder, const std::string& name) const {
    {
      MutexLock lock(mutex_);
      const auto files = held_.find(folder);
      if (files != held_.end() && files->second.count(name) != 0) return {};
    }
    return SyncDirectoryOf(folder + "/" + name);
  }

  // Counts what is being written as well.
  Status Reserve(const std::string& folder, const std::string& path, uint64_t size) {
    MutexLock lock(mutex_);
    uint64_t used = size;
    if (const auto files = held_.find(folder); files != held_.end()) {
      for (const auto& [name, bytes] : files->second) used += bytes;
    }
    const std::string prefix = folder + "/";
    for (auto it = busy_.lower_bound(prefix); it != busy_.end() && it->first.starts_with(prefix);
         ++it)
      used += it->second;
    if (used > options_.bytes_per_node) {
      return ResourceExhausted("with this one this node's volumes have " + std::to_string(used) +
                               " bytes at the site, more than " +
                               std::to_string(options_.bytes_per_node));
    }
    busy_[path] = size;
    return {};
  }

  // True: it is gone.
  bool RemoveOld(const std::string& path) const {
    struct stat about {};
    if (stat(path.c_str(), &about) != 0) return errno == ENOENT;
    if (clock_.WallNanos() / kNanosPerSecond - about.st_mtim.tv_sec < kKeptSeconds) return false;
    if (unlink(path.c_str()) == 0) return true;
    log_.Warning("cannot remove a volume that nobody uses", {{"path", path}});
    return false;
  }

  const Options options_;
  Log& log_;
  const Clock& clock_;
  mutable Mutex mutex_;
  CondVar free_;
  // Paths that somebody is writing, touching or removing, with the bytes that are new.
  std::map<std::string, uint64_t> busy_ GUARDED_BY(mutex_);
  // Sizes of files, by folder and name.
  std::map<std::string, std::map<std::string, uint64_t>> held_ GUARDED_BY(mutex_);
};

}  // namespace

Result<std::unique_ptr<site::Volumes>> Open(Options options, Log& log, const Clock& clock) {
  RETURN_IF_ERROR(MakeDirectories(options.folder, 0700));
  auto files = std::make_unique<VolumeFiles>(std::move(options), log, clock);
  RETURN_IF_ERROR(files->Load());
  return std::unique_ptr<site::Volumes>(std::move(files));
}

}  // namespace interlink::site_volumes
