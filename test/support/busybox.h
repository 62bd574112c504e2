// Where tests find busybox: Debian's dynamic one, in a cache of its own
// (test/support/images/busybox_root.py), whatever the machine has.
#ifndef INTERLINK_TEST_SUPPORT_BUSYBOX_H_
#define INTERLINK_TEST_SUPPORT_BUSYBOX_H_

#include <stdio.h>

#include <stdexcept>
#include <string>

namespace interlink::test {

// The program's path. Throws when there is none and it cannot be fetched.
inline std::string BusyboxPath() {
  FILE* script =
      popen("python3 '" INTERLINK_SOURCE_DIR "/test/support/images/busybox_root.py'", "r");
  if (script == nullptr) throw std::runtime_error("cannot start python3");
  char line[4096] = "";
  const bool read = fgets(line, sizeof line, script) != nullptr;
  if (pclose(script) != 0 || !read) throw std::runtime_error("cannot get busybox");
  const std::string root = line;
  return root.substr(0, root.find('\n')) + "/bin/busybox";
}

}  // namespace interlink::test

#endif  // INTERLINK_TEST_SUPPORT_BUSYBOX_H_
