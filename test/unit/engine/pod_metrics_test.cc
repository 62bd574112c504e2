// What pod metrics are read from: texts of the kernel, of cgroup v1 and v2, and the machine itself.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <map>

#include "base/unique_fd.h"
#include "engine/cgroup_details.h"
#include "engine/device_names.h"
#include "engine/open_files.h"
#include "engine/stats_text.h"

namespace interlink::engine {
namespace {

using Files = std::map<std::string, std::string>;

ReadCgroupFile From(Files files) {
  return [files = std::move(files)](const std::string& controller,
                                    const std::string& name) -> Result<std::string> {
    const auto it = files.find(controller + "/" + name);
    return it == files.end() ? Result<std::string>(NotFound("no such file")) : it->second;
  };
}

// As a 6.x kernel with the v1 hierarchies has them.
const Files kV1 = {
    {"cpuacct/cpuacct.usage_user", "1500000000\n"},
    {"cpuacct/cpuacct.usage_sys", "700000000\n"},
    {"cpu/cpu.stat", "nr_periods 37\nnr_throttled 12\nthrottled_time 3400000000\nwait_sum 9\n"},
    {"memory/memory.stat",
     "cache 1\nrss 2\nmapped_file 3\nswap 4\npgfault 50\npgmajfault 6\ntotal_cache 10240\n"
     "total_rss 20480\ntotal_mapped_file 4096\ntotal_swap 8192\ntotal_pgfault 70\n"
     "total_pgmajfault 8\n"},
    {"memory/memory.kmem.usage_in_bytes", "12288\n"},
    {"memory/memory.max_usage_in_bytes", "67108864\n"},
    {"memory/memory.failcnt", "5\n"},
    {"memory/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"},
    {"pids/pids.current", "3\n"},
    {"pids/pids.max", "max\n"},
    {"blkio/blkio.throttle.io_service_bytes_recursive",
     "8:0 Read 4096\n8:0 Write 1024\n8:0 Sync 0\n8:0 Async 0\n8:0 Discard 0\n8:0 Total 5120\n"
     "Total 5120\n"},
    {"blkio/blkio.throttle.io_serviced_recursive", "8:0 Read 4\n8:0 Write 1\nTotal 5\n"},
};

const Files kV2 = {
    {"cpu/cpu.stat",
     "usage_usec 2200000\nuser_usec 1500000\nsystem_usec 700000\nnr_periods 37\nnr_throttled 12\n"
     "throttled_usec 3400000\n"},
    {"memory/memory.stat",
     "anon 20480\nfile 10240\nkernel 12288\nfile_mapped 4096\npgfault 70\npgmajfault 8\n"},
    {"memory/memory.swap.current", "8192\n"},
    {"memory/memory.peak", "67108864\n"},
    {"memory/memory.events", "low 0\nhigh 0\nmax 5\noom 3\noom_kill 2\noom_group_kill 0\n"},
    {"pids/pids.current", "3\n"},
    {"pids/pids.max", "100\n"},
    {"io/io.stat", "8:0 rbytes=4096 wbytes=1024 rios=4 wios=1 dbytes=0 dios=0\n7:0 \n"},
};

}  // namespace

TEST_CASE("The same container says the same through cgroup v1 and v2") {
  const bool v2 = GENERATE(false, true);
  const CgroupDetails details = v2 ? ReadDetailsV2(From(kV2)) : ReadDetailsV1(From(kV1));

  CHECK(details.cpu_user_nanos == 1'500'000'000U);
  CHECK(details.cpu_system_nanos == 700'000'000U);
  CHECK(details.cpu_periods == 37U);
  CHECK(details.cpu_throttled_periods == 12U);
  CHECK(details.cpu_throttled_nanos == 3'400'000'000U);
  CHECK(details.memory_cache == 10240U);
  CHECK(details.memory_mapped_file == 4096U);
  CHECK(details.memory_swap == 8192U);
  CHECK(details.memory_kernel == 12288U);
  CHECK(details.memory_max_usage == 67108864U);
  CHECK(details.memory_failcnt == 5U);
  CHECK(details.page_faults == (v2 ? 70U : 50U));
  CHECK(details.major_page_faults == (v2 ? 8U : 6U));
  CHECK(details.oom_kills == 2U);
  CHECK(details.threads == 3U);
  CHECK(details.threads_max == (v2 ? 100U : 0U));
  REQUIRE(details.devices.size() == 1);
  CHECK(details.devices[0].major == 8);
  CHECK(details.devices[0].minor == 0);
  CHECK(details.devices[0].read_bytes == 4096);
  CHECK(details.devices[0].write_bytes == 1024);
  CHECK(details.devices[0].reads == 4);
  CHECK(details.devices[0].writes == 1);
}

TEST_CASE("What the kernel does not say is not known, never zero") {
  for (const CgroupDetails& details :
       {ReadDetailsV1(From({})), ReadDetailsV2(From({})),
        ReadDetailsV1(From({{"memory/memory.stat", "total_cache many\n"},
                            {"pids/pids.current", "three\n"},
                            {"blkio/blkio.throttle.io_service_bytes_recursive", "a:b Read 1\n"}})),
        ReadDetailsV2(From({{"io/io.stat", "nonsense rbytes=1\n8:0 rbytes=x\n"}}))}) {
    CHECK_FALSE(details.cpu_user_nanos);
    CHECK_FALSE(details.cpu_periods);
    CHECK_FALSE(details.memory_cache);
    CHECK_FALSE(details.memory_swap);
    CHECK_FALSE(details.memory_max_usage);
    CHECK_FALSE(details.oom_kills);
    CHECK_FALSE(details.threads);
    CHECK_FALSE(details.threads_max);
    CHECK(details.devices.empty());
  }
}

TEST_CASE("A field is found by its whole name only") {
  CHECK(FieldOf("total_cache 7\ncache 9\n", "cache") == 9U);
  CHECK(FieldOf("cached 7\n", "cache") == std::nullopt);
  CHECK(FieldOf("cache", "cache") == std::nullopt);
  CHECK(FieldOf("cache 12", "cache") == 12U);
  CHECK(FieldOf("", "cache") == std::nullopt);
}

TEST_CASE("A network's counters are read column by column") {
  const auto all = ParseNetDev(
      "Inter-|   Receive                                                |  Transmit\n"
      " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs "
      "drop\n"
      "  eth0: 11 12 13 14 15 16 17 18 21 22 23 24 25 26 27 28\n"
      "    lo: 1 2\n");
  REQUIRE(all.size() == 1);
  CHECK(all[0].name == "eth0");
  CHECK(all[0].rx_bytes == 11);
  CHECK(all[0].rx_packets == 12);
  CHECK(all[0].rx_errors == 13);
  CHECK(all[0].rx_dropped == 14);
  CHECK(all[0].tx_bytes == 21);
  CHECK(all[0].tx_packets == 22);
  CHECK(all[0].tx_errors == 23);
  CHECK(all[0].tx_dropped == 24);
}

TEST_CASE("A device is named by sysfs, by its file system's source, or by its numbers") {
  CHECK(DevNameIn("MAJOR=8\nMINOR=0\nDEVNAME=sda\nDEVTYPE=disk\n") == "sda");
  CHECK(DevNameIn("MAJOR=8\n").empty());
  const auto sources = MountSources(
      "22 1 0:20 / /sys rw,nosuid shared:7 - sysfs sysfs rw\n"
      "23 1 0:21 / /tmp rw - tmpfs scratch rw,size=1k\n"
      "24 1 0:21 /x /mnt rw - tmpfs other rw\n"
      "nonsense\n");
  REQUIRE(sources.size() == 2);
  CHECK(sources.at("0:20") == "sysfs");
  CHECK(sources.at("0:21") == "scratch");

  DeviceNames names;
  CHECK(names.NameOf(4095, 1048575) == "4095:1048575");
  struct stat about {};
  REQUIRE(stat("/proc", &about) == 0);
  CHECK(names.NameOf(major(about.st_dev), minor(about.st_dev)) == "proc");
}

TEST_CASE("Open files of a process are counted, and which of them are sockets") {
  const SystemClock clock;
  const SteadyTime later = clock.Steady() + std::chrono::minutes(1);
  const auto before = CountOpenFiles({getpid()}, clock, later);
  REQUIRE(before);

  int pair[2];
  REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
  const UniqueFd one(pair[0]);
  const UniqueFd two(pair[1]);
  const UniqueFd file(open("/dev/null", O_RDONLY | O_CLOEXEC));
  const auto after = CountOpenFiles({getpid()}, clock, later);

  REQUIRE(after);
  CHECK(after->descriptors == before->descriptors + 3);
  CHECK(after->sockets == before->sockets + 2);
  CHECK_FALSE(CountOpenFiles({getpid()}, clock, clock.Steady()));
  CHECK(CountOpenFiles({}, clock, later)->descriptors == 0);
}

TEST_CASE("A process that has ended has no open files") {
  const SystemClock clock;
  const pid_t child = fork();
  if (child == 0) _exit(0);
  REQUIRE(waitpid(child, nullptr, 0) == child);

  const auto files = CountOpenFiles({child}, clock, clock.Steady() + std::chrono::minutes(1));

  REQUIRE(files);
  CHECK(files->descriptors == 0);
}

}  // namespace interlink::engine
