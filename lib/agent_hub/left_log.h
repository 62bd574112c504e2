// The log of a container whose allocation has ended, as its agent left it in the pod's folder
// (shim/left_log.h). What others may have put there is not trusted: no link is followed.
// Thread-safe.
#ifndef INTERLINK_AGENT_HUB_LEFT_LOG_H_
#define INTERLINK_AGENT_HUB_LEFT_LOG_H_

#include <cstdint>
#include <string>

#include "base/id.h"
#include "base/status.h"
#include "sdk/backend.h"

namespace interlink::agent_hub {

// For the log_end of a container that left no record of its end: what was saved, and one byte more
// where something may be missing, in whose place ReadLeftLog says so. kUnavailable and the like:
// the folder cannot be read now.
Result<uint64_t> LeftLogEnd(const std::string& pod_folder, const ContainerId& container);

// As Backend::ReadLog, but that nobody is woken: an answer of less than `max` bytes without `end`
// is followed by more at `next`. What is missing is said in a line of its own, in the place of a
// gap and at the end of a log that was not saved to its end; `log_end`: what the container's fact
// says, where that line leads to. A folder without a log is a log of which nothing was saved.
Result<sdk::LogChunk> ReadLeftLog(const std::string& pod_folder, const ContainerId& container,
                                  uint64_t log_end, uint64_t offset, size_t max);

}  // namespace interlink::agent_hub

#endif  // INTERLINK_AGENT_HUB_LEFT_LOG_H_
