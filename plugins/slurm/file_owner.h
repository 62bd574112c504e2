// FileOwner and OwnersRights: work on files as the user whose files they are. A site that is root
// writes into folders of other users, maybe on a file system where root is nobody: with that user's
// rights, nothing that the user put there can turn a write against the machine.
#ifndef INTERLINK_PLUGINS_SLURM_FILE_OWNER_H_
#define INTERLINK_PLUGINS_SLURM_FILE_OWNER_H_

#include <sys/types.h>

#include <vector>

#include "base/status.h"

namespace interlink::slurm {

struct FileOwner {
  uid_t uid = 0;
  gid_t gid = 0;

  friend bool operator==(const FileOwner&, const FileOwner&) = default;
};

// OK: this process may act as that user. kPermissionDenied: neither root with the rights to set
// users and groups nor that user.
Status CheckMayActAs(const FileOwner& owner);

// While it lives, this thread opens, makes and removes files as the owner, without any other group
// of this process; descriptors that are open keep their rights. Lives on one thread, in one scope.
// REQUIRES: CheckMayActAs(owner).
class OwnersRights {
 public:
  explicit OwnersRights(const FileOwner& owner);
  ~OwnersRights();
  OwnersRights(const OwnersRights&) = delete;
  OwnersRights& operator=(const OwnersRights&) = delete;

 private:
  uid_t uid_before_;
  gid_t gid_before_;
  std::vector<gid_t> groups_before_;  // that were taken away
};

}  // namespace interlink::slurm

#endif  // INTERLINK_PLUGINS_SLURM_FILE_OWNER_H_
