#include "base/unique_fd.h"

#include <unistd.h>

namespace interlink {

void UniqueFd::Reset() {
  // On Linux the descriptor is gone whatever close() answers; a repeat could close somebody else's.
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

}  // namespace interlink
