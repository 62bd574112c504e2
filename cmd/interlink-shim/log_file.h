// LogFile: a container's log in its directory (layout.h): append-only, bounded by dropping its
// oldest part, never in the way of the container.
#ifndef INTERLINK_CMD_SHIM_LOG_FILE_H_
#define INTERLINK_CMD_SHIM_LOG_FILE_H_

#include <cstdint>
#include <string_view>

#include "shim/cri_log.h"
#include "system.h"

namespace interlink::shim {

class LogFile {
 public:
  // `limit`: bytes of log that nobody acknowledged and that are kept.
  explicit LogFile(uint64_t limit)
      : limit_(limit), next_check_(limit), formatter_(out_, sizeof out_) {}
  LogFile(const LogFile&) = delete;
  LogFile& operator=(const LogFile&) = delete;

  // Makes it in the current directory.
  Outcome Open();
  // What a stream gave. Never fails: what cannot be written is dropped, and said so later.
  void Add(LogStream stream, std::string_view bytes);
  // Both streams have ended.
  void Finish();

  uint64_t size() const { return size_; }

 private:
  void Append(std::string_view lines);
  // Writes what it can; how many bytes.
  size_t Write(std::string_view bytes);
  // Completes the line that a full disk has cut, and says what was lost. False: still full.
  bool CatchUp();
  void DropOldest();

  uint64_t limit_;
  uint64_t next_check_;  // the size at which the limit may be exceeded
  uint64_t size_ = 0;
  uint64_t start_ = 0;  // what log.start says
  uint64_t lost_ = 0;   // bytes that could not be written
  Fd file_;
  LogFormatter formatter_;
  size_t rest_size_ = 0;    // of a line that was written in part only:
  char rest_[kMaxLogLine];  // what is missing of it
  char out_[64 * 1024];
};

}  // namespace interlink::shim

#endif  // INTERLINK_CMD_SHIM_LOG_FILE_H_
