// Whole small files. Thread-safe.
#ifndef INTERLINK_BASE_FILE_H_
#define INTERLINK_BASE_FILE_H_

#include <sys/types.h>

#include <functional>
#include <string>
#include <string_view>

#include "base/status.h"

namespace interlink {

// At most `limit` bytes; a larger file is kResourceExhausted, never cut.
Result<std::string> ReadFile(const std::string& path, size_t limit = 64U << 20U);

// As ReadFile, of a path in a folder that somebody else may write: what is no regular file (a link,
// a pipe that would be waited for, a device) is kDataLoss.
Result<std::string> ReadPlainFile(const std::string& path, size_t limit);

// Durable and atomic: temporary file beside it, fdatasync, rename, fsync of the directory. The file
// has `mode` from its creation on.
Status WriteFileAtomically(const std::string& path, std::string_view bytes, mode_t mode);

// Makes durable what was made, removed or renamed at this path: fsync of its directory.
Status SyncDirectoryOf(const std::string& path);

// mkdir -p with `mode` for what is created.
Status MakeDirectories(const std::string& path, mode_t mode);

// rm -rf of a tree of any depth, folders that their own owner may not change included; without
// following links and without entering a mount. Absent is OK. What cannot go is passed over: the
// first such error (kUnavailable or the like for a mount) with the rest gone. `go_on` is asked
// before each entry: after a no the rest stays, and it is kCancelled.
Status RemoveTree(const std::string& path, const std::function<bool()>& go_on = nullptr);

}  // namespace interlink

#endif  // INTERLINK_BASE_FILE_H_
