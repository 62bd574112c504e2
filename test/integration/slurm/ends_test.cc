// How jobs end on a real SLURM that preempts, and limits memory where it can.
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "cluster.h"
#include "support/eventually.h"

namespace interlink::slurm {
namespace {

bool CanLimitMemory() {
  struct stat about {};
  return geteuid() == 0 && stat("/sys/fs/cgroup/memory", &about) == 0;
}

std::vector<std::string> LimitedOptions() {
  std::vector<std::string> options = {"--slurm", "PreemptType=preempt/partition_prio", "--slurm",
                                      "PreemptMode=CANCEL"};
  if (CanLimitMemory()) options.emplace_back("--enforce");
  return options;
}

Cluster& Limited() {
  static Cluster cluster(LimitedOptions());
  return cluster;
}

}  // namespace

TEST_CASE("A job that takes more memory than its pod was given is out of memory") {
  if (!CanLimitMemory()) {
    WARN("not run: it needs root and the memory controller of cgroup v1");
    return;
  }
  Bench bench(Limited());
  auto pod = bench.MakePod("head -c 300m /dev/zero | tail -c 300m >/dev/null; exit 0");
  pod.submission.options.memory_mib = 50;
  REQUIRE(bench.Send(pod).kind == Kind::kAccepted);
  const Job job = bench.AwaitPhase(pod, Phase::kEnded);
  const JobView view = ViewOf(job, false);
  CHECK(job.state == "OUT_OF_MEMORY");
  CHECK(view.out_of_memory);
  CHECK(view.exit_code == 137);
}

TEST_CASE("A job of a stronger partition ends a weaker one as preempted") {
  Bench bench(Limited());
  auto weak = bench.MakePod(
      "trap 'echo told >>ran; exit 0' TERM; echo up >>ran; while :; do sleep 1; done");
  const std::string machine = "--nodelist=" + bench.cluster.machine(1);
  weak.submission.options = {.cpus = 16, .flags = {machine}};
  REQUIRE(bench.Send(weak).kind == Kind::kAccepted);
  bench.AwaitPhase(weak, Phase::kRunning);
  REQUIRE(test::Eventually([&] { return LinesOf(weak.folder() + "/ran").size() == 1; }));

  auto strong = bench.MakePod("sleep 300");
  strong.submission.options = {.cpus = 16, .partition = "short"};
  REQUIRE(bench.Send(strong).kind == Kind::kAccepted);

  const Job job = bench.AwaitPhase(weak, Phase::kEnded);
  CHECK(job.state == "PREEMPTED");
  CHECK(ViewOf(job, false).exit_code == 143);
  CHECK(LinesOf(weak.folder() + "/ran") == std::vector<std::string>{"up", "told"});
  bench.AwaitPhase(strong, Phase::kRunning);
  bench.CancelAndProve(strong);
}

TEST_CASE("A job is told before its time limit, and one that is deaf ends as timed out") {
  Bench bench(Limited());
  auto pod = bench.MakePod("trap 'date +%s >>told' TERM; while :; do sleep 1; done");
  pod.submission.options.time_minutes = 1;
  REQUIRE(bench.Send(pod).kind == Kind::kAccepted);
  const Job job = bench.AwaitPhase(pod, Phase::kEnded, std::chrono::seconds(150));
  CHECK(job.state == "TIMEOUT");
  CHECK(ViewOf(job, false).message.find("reached its time limit (TIMEOUT, TimeLimit") !=
        std::string::npos);
  const auto told = LinesOf(pod.folder() + "/told");
  REQUIRE_FALSE(told.empty());
  CHECK(std::stoll(told[0]) < job.end_time);
}

TEST_CASE("A drained machine keeps its job") {
  Bench bench(Limited());
  const auto pod = bench.MakePod("sleep 300");
  REQUIRE(bench.Send(pod).kind == Kind::kAccepted);
  const Job before = bench.AwaitPhase(pod, Phase::kRunning);
  bench.cluster.Run(
      {"scontrol", "update", "NodeName=" + before.batch_host, "State=DRAIN", "Reason=test"});
  const Job after = bench.AwaitPhase(pod, Phase::kRunning);
  CHECK(after.identity == before.identity);
  CHECK(bench.cluster.Run({"sinfo", "-h", "-n", before.batch_host, "-p", "debug", "-o", "%T"}) ==
        "draining\n");
  CHECK_FALSE(bench.CancelAndProve(pod).lost);
  bench.cluster.Lab("mend");
}

}  // namespace interlink::slurm
