// LeftLog: copies what nobody has acknowledged of one container's log to where the site finds it
// without the agent (shim/left_log.h). Not thread-safe.
#ifndef INTERLINK_AGENT_LEFT_LOG_H_
#define INTERLINK_AGENT_LEFT_LOG_H_

#include <cstdint>
#include <map>
#include <string>

#include "base/status.h"
#include "base/unique_fd.h"

namespace interlink::agent {

class LeftLog {
 public:
  // `shim_folder`: of the container (shim/layout.h). `folder`: FOLDER/logs/CONTAINER, made by the
  // first byte that is saved. `limit`: bytes that are kept at most; the oldest go first.
  LeftLog(std::string shim_folder, std::string folder, uint64_t limit)
      : shim_folder_(std::move(shim_folder)), folder_(std::move(folder)), limit_(limit) {}

  // Saves what is below `until`, durably, and deletes what was acknowledged. Answers how long the
  // log is. kNotFound: there is no log. After an error it may be called again.
  Result<uint64_t> Save(uint64_t until);
  // The same for all of it, and the mark that it is all. REQUIRES: the container has ended.
  Status Finish();

 private:
  // Where an earlier process stopped.
  Status Load();
  Status CopyUntil(int log, uint64_t until);
  Status OpenSegment(uint64_t offset);
  Status Append(const std::string& bytes);
  Status Sync();
  Status Trim(uint64_t acknowledged);
  // Below it the log is not needed, or not there any more.
  uint64_t Floor() const;

  const std::string shim_folder_;
  const std::string folder_;
  const uint64_t limit_;
  bool loaded_ = false;
  uint64_t saved_ = 0;                        // durable below
  uint64_t written_ = 0;                      // copied below; not less than saved_
  std::map<uint64_t, std::string> segments_;  // paths by offset
  UniqueFd segment_;                          // the last one; none: the next byte begins one
};

}  // namespace interlink::agent

#endif  // INTERLINK_AGENT_LEFT_LOG_H_
