// Internal: opening kubelet's log files. Stateless; thread-safe.
#ifndef INTERLINK_CRI_LOG_LOG_PATH_H_
#define INTERLINK_CRI_LOG_LOG_PATH_H_

#include <cstdint>
#include <optional>
#include <string>

#include "base/status.h"
#include "base/unique_fd.h"

namespace interlink::cri_log {

// kInvalidArgument: not absolute, "..", a NUL, a folder, or too long.
Status CheckPath(const std::string& path);

// Opens the file for appending, made (0640) when `create`. Its folder must exist. A link in the
// file's place and what is no regular file are refused (a container that may write /var/log could
// plant them). kNotFound: no file (or no folder).
Result<UniqueFd> OpenForAppend(const std::string& path, bool create);

// The same at a container's start, with a folder (0755) when there is none: kubelet makes it,
// people with crictl expect it. Only then: kubelet deletes the folder before it removes a
// container.
Result<UniqueFd> MakeFolderAndOpen(const std::string& path);

struct Resumed {
  UniqueFd current;           // invalid: there is no file at `path`
  UniqueFd rotated;           // the file that holds the last line, when it is not the current one
  uint64_t last_time_ns = 0;  // of the newest line, 0: there is none
};

// Finds where a container's log stopped: in the current file or, when that has no line, in the
// newest of the rotated ones ("PATH.*", not compressed). Cuts a torn last line there.
Result<Resumed> ResumeAt(const std::string& path);

}  // namespace interlink::cri_log

#endif  // INTERLINK_CRI_LOG_LOG_PATH_H_
