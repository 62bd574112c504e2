#include "agent_backend/pod_files.h"

#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <set>
#include <system_error>

#include "base/file.h"
#include "runtime/v1/api.pb.h"

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

Status RemoveFile(const std::string& path) {
  if (unlink(path.c_str()) == 0) return SyncDirectoryOf(path);
  return errno == ENOENT ? Status() : ErrnoStatus(errno, "remove \"" + path + "\"");
}

constexpr const char* kContents = "contents";

std::string NameOfContents(const SandboxId& sandbox, const ContainerId& id) {
  return std::string(kContents) + "/" + sandbox.str() + "." + id.str();
}

// Of a container of a pod that is there: what a crash has cut or left has no such name.
bool IsContentsOf(const std::string& name, const std::set<std::string>& pods) {
  const size_t dot = name.find('.');
  return dot != std::string::npos && pods.contains(name.substr(0, dot)) &&
         IsFullId(name.substr(dot + 1));
}

}  // namespace

Result<std::vector<interlink::v1::StoredAgentPod>> PodFiles::Load() const {
  RETURN_IF_ERROR(MakeDirectories(folder_ + "/" + kContents, 0700));
  std::vector<interlink::v1::StoredAgentPod> pods;
  std::set<std::string> ids;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder_, error)) {
    const std::string name = entry.path().filename();
    if (name == kContents) continue;
    if (!IsFullId(name)) {  // what a crash has left of a write, with all that the pod was given
      RETURN_IF_ERROR(RemoveFile(entry.path()));
      continue;
    }
    ASSIGN_OR_RETURN(auto pod, LoadOne(entry.path(), name));
    SettleOld(pod);
    ids.insert(pod.id());
    pods.push_back(std::move(pod));
  }
  if (error) return ErrnoStatus(error.value(), "look through \"" + folder_ + "\"");
  for (const auto& entry : std::filesystem::directory_iterator(folder_ + "/" + kContents, error)) {
    if (IsContentsOf(entry.path().filename(), ids)) continue;
    RETURN_IF_ERROR(RemoveFile(entry.path()));
  }
  if (error) return ErrnoStatus(error.value(), "look through \"" + folder_ + "\"");
  return pods;
}

// A build before this did not write which containers are queued, and took each for one that its
// agent had not told of. So it stays, but for what the agent has told of, and for what was asked of
// it without an answer: the site repeats that, with the contents, which are not here. An id is made
// once. What is queued without contents has no file of them either, but mounts nothing.
void PodFiles::SettleOld(interlink::v1::StoredAgentPod& pod) const {
  using agent::v1::Fact;
  if (!pod.at_start()) return;
  const bool waits = pod.fact().state() == Fact::PENDING;
  for (auto& container : *pod.mutable_containers()) {
    if (container.has_queued()) continue;
    container.set_queued(true);
    if (waits) continue;
    if (container.fact().state() > Fact::PENDING) container.set_carried(true);
    if (container.carried() || container.started()) continue;
    const std::string contents =
        folder_ + "/" + NameOfContents(SandboxId(pod.id()), ContainerId(container.id()));
    runtime::v1::ContainerConfig config;
    const bool bare = config.ParseFromString(container.config()) && config.mounts().empty();
    container.set_queued(bare || access(contents.c_str(), F_OK) == 0);
  }
}

Status PodFiles::Save(const interlink::v1::StoredAgentPod& pod) const {
  interlink::v1::StoredAgentPod stored = pod;
  stored.set_version(kPodVersion);
  return WriteFileAtomically(folder_ + "/" + pod.id(), stored.SerializeAsString(), 0600);
}

Status PodFiles::Remove(const SandboxId& id) const {
  // With what was kept for its containers.
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder_ + "/" + kContents, error)) {
    if (!entry.path().filename().string().starts_with(id.str() + ".")) continue;
    RETURN_IF_ERROR(RemoveFile(entry.path()));
  }
  if (error) return ErrnoStatus(error.value(), "look through \"" + folder_ + "\"");
  return RemoveFile(folder_ + "/" + id.str());
}

Status PodFiles::SaveContents(const SandboxId& sandbox, const ContainerId& id,
                              const Contents& contents) const {
  if (contents.empty()) return {};
  interlink::v1::StoredAgentContents stored;
  stored.set_version(kPodVersion);
  for (const auto& [path, content] : contents) (*stored.mutable_mounts())[path] = *content;
  return WriteFileAtomically(folder_ + "/" + NameOfContents(sandbox, id),
                             stored.SerializeAsString(), 0600);
}

Result<PodFiles::Contents> PodFiles::LoadContents(const SandboxId& sandbox,
                                                  const ContainerId& id) const {
  const std::string path = folder_ + "/" + NameOfContents(sandbox, id);
  const auto bytes = ReadFile(path);
  if (bytes.status().code() == Code::kNotFound) return Contents();
  if (!bytes.ok()) return bytes.status();
  interlink::v1::StoredAgentContents stored;
  if (!stored.ParseFromString(*bytes) || stored.version() != kPodVersion) {
    return DataLoss("\"" + path + "\" is damaged");
  }
  Contents contents;
  for (auto& [name, content] : *stored.mutable_mounts()) {
    contents[name] = std::make_shared<const interlink::v1::MountContent>(std::move(content));
  }
  return contents;
}

Status PodFiles::RemoveContents(const SandboxId& sandbox, const ContainerId& id) const {
  return RemoveFile(folder_ + "/" + NameOfContents(sandbox, id));
}

}  // namespace interlink::agent_backend
