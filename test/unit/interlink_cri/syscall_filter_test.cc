#include "syscall_filter.h"

#include <netdb.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <functional>
#include <thread>

namespace interlink::cmd_cri {
namespace {

constexpr int kNotFiltered = 200;
constexpr int kDone = 201;

// What `call` answers under the filter: errno, or kDone. In a child: the test itself stays as it
// is.
int Filtered(const std::function<bool()>& call) {
  const pid_t child = fork();
  if (child == 0) {
    if (!FilterSystemCalls().ok()) _exit(kNotFiltered);
    errno = 0;
    const bool done = call();
    _exit(done ? kDone : errno);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  return WEXITSTATUS(status);
}

bool OpensSocket(int family, int type) { return socket(family, type | SOCK_CLOEXEC, 0) >= 0; }

TEST_CASE("the node's daemon starts no program and makes no process") {
  CHECK(Filtered([] {
          char* const argv[] = {nullptr};
          return execve("/bin/true", argv, argv) == 0;
        }) == EPERM);
  CHECK(Filtered([] { return fork() >= 0; }) == EPERM);
  CHECK(Filtered([] { return ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) == 0; }) == EPERM);
}

TEST_CASE("it reaches nothing of the machine beside its files") {
  CHECK(Filtered([] { return unshare(CLONE_FS) == 0; }) == EPERM);
  CHECK(Filtered([] { return mount("none", "/tmp", "tmpfs", 0, nullptr) == 0; }) == EPERM);
  CHECK(Filtered([] { return setuid(getuid()) == 0; }) == EPERM);
  CHECK(Filtered([] { return OpensSocket(AF_PACKET, SOCK_RAW); }) == EPERM);
  CHECK(Filtered([] { return OpensSocket(AF_VSOCK, SOCK_STREAM); }) == EPERM);
  CHECK(Filtered([] { return OpensSocket(AF_INET, SOCK_RAW | SOCK_NONBLOCK); }) == EPERM);
}

TEST_CASE("what it needs goes on: threads, addresses, sockets, files") {
  CHECK(Filtered([] {
          bool ran = false;
          std::thread([&ran] { ran = true; }).join();
          return ran;
        }) == kDone);
  CHECK(Filtered([] {
          addrinfo* found = nullptr;
          if (getaddrinfo("localhost", "80", nullptr, &found) != 0) return false;
          freeaddrinfo(found);
          return OpensSocket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK) &&
                 OpensSocket(AF_UNIX, SOCK_SEQPACKET);
        }) == kDone);
  CHECK(Filtered([] {
          FILE* file = tmpfile();
          return file != nullptr && fputs("x", file) >= 0 && fclose(file) == 0;
        }) == kDone);
}

TEST_CASE("threads that ran before the filter have it too") {
  const pid_t child = fork();
  if (child == 0) {
    std::atomic<int> step = 0;
    std::atomic<int> error = 0;
    std::thread before([&] {
      while (step == 0) std::this_thread::yield();
      if (unshare(CLONE_FS) != 0) error = errno;
    });
    const bool filtered = FilterSystemCalls().ok();
    step = 1;
    before.join();
    _exit(filtered ? error.load() : kNotFiltered);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(WEXITSTATUS(status) == EPERM);
}

}  // namespace
}  // namespace interlink::cmd_cri
