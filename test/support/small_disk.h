// A real full disk: a small tmpfs in a mount namespace of its own, which ends with a child.
#ifndef INTERLINK_TEST_SUPPORT_SMALL_DISK_H_
#define INTERLINK_TEST_SUPPORT_SMALL_DISK_H_

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <functional>
#include <iostream>
#include <string>

#include "base/unique_fd.h"

namespace interlink::test {

// Assertions of the child: Catch's belong to the parent.
inline void Expect(bool holds, const std::string& what) {
  if (holds) return;
  std::cerr << "in the child: " << what << std::endl;
  _exit(1);
}

// Runs `scenario` in a child that has `size` bytes at `folder`. REQUIRES: one thread.
inline bool RunOnSmallDisk(const std::string& folder, const std::string& size,
                           const std::function<void()>& scenario) {
  const pid_t child = fork();
  if (child == 0) {
    // Without root: a user namespace gives the right to mount.
    const int spaces = geteuid() == 0 ? CLONE_NEWNS : CLONE_NEWNS | CLONE_NEWUSER;
    Expect(unshare(spaces) == 0, std::string("unshare: ") + std::strerror(errno));
    Expect(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0, "make mounts private");
    Expect(mount("small", folder.c_str(), "tmpfs", 0, ("size=" + size).c_str()) == 0,
           std::string("mount: ") + std::strerror(errno));
    scenario();
    _exit(0);
  }
  int status = 0;
  return waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

// Fills the disk to the last byte.
inline void FillDisk(const std::string& path) {
  const UniqueFd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  const std::string block(4096, 'x');
  while (write(fd.get(), block.data(), block.size()) > 0) {
  }
  Expect(errno == ENOSPC, "the disk is full");
}

}  // namespace interlink::test

#endif  // INTERLINK_TEST_SUPPORT_SMALL_DISK_H_
