// A file system of a test's own at a folder, which can be frozen: what writes there then waits and
// cannot be killed, as where a file server is away. Needs root. Is declared behind what writes
// there, so that a test that fails thaws first.
#ifndef INTERLINK_TEST_INTEGRATION_AGENT_FROZEN_FOLDER_H_
#define INTERLINK_TEST_INTEGRATION_AGENT_FROZEN_FOLDER_H_

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <string>

#include "base/file.h"
#include "base/unique_fd.h"

namespace interlink::test {

class FrozenFolder {
 public:
  // False: this machine has no loop devices.
  static bool Possible() { return access("/dev/loop-control", R_OK | W_OK) == 0; }
  // REQUIRES: `folder` exists; beside it there is room for 16 MiB.
  explicit FrozenFolder(std::string folder) : folder_(std::move(folder)) {
    const std::string disk = folder_ + ".disk";
    const std::string make = "truncate -s 16M '" + disk + "' && mkfs.ext4 -q '" + disk +
                             "' && mount -o loop '" + disk + "' '" + folder_ + "'";
    REQUIRE(std::system(make.c_str()) == 0);  // NOLINT(cert-env33-c,concurrency-mt-unsafe)
    top_ = UniqueFd(open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    REQUIRE(top_);
  }
  FrozenFolder(const FrozenFolder&) = delete;
  FrozenFolder& operator=(const FrozenFolder&) = delete;
  // Whoever still waits goes on.
  ~FrozenFolder() {
    Thaw();
    top_.Reset();
    umount2(folder_.c_str(), MNT_DETACH);
  }
  void Freeze() {
    REQUIRE(ioctl(top_.get(), FIFREEZE, 0) == 0);
    frozen_ = true;
  }
  void Thaw() {
    if (!frozen_) return;
    frozen_ = false;
    CHECK(ioctl(top_.get(), FITHAW, 0) == 0);
  }

 private:
  const std::string folder_;
  UniqueFd top_;
  bool frozen_ = false;
};

}  // namespace interlink::test

#endif  // INTERLINK_TEST_INTEGRATION_AGENT_FROZEN_FOLDER_H_
