// Launch: a launch file (lib/shim/launch.h) in memory, and what is left to do of it once its
// process is inside of the container.
#ifndef INTERLINK_CMD_SHIM_LAUNCH_H_
#define INTERLINK_CMD_SHIM_LAUNCH_H_

#include <cstdint>
#include <string_view>

#include "loop.h"
#include "shim/launch.h"
#include "system.h"

namespace interlink::shim {

class Launch {
 public:
  // The whole file; its offset does not matter and stays. EPROTO: it is none.
  Outcome Read(int fd);
  std::string_view bytes() const { return {file_.data(), size_}; }

  const char* root() const { return root_; }  // nullptr: none
  bool read_only() const { return read_only_; }
  bool terminal() const { return terminal_; }
  uint64_t user() const { return user_; }
  uint64_t group() const { return group_; }
  // "": as it is.
  std::string_view oom_score() const { return oom_score_; }
  // The path of that kind's namespace, "" for a new one; nullptr: as it is.
  const char* Namespace(std::string_view kind) const;

  // Enters the working folder, finds the program and, where the environment has none, the user's
  // home. REQUIRES: we are inside.
  Outcome Prepare();
  // Becomes the program; returns only when that fails. REQUIRES: Prepare was OK.
  Outcome Become();

 private:
  Outcome Take(const LaunchItem& item);
  void FillWords();
  Outcome AddHome();
  Outcome Find(const char* word);

  Pages file_;
  size_t size_ = 0;
  Pages pointers_;  // of words, a nullptr, of env, room for one more, a nullptr
  size_t words_ = 0;
  size_t envs_ = 0;
  const char* root_ = nullptr;
  const char* folder_ = nullptr;
  bool read_only_ = false;
  bool terminal_ = false;
  bool has_user_ = false;
  uint64_t user_ = 0;
  uint64_t group_ = 0;
  uint64_t bounding_ = 0;
  std::string_view oom_score_;
  char program_[4096] = {};
  char home_[4096] = {};
};

}  // namespace interlink::shim

#endif  // INTERLINK_CMD_SHIM_LAUNCH_H_
