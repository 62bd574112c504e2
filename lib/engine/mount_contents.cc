#include "engine/mount_contents.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/file.h"
#include "base/unique_fd.h"
#include "engine/plan_sandbox.h"
#include "engine/volume_tree.h"
#include "interlink/v1/volume.pb.h"

namespace interlink::engine {
namespace {

using interlink::v1::MountContent;

constexpr mode_t kAllBits = 01777;
constexpr off_t kMaxTerminationMessage = 4096;

// Shared by the pod's containers: whoever comes first makes it, and it stays as it is.
Status MakePodFolder(const std::string& place, const interlink::v1::PodFolder& wanted, bool owned) {
  if (mkdir(place.c_str(), 0700) != 0) {
    if (errno == EEXIST) return {};
    return ErrnoStatus(errno, "make \"" + place + "\"");
  }
  if (owned && chown(place.c_str(), wanted.uid(), wanted.gid()) != 0) {
    return ErrnoStatus(errno, "chown \"" + place + "\"");
  }
  constexpr mode_t kSetGroupId = 02000;  // kubelet sets it with fsGroup: files belong to the group
  const mode_t bits = wanted.mode() & (kAllBits | (owned ? kSetGroupId : 0));
  if (chmod(place.c_str(), bits | (owned ? 0 : 0700)) != 0) {
    return ErrnoStatus(errno, "chmod \"" + place + "\"");
  }
  return {};
}

Status MakeTerminationLog(const std::string& place, const interlink::v1::TerminationLog& wanted) {
  const UniqueFd file(
      open(place.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file) return ErrnoStatus(errno, "make \"" + place + "\"");
  if (fchmod(file.get(), (wanted.mode() & 0666) | 0600) != 0) {
    return ErrnoStatus(errno, "chmod \"" + place + "\"");
  }
  return {};
}

Status CheckContent(const MountContent& content) {
  switch (content.kind_case()) {
    case MountContent::kSnapshot:
      return CheckVolumeTree(content.snapshot());
    case MountContent::kPodFolder: {
      const std::string& name = content.pod_folder().name();
      if (!name.empty() && PathComponent(name) == name) return {};
      return InvalidArgument("\"" + name + "\" is no name of a pod's folder");
    }
    case MountContent::kTerminationLog:
      return {};
    case MountContent::KIND_NOT_SET:
      break;
  }
  return InvalidArgument("it says of no content what it is");
}

}  // namespace

Status CheckContents(const MountContents& contents) {
  int termination_logs = 0;
  for (const auto& [host_path, content] : contents) {
    RETURN_IF_ERROR(CheckContent(*content).WithContext("mount of \"" + host_path + "\""));
    termination_logs += content->kind_case() == MountContent::kTerminationLog ? 1 : 0;
  }
  if (termination_logs > 1) return InvalidArgument("a container has one termination log");
  return {};
}

Result<std::map<std::string, std::string>> MakeContents(const MountContents& contents,
                                                        const PodFolder& folder,
                                                        const ContainerId& container, bool owned) {
  std::map<std::string, std::string> places;
  if (contents.empty()) return places;
  RETURN_IF_ERROR(MakeDirectories(folder.Contents(container), 0700));
  RETURN_IF_ERROR(MakeDirectories(folder.EmptyFolders(), 0700));
  for (const auto& [host_path, content] : contents) {
    std::string& place = places[host_path];
    Status made;
    if (content->has_pod_folder()) {
      place = folder.EmptyFolders() + "/" + content->pod_folder().name();
      made = MakePodFolder(place, content->pod_folder(), owned);
    } else if (content->has_termination_log()) {
      place = folder.TerminationLog(container);
      made = MakeTerminationLog(place, content->termination_log());
    } else {
      place = folder.Contents(container) + "/" + std::to_string(places.size());
      made = WriteVolumeTree(content->snapshot(), place, owned);
    }
    if (!made.ok()) return made.WithContext("mount of \"" + host_path + "\"");
  }
  return places;
}

std::map<std::string, std::string> SnapshotNames(const MountContents& contents,
                                                 const std::map<std::string, std::string>& places) {
  std::map<std::string, std::string> names;
  for (const auto& [host_path, content] : contents) {
    const auto place = places.find(host_path);
    if (!content->has_snapshot() || place == places.end()) continue;
    names[host_path] = place->second.substr(place->second.rfind('/') + 1);
  }
  return names;
}

Status ExchangeContents(const MountContents& contents,
                        const std::map<std::string, std::string>& names, const std::string& folder,
                        bool owned) {
  for (const auto& [host_path, content] : contents) {
    const std::string where = "mount of \"" + host_path + "\"";
    const auto name = names.find(host_path);
    if (!content->has_snapshot() || name == names.end()) {
      return InvalidArgument("only what the container was created with a snapshot of is exchanged")
          .WithContext(where);
    }
    const Status done = ExchangeVolumeTree(content->snapshot(), folder + "/" + name->second, owned);
    if (!done.ok()) return done.WithContext(where);
  }
  return {};
}

std::string TerminationMessage(const PodFolder& folder, const ContainerId& container) {
  const UniqueFd file(open(folder.TerminationLog(container).c_str(),
                           O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  struct stat about {};
  if (!file || fstat(file.get(), &about) != 0 || !S_ISREG(about.st_mode)) return "";
  const off_t from = std::max<off_t>(0, about.st_size - kMaxTerminationMessage);
  std::string text(static_cast<size_t>(about.st_size - from), '\0');
  const ssize_t size = pread(file.get(), text.data(), text.size(), from);
  text.resize(size > 0 ? static_cast<size_t>(size) : 0);
  return text;
}

}  // namespace interlink::engine
