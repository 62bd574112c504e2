#include "slurm/job_folder.h"

#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>

#include "base/file.h"
#include "engine/list_folder.h"

namespace interlink::slurm {
namespace {

constexpr const char* kFileVersion = "1 ";
constexpr size_t kMaxSiteFile = 256;
constexpr const char* kFolderlessMark = "/folderless";
constexpr size_t kMaxAgent = 1U << 30U;

// Tells versions of the agent apart; nobody has to be kept from making equal ones (FNV-1a).
std::string HashOf(const std::string& bytes) {
  uint64_t hash = 0xcbf29ce484222325U;
  for (const char c : bytes) {
    hash ^= static_cast<unsigned char>(c);
    hash *= 0x100000001b3U;
  }
  constexpr const char* kDigits = "0123456789abcdef";
  std::string text;
  for (int shift = 60; shift >= 0; shift -= 4) text += kDigits[(hash >> shift) & 15U];
  return text;
}

Status CheckOwner(const std::string& path) {
  struct stat about {};
  if (stat(path.c_str(), &about) != 0) return ErrnoStatus(errno, "stat \"" + path + "\"");
  if (about.st_uid != geteuid()) {
    return PermissionDenied("\"" + path +
                            "\" belongs to another user: each site needs a JobFolder of its own");
  }
  if ((about.st_mode & 077U) != 0) {
    return PermissionDenied("\"" + path + "\" can be used by others: its mode must be 0700");
  }
  return {};
}

}  // namespace

Status JobFolder::Open(bool known) const {
  const std::string pods = path_ + "/pods";
  if (known) return CheckMounted();
  RETURN_IF_ERROR(MakeDirectories(pods, 0700));
  RETURN_IF_ERROR(CheckOwner(pods));
  if (access(Marker().c_str(), F_OK) == 0) return {};
  return WriteFileAtomically(Marker(), kFileVersion, 0600);
}

Status JobFolder::CheckMounted() const {
  struct stat about {};
  if (stat(Marker().c_str(), &about) == 0) return {};
  return Unavailable("\"" + Marker() + "\" is not there (" + ErrnoStatus(errno, "stat").message() +
                     "): is the file system of JobFolder mounted");
}

Result<std::string> JobFolder::InstallAgent(const std::string& agent) const {
  const auto bytes = ReadFile(agent, kMaxAgent);
  if (!bytes.ok()) return bytes.status().WithContext("the agent (option AgentPath)");
  const std::string folder = path_ + "/agents/" + lineage_.str();
  RETURN_IF_ERROR(MakeDirectories(folder, 0700));
  std::string path = folder + "/interlink-agent-" + HashOf(*bytes);
  struct stat about {};
  const bool there = stat(path.c_str(), &about) == 0 &&
                     static_cast<size_t>(about.st_size) == bytes->size() && about.st_mode & 0100U;
  if (!there) RETURN_IF_ERROR(WriteFileAtomically(path, *bytes, 0700));
  return path;
}

Status JobFolder::MakePod(const SandboxId& id, const sdk::AgentTicket& ticket, bool shared) const {
  RETURN_IF_ERROR(CheckMounted());
  const std::string pod = PodFolder(id);
  // Its parent is nobody else's, so nobody can have made it for us.
  for (const std::string& folder : {pod, pod + "/heartbeat"}) {
    if (mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
      return ErrnoStatus(errno, "mkdir \"" + folder + "\"");
    }
  }
  // 0600 from their creation on (base/file.h), under a name that did not exist.
  RETURN_IF_ERROR(WriteFileAtomically(pod + "/ca.pem", ticket.ca_pem, 0600));
  RETURN_IF_ERROR(WriteFileAtomically(pod + "/token", ticket.token + "\n", 0600));
  // Before `site`, which makes it one: who finds the pod without a journal must not look for its
  // claim in the wrong place.
  if (!shared) RETURN_IF_ERROR(WriteFileAtomically(pod + kFolderlessMark, kFileVersion, 0600));
  RETURN_IF_ERROR(WriteFileAtomically(pod + "/site", kFileVersion + lineage_.str() + "\n", 0600));
  return SyncDirectoryOf(pod);
}

Result<bool> JobFolder::IsShared(const SandboxId& id) const {
  const std::string mark = PodFolder(id) + kFolderlessMark;
  if (access(mark.c_str(), F_OK) == 0) return false;
  if (errno == ENOENT) return true;
  return ErrnoStatus(errno, "look at \"" + mark + "\"");
}

Result<std::vector<SandboxId>> JobFolder::Pods() const {
  ASSIGN_OR_RETURN(const auto names, engine::ListFolder(path_ + "/pods"));
  std::vector<SandboxId> ours;
  for (const std::string& name : names) {
    if (!IsFullId(name)) continue;
    const auto site = ReadFile(path_ + "/pods/" + name + "/site", kMaxSiteFile);
    // Without it no job was ever submitted.
    if (site.status().code() == Code::kNotFound) continue;
    if (!site.ok()) return site.status();
    if (*site == kFileVersion + lineage_.str() + "\n") ours.emplace_back(name);
  }
  return ours;
}

Status JobFolder::RemovePod(const SandboxId& id) const {
  RETURN_IF_ERROR(CheckMounted());
  RETURN_IF_ERROR(RemoveTree(PodFolder(id)));
  return SyncDirectoryOf(PodFolder(id));
}

}  // namespace interlink::slurm
