#include "slurm/file_owner.h"

#include <sys/fsuid.h>
#include <unistd.h>

#include <string>

namespace interlink::slurm {

Status CheckMayActAs(const FileOwner& owner) {
  if (geteuid() == 0 || (geteuid() == owner.uid && getegid() == owner.gid)) return {};
  return PermissionDenied("files of user " + std::to_string(owner.uid) + ", group " +
                          std::to_string(owner.gid) +
                          " can be made by root and by that user; this process is user " +
                          std::to_string(geteuid()) + ", group " + std::to_string(getegid()));
}

// The group first: the right to choose it is not one of those that go with the user.
OwnersRights::OwnersRights(const FileOwner& owner)
    : uid_before_(0), gid_before_(static_cast<gid_t>(setfsgid(owner.gid))) {
  uid_before_ = static_cast<uid_t>(setfsuid(owner.uid));
}

OwnersRights::~OwnersRights() {
  setfsuid(uid_before_);
  setfsgid(gid_before_);
}

}  // namespace interlink::slurm
