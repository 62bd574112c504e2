#include "base/open_files.h"

#include <sys/resource.h>

#include <algorithm>
#include <cerrno>

#include "base/status.h"

namespace interlink {

void RaiseOpenFilesLimit(Log& log) {
  constexpr rlim_t kEnough = 1U << 20U;
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
    log.Warning("the limit of open files cannot be read",
                {{"error", ErrnoStatus(errno, "getrlimit").message()}});
    return;
  }
  const rlim_t before = limit.rlim_cur;
  const rlim_t wanted = std::min(limit.rlim_max, kEnough);
  if (before >= wanted) return;
  limit.rlim_cur = wanted;
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) {
    log.Warning("the limit of open files cannot be raised",
                {{"error", ErrnoStatus(errno, "setrlimit").message()},
                 {"now", std::to_string(before)},
                 {"wanted", std::to_string(wanted)}});
  }
}

}  // namespace interlink
