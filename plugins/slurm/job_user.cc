#include "slurm/job_user.h"

#include <pwd.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <vector>

namespace interlink::slurm {
namespace {

constexpr size_t kMostOfEntry = 1U << 16U;

struct Entry {
  std::string name;
  FileOwner id;
};

// `look`: getpwnam_r or getpwuid_r with its key.
template <typename Look>
Result<std::optional<Entry>> LookUp(const Look& look) {
  passwd entry{};
  passwd* found = nullptr;
  std::vector<char> buffer(kMostOfEntry);
  const int error = look(&entry, buffer.data(), buffer.size(), &found);
  // Words of "no such entry" that the C library lets through.
  const bool absent = error == ENOENT || error == ESRCH;
  if (error != 0 && !absent) {
    return Unavailable("the user database does not answer: " +
                       ErrnoStatus(error, "look up").message());
  }
  if (found == nullptr) return std::optional<Entry>();
  return std::optional<Entry>({found->pw_name, {found->pw_uid, found->pw_gid}});
}

Result<std::optional<Entry>> LookUpId(uid_t uid) {
  return LookUp([uid](passwd* entry, char* buffer, size_t size, passwd** found) {
    return getpwuid_r(uid, entry, buffer, size, found);
  });
}

}  // namespace

Result<JobUser> FindJobUser(const std::string& name) {
  const auto found = LookUp([&name](passwd* entry, char* buffer, size_t size, passwd** answer) {
    return getpwnam_r(name.c_str(), entry, buffer, size, answer);
  });
  if (!found.ok()) return found.status().WithContext("user \"" + name + "\"");
  if (!found->has_value()) {
    return FailedPrecondition("user \"" + name +
                              "\", whom the site's policy (Users) names for this pod, is not known "
                              "on the site's machine");
  }
  const Entry& entry = **found;
  if (entry.id.uid == 0) {
    return PermissionDenied(
        "user \"" + name +
        "\", whom the site's policy (Users) names for this pod, is root: no job "
        "runs as root for a pod");
  }
  RETURN_IF_ERROR(CheckMayActAs(entry.id));
  return JobUser{entry.name, entry.id};
}

JobUser JobUserOf(const FileOwner& id) {
  const auto found = LookUpId(id.uid);
  const bool known = found.ok() && found->has_value();
  return {known ? (*found)->name : std::to_string(id.uid), id};
}

Result<std::string> OwnUserName() {
  const auto found = LookUpId(geteuid());
  if (!found.ok()) return found.status().WithContext("the daemon's user");
  if (!found->has_value()) {
    return FailedPrecondition("the daemon's user " + std::to_string(geteuid()) + " has no name");
  }
  return (*found)->name;
}

}  // namespace interlink::slurm
