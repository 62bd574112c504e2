#include "slurm/file_owner.h"

#include <grp.h>
#include <sys/fsuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <string>

namespace interlink::slurm {
namespace {

// Of this thread alone: the C library's own would change every thread.
bool SetGroupsOfThread(const std::vector<gid_t>& groups) {
  return syscall(SYS_setgroups, groups.size(), groups.data()) == 0;
}

std::vector<gid_t> GroupsOfThread() {
  std::vector<gid_t> groups(static_cast<size_t>(std::max(0, getgroups(0, nullptr))));
  const int count = getgroups(static_cast<int>(groups.size()), groups.data());
  groups.resize(static_cast<size_t>(std::max(0, count)));
  return groups;
}

bool IsOwn(const FileOwner& owner) { return geteuid() == owner.uid && getegid() == owner.gid; }

// The kernel tells of a refusal by nothing but the value that stays.
bool ActsAs(const FileOwner& owner) {
  constexpr auto kNobody = static_cast<uid_t>(-1);
  return static_cast<uid_t>(setfsuid(kNobody)) == owner.uid &&
         static_cast<gid_t>(setfsgid(kNobody)) == owner.gid && GroupsOfThread().empty();
}

}  // namespace

Status CheckMayActAs(const FileOwner& owner) {
  if (IsOwn(owner)) return {};
  if (geteuid() == 0) {
    const OwnersRights rights(owner);
    if (ActsAs(owner)) return {};
  }
  return PermissionDenied("files of user " + std::to_string(owner.uid) + ", group " +
                          std::to_string(owner.gid) +
                          " can be made by that user, and by root with the capabilities to set "
                          "users and groups; this process is user " +
                          std::to_string(geteuid()) + ", group " + std::to_string(getegid()));
}

// The groups first: the right to choose them is not one of those that go with the user.
OwnersRights::OwnersRights(const FileOwner& owner) : uid_before_(0), gid_before_(0) {
  if (!IsOwn(owner)) {
    groups_before_ = GroupsOfThread();
    if (!groups_before_.empty() && !SetGroupsOfThread({})) groups_before_.clear();
  }
  gid_before_ = static_cast<gid_t>(setfsgid(owner.gid));
  uid_before_ = static_cast<uid_t>(setfsuid(owner.uid));
}

OwnersRights::~OwnersRights() {
  setfsuid(uid_before_);
  setfsgid(gid_before_);
  // It was allowed a moment ago, and lets this thread do more, not less.
  if (!groups_before_.empty()) static_cast<void>(SetGroupsOfThread(groups_before_));
}

}  // namespace interlink::slurm
