// Open files of processes. Thread-safe.
#ifndef INTERLINK_ENGINE_OPEN_FILES_H_
#define INTERLINK_ENGINE_OPEN_FILES_H_

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "base/clock.h"

namespace interlink::engine {

struct OpenFiles {
  uint64_t descriptors = 0;
  uint64_t sockets = 0;  // of these
};

// Of all these processes; one that has ended has none. Nothing: it cannot be told, or not until
// `until`.
std::optional<OpenFiles> CountOpenFiles(const std::vector<pid_t>& pids, const Clock& clock,
                                        SteadyTime until);

}  // namespace interlink::engine

#endif  // INTERLINK_ENGINE_OPEN_FILES_H_
