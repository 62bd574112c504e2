#include "base/core_dump.h"

#include <sys/prctl.h>
#include <unistd.h>

#include <cerrno>

#include "base/status.h"

namespace interlink {

void StayOutOfCoreDumps(Log& log) {
#ifndef INTERLINK_SANITIZED
  if (geteuid() != 0 || prctl(PR_SET_DUMPABLE, 0) == 0) return;
  log.Warning("a core dump of this process would hold its secrets",
              {{"reason", ErrnoStatus(errno, "prctl").message()}});
#else
  static_cast<void>(log);
#endif
}

}  // namespace interlink
