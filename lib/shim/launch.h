// A launch file: what `interlink-shim ch-run` reads in place of an OCI config. The engine writes
// it. Items in any order, each its name and its values, each of them ended by a NUL:
//
//   root PATH             of the container, merged and mounted
//   read-only             the root cannot be written
//   namespace KIND PATH   uts, ipc or pid; PATH empty: a new one
//   mount PLACE TYPE SOURCE FLAGS PROPAGATION DATA    in the root, in this order; mount(2)'s
//   numbers mask PATH             in the root: nothing can be seen there keep PATH             in
//   the root: nothing can be written there user UID GID          the only ones that the container
//   has bounding MASK         capabilities that root may have, as a number oom-score ADJ terminal
//   stdin, stdout and stderr are one, whose master goes to --console-socket folder PATH the working
//   folder word TEXT             of the command line env NAME=VALUE
//
// An exec has no root and no mounts. User, folder and a word are there always.
#ifndef INTERLINK_SHIM_LAUNCH_H_
#define INTERLINK_SHIM_LAUNCH_H_

#include <cstddef>
#include <string_view>

#include "shim/text.h"

namespace interlink::shim {

enum class LaunchKind {
  kRoot,
  kReadOnly,
  kNamespace,
  kMount,
  kMask,
  kKeep,
  kUser,
  kBounding,
  kOomScore,
  kTerminal,
  kFolder,
  kWord,
  kEnv
};

// In the order of LaunchKind.
struct LaunchName {
  std::string_view name;
  size_t values;
};
inline constexpr LaunchName kLaunchNames[] = {
    {"root", 1},   {"read-only", 0}, {"namespace", 2}, {"mount", 6},     {"mask", 1},
    {"keep", 1},   {"user", 2},      {"bounding", 1},  {"oom-score", 1}, {"terminal", 0},
    {"folder", 1}, {"word", 1},      {"env", 1},
};

inline constexpr std::string_view NameOf(LaunchKind kind) {
  return kLaunchNames[static_cast<size_t>(kind)].name;
}

// A value is a C string too: a NUL follows it.
struct LaunchItem {
  LaunchKind kind = LaunchKind::kRoot;
  std::string_view values[6];
};

class LaunchScanner {
 public:
  explicit LaunchScanner(std::string_view bytes) : scan_(bytes) {}

  // The next item; false: at the end, or what follows is none.
  bool Next(LaunchItem& item) {
    std::string_view name;
    if (!scan_.Until('\0', name)) return false;
    for (size_t i = 0; i < sizeof kLaunchNames / sizeof kLaunchNames[0]; ++i) {
      if (kLaunchNames[i].name != name) continue;
      item.kind = static_cast<LaunchKind>(i);
      for (size_t value = 0; value < kLaunchNames[i].values; ++value) {
        if (!scan_.Until('\0', item.values[value])) return Fail();
      }
      return true;
    }
    return Fail();
  }
  bool failed() const { return failed_ || !scan_.rest().empty(); }

 private:
  bool Fail() {
    failed_ = true;
    return false;
  }
  Scanner scan_;
  bool failed_ = false;
};

}  // namespace interlink::shim

#endif  // INTERLINK_SHIM_LAUNCH_H_
