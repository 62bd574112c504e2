#include "kubelet_volumes/kubelet_volumes.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <ctime>
#include <filesystem>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/unique_fd.h"
#include "kubelet_volumes/service_account.h"
#include "kubelet_volumes/snapshot.h"
#include "wire/volume_digest.h"

namespace interlink::kubelet_volumes {
namespace {

using node::TakenMount;

constexpr int kTries = 3;
constexpr mode_t kFolderBits = 03777;
constexpr const char* kEmptyDir = "kubernetes.io~empty-dir";
constexpr const char* kProjected = "kubernetes.io~projected";
constexpr std::array<std::string_view, 4> kCopied = {
    "kubernetes.io~configmap", "kubernetes.io~secret", kProjected, "kubernetes.io~downward-api"};
constexpr size_t kMaxToken = 16384;

std::vector<std::string> Parts(const std::string& path) {
  std::vector<std::string> parts;
  for (size_t at = 0; at <= path.size();) {
    const size_t slash = std::min(path.find('/', at), path.size());
    parts.push_back(path.substr(at, slash - at));
    at = slash + 1;
  }
  return parts;
}

bool IsPart(const std::string& part) { return !part.empty() && part != "." && part != ".."; }

bool IsCopied(const std::string& kind) {
  return std::find(kCopied.begin(), kCopied.end(), kind) != kCopied.end();
}

Status DoesNotTravel(const std::string& what) {
  return Unimplemented(what +
                       " does not travel to a site on another machine: ConfigMap, Secret, "
                       "projected and downwardAPI volumes, emptyDir, /etc/hosts and the "
                       "termination log do");
}

std::string MarkOf(const struct stat& about) {
  const auto time = [](const timespec& at) {
    return std::to_string(at.tv_sec) + "." + std::to_string(at.tv_nsec);
  };
  return std::to_string(about.st_dev) + ":" + std::to_string(about.st_ino) + ":" +
         std::to_string(about.st_size) + ":" + time(about.st_mtim) + ":" + time(about.st_ctim);
}

// Of what is changed in its place. What was changed just now may be so once more within the same
// tick of the clock: it has another mark each time that it is asked for.
std::optional<std::string> MarkInPlace(const std::string& path) {
  constexpr int64_t kYoungSeconds = 2;
  struct stat about {};
  timespec now{};
  if (lstat(path.c_str(), &about) != 0 || clock_gettime(CLOCK_REALTIME, &now) != 0) return {};
  std::string mark = MarkOf(about);
  if (now.tv_sec - about.st_ctim.tv_sec > kYoungSeconds) return mark;
  return mark + ":" + std::to_string(now.tv_sec) + "." + std::to_string(now.tv_nsec);
}

// Kubelet makes a new folder each time, and a link to it.
std::optional<std::string> MarkOfVolume(const std::string& path) {
  const std::string data = path + "/..data";
  std::array<char, PATH_MAX> target{};
  const ssize_t size = readlink(data.c_str(), target.data(), target.size());
  struct stat about {};
  if (size < 0 || stat(data.c_str(), &about) != 0) return MarkInPlace(path);
  return std::string(target.data(), static_cast<size_t>(size)) + ":" + MarkOf(about);
}

class KubeletFolder final : public node::KubeletVolumes {
 public:
  explicit KubeletFolder(std::string folder) : folder_(std::move(folder)) {}

  bool IsOfPod(const std::string& host_path, const std::string& pod_uid) const override {
    return IsPart(pod_uid) && pod_uid.find('/') == std::string::npos &&
           host_path.rfind(PodFolder(pod_uid), 0) == 0;
  }

  std::optional<bool> HasPod(const std::string& pod_uid) const override {
    if (!IsPart(pod_uid) || pod_uid.find('/') != std::string::npos) return {};
    // Without the folder of all pods nothing can be told of one.
    const UniqueFd pods(open((folder_ + "/pods").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    struct stat found {};
    if (!pods) return {};
    if (fstatat(pods.get(), pod_uid.c_str(), &found, AT_SYMLINK_NOFOLLOW) == 0) return true;
    return errno == ENOENT ? std::optional<bool>(false) : std::nullopt;
  }

  Result<TakenMount> Take(const std::string& host_path, const std::string& pod_uid) const override {
    const auto parts = Parts(host_path.substr(PodFolder(pod_uid).size()));
    if (!std::all_of(parts.begin(), parts.end(), IsPart)) {
      return InvalidArgument("\"" + host_path + "\" is no path in a pod's folder");
    }
    if (parts.size() == 1 && parts[0] == "etc-hosts") return Copy(host_path);
    if (parts.size() == 3 && parts[0] == "containers") return TerminationLogAt(host_path);
    if (parts.size() == 3 && parts[0] == "volumes" && IsCopied(parts[1])) return Copy(host_path);
    if (parts.size() == 3 && parts[0] == "volumes" && parts[1] == kEmptyDir) {
      return EmptyFolder(host_path, parts[2]);
    }
    if (parts.size() == 4 && parts[0] == "volume-subpaths") {
      return SubPath(host_path, pod_uid, parts[1]);
    }
    const std::string kind = parts[0] == "volumes" && parts.size() > 1 ? parts[1] : parts[0];
    return DoesNotTravel("\"" + host_path + "\" (" + kind + ")");
  }

  std::string ServiceAccountOf(const std::string& pod_uid,
                               const std::string& pod_namespace) const override {
    if (!IsPart(pod_uid) || pod_uid.find('/') != std::string::npos) return "";
    const std::string volumes = PodFolder(pod_uid) + "volumes/" + kProjected;
    std::error_code error;
    std::filesystem::directory_iterator it(volumes, error);
    for (; !error && it != std::filesystem::directory_iterator(); it.increment(error)) {
      // Through kubelet's own links.
      const auto token = ReadFile(it->path().string() + "/token", kMaxToken);
      if (!token.ok()) continue;
      std::string name = ServiceAccountIn(*token, {pod_uid, pod_namespace});
      if (!name.empty()) return name;
    }
    return "";
  }

  std::optional<std::string> Mark(const std::string& host_path,
                                  const std::string& pod_uid) const override {
    if (!IsOfPod(host_path, pod_uid)) return {};
    const auto parts = Parts(host_path.substr(PodFolder(pod_uid).size()));
    if (!std::all_of(parts.begin(), parts.end(), IsPart)) return {};
    if (parts.size() == 1 && parts[0] == "etc-hosts") return MarkInPlace(host_path);
    if (parts.size() == 3 && parts[0] == "volumes" && IsCopied(parts[1]))
      return MarkOfVolume(host_path);
    return {};
  }

 private:
  std::string PodFolder(const std::string& uid) const { return folder_ + "/pods/" + uid + "/"; }

  static Result<TakenMount> Copy(const std::string& path) {
    Result<interlink::v1::VolumeSnapshot> snapshot = Unavailable("not taken yet");
    for (int i = 0; i < kTries && snapshot.status().code() == Code::kUnavailable; ++i) {
      snapshot = TakeSnapshot(path);
    }
    if (!snapshot.ok()) return snapshot.status();
    TakenMount taken;
    taken.snapshot = snapshot->SerializeAsString();
    taken.source.set_snapshot(wire::VolumeDigest(taken.snapshot));
    return taken;
  }

  static Result<struct stat> About(const std::string& path) {
    struct stat about {};
    if (lstat(path.c_str(), &about) == 0) return about;
    return ErrnoStatus(errno, "stat \"" + path + "\"");
  }

  static Result<TakenMount> TerminationLogAt(const std::string& path) {
    ASSIGN_OR_RETURN(const struct stat about, About(path));
    if (!S_ISREG(about.st_mode)) return InvalidArgument("\"" + path + "\" is no file");
    TakenMount taken;
    taken.source.mutable_termination_log()->set_mode(about.st_mode & 0777);
    return taken;
  }

  static Result<TakenMount> EmptyFolder(const std::string& path, const std::string& name) {
    ASSIGN_OR_RETURN(const struct stat about, About(path));
    if (!S_ISDIR(about.st_mode)) return InvalidArgument("\"" + path + "\" is no folder");
    TakenMount taken;
    auto& folder = *taken.source.mutable_pod_folder();
    folder.set_name(name);
    folder.set_mode(about.st_mode & kFolderBits);
    folder.set_uid(about.st_uid);
    folder.set_gid(about.st_gid);
    return taken;
  }

  // Kubelet has mounted a part of a volume there; what it is a part of says whether it travels.
  Result<TakenMount> SubPath(const std::string& path, const std::string& uid,
                             const std::string& volume) const {
    for (const std::string_view kind : kCopied) {
      const std::string whole = PodFolder(uid) + "volumes/" + std::string(kind) + "/" + volume;
      if (access(whole.c_str(), F_OK) == 0) return Copy(path);
    }
    return DoesNotTravel("a subPath of volume \"" + volume + "\"");
  }

  const std::string folder_;
};

}  // namespace

std::unique_ptr<node::KubeletVolumes> Open(std::string folder) {
  return std::make_unique<KubeletFolder>(std::move(folder));
}

}  // namespace interlink::kubelet_volumes
