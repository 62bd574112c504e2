#include "shim/process_stat.h"

#include <sys/wait.h>

#include <catch2/catch.hpp>
#include <string>

namespace interlink::shim {
namespace {

// Fields 3 to 31 of proc(5), and some of those behind them.
const std::string kFields =
    " S 7 8 9 0 -1 4194560 11 99 3 98 100 50 25 5 20 0 1 0 4711 1000 6 18446744073709551615 1 2 3 "
    "4 "
    "5 256 0 0";

TEST_CASE("a line of stat is read behind a name that holds anything") {
  ProcessStat stat;

  REQUIRE(ParseProcessStat("12 (a) R 1 2 3 (b) Z 1)" + kFields, stat));

  CHECK(stat.pid == 12);
  CHECK(stat.state == 'S');
  CHECK(stat.parent == 7);
  CHECK(stat.session == 9);
  CHECK(stat.flags == 4194560);
  CHECK(stat.minor_faults == 11);
  CHECK(stat.major_faults == 3);
  CHECK(stat.cpu_ticks == 180);
  CHECK(stat.start == 4711);
  CHECK(stat.rss_pages == 6);
  CHECK(stat.pending == 256);
}

TEST_CASE("what is no line of stat is none") {
  const std::string cut = "12 (name)" + kFields.substr(0, kFields.find(" 256"));
  const std::string text =
      GENERATE_COPY(as<std::string>{}, "", "12", "12 (name", "12 (name)", "12 (name) S 1 2 3",
                    "x (name)" + kFields, "-12 (name)" + kFields, cut);
  CAPTURE(text);
  ProcessStat stat;

  CHECK_FALSE(ParseProcessStat(text, stat));
}

TEST_CASE("a process that was killed is dying until it is gone") {
  const pid_t child = fork();
  if (child == 0) {
    for (;;) pause();
  }
  ProcessStat stat;
  REQUIRE(ReadProcessStat(child, stat));
  CHECK_FALSE(IsDying(stat));

  REQUIRE(kill(child, SIGKILL) == 0);

  siginfo_t info{};
  REQUIRE(waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT) == 0);
  REQUIRE(ReadProcessStat(child, stat));
  CHECK(IsDying(stat));
  REQUIRE(waitpid(child, nullptr, 0) == child);
}

TEST_CASE("a process is dying by its state, its flags or the signal that waits for it") {
  const auto [stat, dying] = GENERATE(table<ProcessStat, bool>({
      {{.state = 'S'}, false},
      {{.state = 'S', .flags = 0x400140, .pending = 1U << (SIGTERM - 1)}, false},
      {{.state = 'Z'}, true},
      {{.state = 'X'}, true},
      {{.state = 'R', .flags = 0x400144}, true},
      {{.state = 'S', .pending = 1U << (SIGKILL - 1)}, true},
  }));
  CHECK(IsDying(stat) == dying);
}

TEST_CASE("a process that is not there is told from one that cannot be read") {
  ProcessStat stat;
  REQUIRE(ReadProcessStat(getpid(), stat));
  CHECK(stat.pid == getpid());
  CHECK(stat.parent == getppid());
  const pid_t child = fork();
  if (child == 0) _exit(0);
  REQUIRE(waitpid(child, nullptr, 0) == child);

  CHECK_FALSE(ReadProcessStat(child, stat));
  CHECK(errno == ENOENT);
}

}  // namespace
}  // namespace interlink::shim
