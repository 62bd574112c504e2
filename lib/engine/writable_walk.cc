#include "engine/writable_walk.h"

#include <sys/stat.h>

#include <system_error>

namespace interlink::engine {
namespace {

constexpr int kMaxDepth = 64;  // open descriptors of one walk; what is deeper is not counted
constexpr int kAtLeast = 200;  // entries

}  // namespace

WritableWalk::WritableWalk(const std::string& path) {
  std::error_code error;
  at_ = std::filesystem::recursive_directory_iterator(
      path, std::filesystem::directory_options::skip_permission_denied, error);
}

bool WritableWalk::GoOn(const Clock& clock, SteadyTime until) {
  const std::filesystem::recursive_directory_iterator end;
  std::error_code error;
  for (int count = 0; !error && at_ != end; at_.increment(error), ++count) {
    if (count >= kAtLeast && clock.Steady() > until) return false;
    if (at_.depth() >= kMaxDepth) at_.disable_recursion_pending();
    struct stat about {};
    if (lstat(at_->path().c_str(), &about) != 0) continue;
    bytes_ += static_cast<uint64_t>(about.st_blocks) * 512;
    ++files_;
  }
  return true;
}

}  // namespace interlink::engine
