#include "site_volumes/volume_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

#include "base/file.h"
#include "base/mutex.h"

namespace interlink::site_volumes {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kKeptSeconds = 3600;  // a container that is to have it is created meanwhile
constexpr int64_t kNanosPerSecond = 1'000'000'000;
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
    MutexLock lock(mutex_);
    // Asked for anew: its hour begins again.
    if (utimensat(AT_FDCWD, path.c_str(), nullptr, 0) == 0) return {};
    if (errno != ENOENT) return ErrnoStatus(errno, "touch \"" + path + "\"");
    auto& held = held_[folder];
    uint64_t used = bytes.size();
    for (const auto& [name, size] : held) used += size;
    if (used > options_.bytes_per_node) {
      return ResourceExhausted("with this one this node's volumes have " + std::to_string(used) +
                               " bytes at the site, more than " +
                               std::to_string(options_.bytes_per_node));
    }
    RETURN_IF_ERROR(MakeDirectories(folder, 0700));
    RETURN_IF_ERROR(WriteFileAtomically(path, bytes, 0600));
    held[FileName(digest)] = bytes.size();
    return {};
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
    MutexLock lock(mutex_);
    for (auto& [folder, files] : held_) {
      std::erase_if(files, [&, &folder = folder](const auto& file) {
        const std::string path = folder + "/" + file.first;
        return kept.count(path) == 0 && RemoveOld(path);
      });
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
