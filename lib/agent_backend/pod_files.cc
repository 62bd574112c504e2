#include "agent_backend/pod_files.h"

#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

#include "base/file.h"

namespace interlink::agent_backend {
namespace {

constexpr uint32_t kPodVersion = 1;

Result<interlink::v1::StoredAgentPod> LoadOne(const std::string& path, const std::string& name) {
  ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path));
  interlink::v1::StoredAgentPod pod;
  if (!pod.ParseFromString(bytes) || pod.id() != name) {
    return DataLoss("\"" + path + "\" is damaged: restore it from a backup");
  }
  if (pod.version() != kPodVersion) {
    return FailedPrecondition("\"" + path + "\" is of version " + std::to_string(pod.version()) +
                              ", this build reads version 1: use the build that wrote it");
  }
  return pod;
}

}  // namespace

Result<std::vector<interlink::v1::StoredAgentPod>> PodFiles::Load() const {
  RETURN_IF_ERROR(MakeDirectories(folder_, 0700));
  std::vector<interlink::v1::StoredAgentPod> pods;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder_, error)) {
    const std::string name = entry.path().filename();
    if (!IsFullId(name)) continue;  // what a crash has left of a write
    ASSIGN_OR_RETURN(auto pod, LoadOne(entry.path(), name));
    pods.push_back(std::move(pod));
  }
  if (error) return ErrnoStatus(error.value(), "look through \"" + folder_ + "\"");
  return pods;
}

Status PodFiles::Save(const interlink::v1::StoredAgentPod& pod) const {
  interlink::v1::StoredAgentPod stored = pod;
  stored.set_version(kPodVersion);
  return WriteFileAtomically(folder_ + "/" + pod.id(), stored.SerializeAsString(), 0600);
}

Status PodFiles::Remove(const SandboxId& id) const {
  const std::string path = folder_ + "/" + id.str();
  if (unlink(path.c_str()) != 0 && errno != ENOENT) {
    return ErrnoStatus(errno, "remove \"" + path + "\"");
  }
  return SyncDirectoryOf(path);
}

}  // namespace interlink::agent_backend
