// JobUser: as whom a pod's job runs, where that is not this process's own user. Thread-safe.
#ifndef INTERLINK_PLUGINS_SLURM_JOB_USER_H_
#define INTERLINK_PLUGINS_SLURM_JOB_USER_H_

#include <string>

#include "base/status.h"
#include "slurm/file_owner.h"

namespace interlink::slurm {

struct JobUser {
  std::string name;
  FileOwner id;

  friend bool operator==(const JobUser&, const JobUser&) = default;
};

// Of the site's user database. kPermissionDenied: root, whatever it is called here, or this process
// may not act for others. kFailedPrecondition: there is no such user. kUnavailable: the database
// does not answer.
Result<JobUser> FindJobUser(const std::string& name);
// The one with these numbers; `name` is the number where the database does not know it any more.
JobUser JobUserOf(const FileOwner& id);

// The name of this process's own user. kFailedPrecondition: it has none.
Result<std::string> OwnUserName();

}  // namespace interlink::slurm

#endif  // INTERLINK_PLUGINS_SLURM_JOB_USER_H_
