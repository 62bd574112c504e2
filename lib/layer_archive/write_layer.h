// WriteLayer: the folder of an unpacked layer -> an archive of it (pax), for an agent that does not
// share it. Thread-safe.
//
//   layer ...   the folder and what is in it, each folder before its contents and these together:
//               names (bytes), modes, numeric owners, times of change, hard links, holes, the
//               attributes user.* and security.capability, fifos and whiteouts (devices 0:0)
//   end         a file, last: "1 N": the version of all this, and how many entries were before it
#ifndef INTERLINK_LAYER_ARCHIVE_WRITE_LAYER_H_
#define INTERLINK_LAYER_ARCHIVE_WRITE_LAYER_H_

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/call.h"
#include "base/status.h"

namespace interlink::layer_archive {

// Takes all of it, or says why nothing more will be taken.
using ByteSink = std::function<Status(std::string_view)>;

// Other devices and sockets are left out: no container of an agent could use them. Never follows a
// link, never leaves the folder or its file system; an own copy of a hard link's file is not made.
// The call is looked at between files and in large ones. Errors: the sink's; kNotFound: the folder
// is not there, or was moved away before its last byte was read: whoever reads has no `end` then.
Status WriteLayer(const Call& call, const std::string& folder, const ByteSink& sink);

// About how many bytes WriteLayer will write.
Result<uint64_t> MeasureLayer(const Call& call, const std::string& folder);

}  // namespace interlink::layer_archive

#endif  // INTERLINK_LAYER_ARCHIVE_WRITE_LAYER_H_
