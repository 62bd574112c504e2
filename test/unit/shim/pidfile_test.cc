#include "shim/pidfile.h"

#include <signal.h>
#include <sys/wait.h>

#include <catch2/catch.hpp>
#include <string>

namespace interlink::shim {
namespace {

TEST_CASE("a process is known again by its pid file") {
  PidFile file;
  REQUIRE(IdentifyProcess(getpid(), file));
  char bytes[128];
  const size_t size = FormatPidFile(file, bytes, sizeof bytes);
  REQUIRE(size > 0);

  PidFile parsed;
  REQUIRE(ParsePidFile({bytes, size}, parsed));
  CHECK(parsed.pid == getpid());
  CHECK(parsed.start == file.start);
  CHECK(parsed.boot_id() == file.boot_id());
  CHECK(IsAlive(parsed) == Alive::kYes);
}

TEST_CASE("the same pid in another life is not alive") {
  PidFile file;
  REQUIRE(IdentifyProcess(getpid(), file));
  SECTION("another start time") { ++file.start; }
  SECTION("another boot") { file.boot[0] = file.boot[0] == '0' ? '1' : '0'; }
  CHECK(IsAlive(file) == Alive::kNo);
}

TEST_CASE("a process that ended is not alive, reaped or not") {
  const pid_t child = fork();
  if (child == 0) {
    pause();
    _exit(0);
  }
  PidFile file;
  REQUIRE(IdentifyProcess(child, file));
  CHECK(IsAlive(file) == Alive::kYes);

  kill(child, SIGKILL);
  siginfo_t info{};
  REQUIRE(waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT) == 0);
  CHECK(IsAlive(file) == Alive::kNo);
  REQUIRE(waitpid(child, nullptr, 0) == child);
  CHECK(IsAlive(file) == Alive::kNo);
}

TEST_CASE("what is not a pid file is refused") {
  const std::string boot = "12345678-1234-1234-1234-123456789012";
  const std::string text = GENERATE_COPY(
      as<std::string>{}, "", "1234", "interlink-pid 2 12 34 " + boot + "\n",
      "interlink-pid 1 12 34 " + boot, "interlink-pid 1 0 34 " + boot + "\n",
      "interlink-pid 1 -5 34 " + boot + "\n", "interlink-pid 1 4294967296 34 " + boot + "\n",
      "interlink-pid 1 12 34 short\n", "interlink-pid 1 12 " + boot + "\n",
      "interlink-pid 1 12 34 " + boot + "\nmore");
  PidFile file;
  CHECK_FALSE(ParsePidFile(text, file));
  CHECK(ParsePidFile("interlink-pid 1 12 34 " + boot + "\n", file));
}

}  // namespace
}  // namespace interlink::shim
