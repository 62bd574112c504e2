// Port: kubelet's log files on the node (CRI format, DESIGN 11). lib/cri_log implements it.
// Thread-safe; one thread of its own does the writing.
#ifndef INTERLINK_NODE_LOG_FILES_H_
#define INTERLINK_NODE_LOG_FILES_H_

#include <cstdint>
#include <functional>
#include <string>

#include "base/id.h"
#include "base/status.h"

namespace interlink::node {

// Below `site_offset` (bytes of the container's log since its start) everything is durable in the
// node's files.
struct LogPosition {
  uint64_t site_offset = 0;
  uint64_t file_offset = 0;  // size of the current file at that moment
};

class LogFiles {
 public:
  virtual ~LogFiles() = default;

  // Called on the log thread when bytes became durable (fdatasync): the domain stores the position
  // and acknowledges.
  using Durable = std::function<void(const ContainerId&, LogPosition)>;

  // Makes the file (0640) and its folder (0755) where there is none or, with `resume`, continues
  // it: a torn last line is cut and lines not later than the newest time in the newest file of that
  // container (rotated too) are skipped. An empty `path` discards. kInvalidArgument: not
  // absolute or with ".." in it, or no file can be there; nothing is open. After any other error it
  // is open: what comes is kept, and the file is tried again with back-off until it is there.
  // Idempotent.
  virtual Status Open(const ContainerId& id, const std::string& path, LogPosition from,
                      bool resume) = 0;
  // Bytes [offset, offset + bytes.size()) of the container's log, whole CRI lines or parts; `next`
  // as in the wire. Repeats and overlaps are cut. Enqueues; the queue is bounded by the credit that
  // the domain gives.
  virtual void Append(const ContainerId& id, uint64_t offset, std::string bytes, uint64_t next) = 0;
  // The new file exists when it returns. `running` false: kFailedPrecondition, and no file is made.
  virtual Status Reopen(const ContainerId& id, bool running) = 0;
  // Writes out what is queued, syncs and closes; `done` runs on the log thread. The file stays.
  virtual void Close(const ContainerId& id, std::function<void()> done) = 0;
  virtual void SetDurable(Durable durable) = 0;
};

}  // namespace interlink::node

#endif  // INTERLINK_NODE_LOG_FILES_H_
