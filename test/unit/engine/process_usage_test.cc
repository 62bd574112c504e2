// Usage of containers that have no cgroup, by their processes.
#include "engine/process_usage.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>

namespace interlink::engine {
namespace {

constexpr uint64_t kTicks = 100;
constexpr uint64_t kPage = 4096;

MeasuredProcess Process(pid_t parent, uint64_t cpu = 1) {
  MeasuredProcess process;
  process.parent = parent;
  process.own = {cpu, 10, 0, 0, 1};
  return process;
}

}  // namespace

TEST_CASE("A process is measured by what the kernel counts of it") {
  shim::ProcessStat stat;
  stat.pid = 42;
  stat.parent = 7;
  stat.cpu_ticks = 180;
  stat.rss_pages = 6;
  stat.minor_faults = 11;
  stat.major_faults = 3;

  const MeasuredProcess process = MeasureProcess(stat, kTicks, kPage);

  CHECK(process.parent == 7);
  CHECK(process.own.cpu_nanos == 1'800'000'000);
  CHECK(process.own.rss_bytes == 6 * kPage);
  CHECK(process.own.page_faults == 14);
  CHECK(process.own.major_page_faults == 3);
  CHECK(process.own.processes == 1);
}

TEST_CASE("A container's processes are the first one and all below it, whoever else there is") {
  const ProcessTable table({{1, Process(0)},
                            {10, Process(1, 5)},
                            {11, Process(10, 6)},
                            {12, Process(11, 7)},
                            {20, Process(1, 100)}});
  const auto used = table.Below(10);
  REQUIRE(used);
  CHECK(used->processes == 3);
  CHECK(used->cpu_nanos == 18);
  CHECK(used->rss_bytes == 30);
  CHECK_FALSE(table.Below(13));
}

TEST_CASE("A table that contradicts itself ends too") {
  const ProcessTable table({{10, Process(11)}, {11, Process(10)}});
  const auto used = table.Below(10);
  REQUIRE(used);
  CHECK(used->processes <= 3);
}

TEST_CASE("The machine's own table has us with our children") {
  const pid_t child = fork();
  if (child == 0) {
    pause();
    _exit(0);
  }
  const ProcessTable table = ProcessTable::Read();
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  const auto used = table.Below(getpid());
  REQUIRE(used);
  CHECK(used->processes >= 2);
  CHECK(used->rss_bytes > 0);
  CHECK(table.Below(child)->processes == 1);
}

}  // namespace interlink::engine
