// WritableWalk: counts what is in a writable layer, a part at a time. Not thread-safe.
#ifndef INTERLINK_ENGINE_WRITABLE_WALK_H_
#define INTERLINK_ENGINE_WRITABLE_WALK_H_

#include <cstdint>
#include <filesystem>
#include <string>

#include "base/clock.h"

namespace interlink::engine {

class WritableWalk {
 public:
  explicit WritableWalk(const std::string& path);

  // Until the end or until that time, but some entries in any case. True: this is the end. What
  // changes meanwhile is counted or not.
  bool GoOn(const Clock& clock, SteadyTime until);
  uint64_t bytes() const { return bytes_; }
  uint64_t files() const { return files_; }

 private:
  std::filesystem::recursive_directory_iterator at_;
  uint64_t bytes_ = 0;
  uint64_t files_ = 0;
};

}  // namespace interlink::engine

#endif  // INTERLINK_ENGINE_WRITABLE_WALK_H_
