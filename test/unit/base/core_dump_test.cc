#include "base/core_dump.h"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>

namespace interlink {
namespace {

// In a child: the test process itself stays as it is.
int DumpableAfterwards(uid_t user) {
  const pid_t child = fork();
  if (child == 0) {
    if (user != geteuid() && setresuid(user, user, user) != 0) _exit(9);
    prctl(PR_SET_DUMPABLE, 1);
    NullLog log;
    StayOutOfCoreDumps(log);
    _exit(prctl(PR_GET_DUMPABLE));
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  return WEXITSTATUS(status);
}

TEST_CASE("root's daemon makes no core dump; another user's can still read its own /proc") {
#ifdef INTERLINK_SANITIZED
  CHECK(DumpableAfterwards(geteuid()) == 1);
#else
  CHECK(DumpableAfterwards(geteuid()) == (geteuid() == 0 ? 0 : 1));
#endif
  if (geteuid() == 0) CHECK(DumpableAfterwards(65534) == 1);
}

}  // namespace
}  // namespace interlink
