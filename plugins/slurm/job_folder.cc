#include "slurm/job_folder.h"

#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>

#include "base/file.h"
#include "engine/list_folder.h"
#include "slurm/claim.h"

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
  // Names in it are secrets enough to pass through it, but not to be listed.
  if ((about.st_mode & 066U) != 0) {
    return PermissionDenied("\"" + path + "\" can be used by others: its mode must be 0700");
  }
  return {};
}

// A user could put something of his in the place of what the site makes there.
Status CheckNobodyElseWrites(const std::string& path) {
  struct stat about {};
  if (stat(path.c_str(), &about) != 0) return ErrnoStatus(errno, "stat \"" + path + "\"");
  if (about.st_uid == geteuid() && (about.st_mode & 022U) == 0) return {};
  return PermissionDenied(
      "\"" + path +
      "\" (option JobFolder) can be written by others: where jobs are of several "
      "users it must belong to this daemon's user, with the mode 0711 or 0755");
}

}  // namespace

Status JobFolder::Open(bool known) const {
  const std::string pods = path_ + "/pods";
  if (known) {
    RETURN_IF_ERROR(CheckMounted());
  } else {
    RETURN_IF_ERROR(MakeDirectories(pods, 0700));
    RETURN_IF_ERROR(CheckOwner(pods));
  }
  if (many_users_) {
    RETURN_IF_ERROR(CheckNobodyElseWrites(path_));
    RETURN_IF_ERROR(LetUsersIn(path_));
    RETURN_IF_ERROR(LetUsersIn(pods));
  }
  if (known || access(Marker().c_str(), F_OK) == 0) return {};
  return WriteFileAtomically(Marker(), kFileVersion, 0600);
}

Status JobFolder::LetUsersIn(const std::string& folder) const {
  struct stat about {};
  if (stat(folder.c_str(), &about) != 0) return ErrnoStatus(errno, "stat \"" + folder + "\"");
  if ((about.st_mode & 0111U) == 0111U) return {};
  if (chmod(folder.c_str(), (about.st_mode & 07777U) | 0111U) == 0) return {};
  return ErrnoStatus(errno, "let the jobs' users through \"" + folder + "\"");
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
  const mode_t mode = many_users_ ? 0755 : 0700;
  if (many_users_) {
    RETURN_IF_ERROR(LetUsersIn(path_ + "/agents"));
    RETURN_IF_ERROR(LetUsersIn(folder));
  }
  struct stat about {};
  const bool there = stat(path.c_str(), &about) == 0 &&
                     static_cast<size_t>(about.st_size) == bytes->size() &&
                     (about.st_mode & mode) == mode;
  if (!there) RETURN_IF_ERROR(WriteFileAtomically(path, *bytes, mode));
  return path;
}

Status JobFolder::MakePod(const SandboxId& id, const sdk::AgentTicket& ticket, bool shared,
                          const std::optional<FileOwner>& owner) const {
  RETURN_IF_ERROR(CheckMounted());
  const std::string pod = PodFolder(id);
  // Its parent is nobody else's, so nobody can have made it for us.
  if (mkdir(pod.c_str(), 0700) != 0 && errno != EEXIST) {
    return ErrnoStatus(errno, "mkdir \"" + pod + "\"");
  }
  if (owner) {
    if (lchown(pod.c_str(), owner->uid, owner->gid) != 0) {
      return ErrnoStatus(errno, "give \"" + pod + "\" to user " + std::to_string(owner->uid) +
                                    " (the file server must let root do that)");
    }
    const OwnersRights rights(*owner);
    RETURN_IF_ERROR(WritePod(pod, ticket, shared));
  } else {
    RETURN_IF_ERROR(WritePod(pod, ticket, shared));
  }
  return SyncDirectoryOf(pod);
}

Status JobFolder::WritePod(const std::string& pod, const sdk::AgentTicket& ticket,
                           bool shared) const {
  const std::string heartbeat = pod + "/heartbeat";
  if (mkdir(heartbeat.c_str(), 0700) != 0 && errno != EEXIST) {
    return ErrnoStatus(errno, "mkdir \"" + heartbeat + "\"");
  }
  // 0600 from their creation on (base/file.h), under a name that did not exist.
  RETURN_IF_ERROR(WriteFileAtomically(pod + "/ca.pem", ticket.ca_pem, 0600));
  RETURN_IF_ERROR(WriteFileAtomically(pod + "/token", ticket.token + "\n", 0600));
  // Before `site`, which makes it one: who finds the pod without a journal must not look for its
  // claim in the wrong place.
  if (!shared) RETURN_IF_ERROR(WriteFileAtomically(pod + kFolderlessMark, kFileVersion, 0600));
  if (shared) RETURN_IF_ERROR(PrepareClaim(pod));
  return WriteFileAtomically(pod + "/site", kFileVersion + lineage_.str() + "\n", 0600);
}

Result<std::optional<FileOwner>> JobFolder::OwnerOf(const SandboxId& id) const {
  const std::string pod = PodFolder(id);
  struct stat about {};
  if (lstat(pod.c_str(), &about) != 0) return ErrnoStatus(errno, "stat \"" + pod + "\"");
  if (about.st_uid == geteuid()) return std::optional<FileOwner>();
  return std::optional<FileOwner>({about.st_uid, about.st_gid});
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
    const auto site = ReadPlainFile(path_ + "/pods/" + name + "/site", kMaxSiteFile);
    // Without it no job was ever submitted; another thing there is a user's doing.
    if (site.status().code() == Code::kNotFound || site.status().code() == Code::kDataLoss)
      continue;
    if (!site.ok()) return site.status();
    if (*site == kFileVersion + lineage_.str() + "\n") ours.emplace_back(name);
  }
  return ours;
}

Status JobFolder::RemovePod(const SandboxId& id) const {
  RETURN_IF_ERROR(CheckMounted());
  const std::string pod = PodFolder(id);
  const auto owner = OwnerOf(id);
  if (!owner.ok() && owner.status().code() != Code::kNotFound) return owner.status();
  if (owner.ok() && *owner) {
    Status emptied;
    {
      const OwnersRights rights(**owner);
      emptied = RemoveTree(pod);
    }
    // That user may empty it, and only this process may take it out of its parent.
    if (rmdir(pod.c_str()) != 0 && errno != ENOENT) {
      return emptied.ok() || errno != ENOTEMPTY ? ErrnoStatus(errno, "remove \"" + pod + "\"")
                                                : emptied;
    }
  } else {
    RETURN_IF_ERROR(RemoveTree(pod));
  }
  return SyncDirectoryOf(pod);
}

}  // namespace interlink::slurm
