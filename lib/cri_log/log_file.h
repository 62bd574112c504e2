// Internal: one container's log on its way into kubelet's file. Not thread-safe: the log thread's.
#ifndef INTERLINK_CRI_LOG_LOG_FILE_H_
#define INTERLINK_CRI_LOG_LOG_FILE_H_

#include <cstdint>
#include <deque>
#include <optional>
#include <string>

#include "base/status.h"
#include "base/unique_fd.h"
#include "node/log_files.h"

namespace interlink::cri_log {

class LogFile {
 public:
  // What Open could not do yet, and Write does first: make the file, or look for it.
  enum class Open { kDone, kMake, kResume };
  // What was opened for it: see cri_log/log_path.h. Without `current` nothing can be written until
  // Replace. `skip_until_ns`: lines not later are in the file already, 0: none.
  struct Start {
    std::string path;  // empty: everything is discarded
    Open open = Open::kDone;
    UniqueFd current;
    UniqueFd rotated;
    uint64_t site_offset = 0;
    uint64_t skip_until_ns = 0;
  };
  explicit LogFile(Start start);

  // Does what `start.open` asks for. Write does it too.
  Status OpenFirst();

  // Bytes of the container's log from the site; see node::LogFiles::Append. Returns what was wrong
  // with them (and is left out), OK mostly.
  Status Take(uint64_t offset, std::string bytes, uint64_t next);

  // Writes about `budget` bytes at most. An error is the file's; nothing is lost and no line is
  // torn: Write again.
  Status Write(size_t budget);
  // Nothing is left to write.
  bool Idle() const { return ready_.empty(); }
  // Something was written or taken since the last Sync.
  bool Dirty() const { return dirty_; }

  // fdatasync of all that was written: below the returned position everything is durable. After an
  // error it fails for ever (the kernel tells an error once and forgets the bytes): the site keeps
  // what was not acknowledged.
  Result<node::LogPosition> Sync();

  // From here on into `fd`, the file that Reopen made at the same path. An error is about the old
  // one: a torn line stays in it, or its bytes are not durable (then Sync fails for ever).
  Status Replace(UniqueFd fd);

  // For Close: nobody will ever read what is written: the path is empty, there is no file, or it
  // was deleted (kubelet does that before it removes a container).
  bool Gone() const;

  const std::string& path() const { return start_.path; }
  uint64_t written_bytes() const { return written_bytes_; }

 private:
  // Whole lines.
  struct Piece {
    std::string bytes;
    uint64_t end = 0;  // the site's offset after them
  };
  void Skip(std::string& lines);
  Status WritePiece(Piece& piece);
  Status OpenAgain();
  Status CutTorn();
  Status SyncOne(UniqueFd& fd);

  Start start_;
  std::deque<Piece> ready_;
  std::string tail_;            // of a line without its end
  uint64_t expected_ = 0;       // the site's offset after what was taken
  uint64_t written_ = 0;        // the site's offset after the last piece written
  uint64_t written_bytes_ = 0;  // in all
  bool check_line_ = false;     // after a gap the next line may lack its beginning
  bool dirty_ = false;
  bool folder_synced_ = false;
  std::optional<uint64_t> torn_at_;  // the file ends inside a line that begins here
  Status lost_;                      // of the first failed sync
};

}  // namespace interlink::cri_log

#endif  // INTERLINK_CRI_LOG_LOG_FILE_H_
