// Cancelling on a real SLURM: waiting, running, deaf, and what must not be touched.
#include <catch2/catch.hpp>
#include <csignal>

#include "cluster.h"
#include "support/eventually.h"

namespace interlink::slurm {

TEST_CASE("A job that waits is cancelled before it starts") {
  Bench bench;
  auto pod = bench.MakePod("touch ran");
  pod.submission.options.flags = {"--begin=now+1hour"};
  REQUIRE(bench.Send(pod).kind == Kind::kAccepted);
  CHECK_FALSE(bench.CancelAndProve(pod).lost);
  CHECK(LinesOf(pod.folder() + "/ran").empty());
  CHECK_FALSE(ReadClaim(pod.folder())->has_value());
}

TEST_CASE("A running job is told with TERM and has ended when the cancellation is proven") {
  Bench bench;
  const auto pod = bench.MakePod(
      "trap 'echo told >>ran; exit 0' TERM; echo $$ >>ran; while :; do sleep 1; done");
  REQUIRE(bench.Send(pod).kind == Kind::kAccepted);
  REQUIRE(test::Eventually([&] { return LinesOf(pod.folder() + "/ran").size() == 1; }));
  bench.CancelAndProve(pod);
  const auto lines = LinesOf(pod.folder() + "/ran");
  REQUIRE(lines.size() == 2);
  CHECK(lines[1] == "told");
  CHECK(kill(std::stoi(lines[0]), 0) == -1);
}

TEST_CASE("A job that is deaf to TERM is killed, and the proof comes after that") {
  Bench bench;
  const auto pod = bench.MakePod("trap '' TERM; echo $$ >>ran; while :; do sleep 1; done");
  REQUIRE(bench.Send(pod).kind == Kind::kAccepted);
  REQUIRE(test::Eventually([&] { return LinesOf(pod.folder() + "/ran").size() == 1; }));
  bench.CancelAndProve(pod);
  CHECK(kill(std::stoi(LinesOf(pod.folder() + "/ran")[0]), 0) == -1);
}

TEST_CASE("A cancellation touches no other sandbox and no other lineage") {
  Bench bench;
  Bench other;
  const auto pod = bench.MakePod("sleep 300");
  const auto neighbour = bench.MakePod("sleep 300");
  const auto foreign = other.MakePod("sleep 300");
  for (const auto* one : {&pod, &neighbour}) REQUIRE(bench.Send(*one).kind == Kind::kAccepted);
  REQUIRE(other.Send(foreign).kind == Kind::kAccepted);
  bench.AwaitPhase(neighbour, Phase::kRunning);
  other.AwaitPhase(foreign, Phase::kRunning);

  bench.CancelAndProve(pod);

  bench.AwaitPhase(neighbour, Phase::kRunning);
  other.AwaitPhase(foreign, Phase::kRunning);
  bench.CancelAndProve(neighbour);
  other.CancelAndProve(foreign);
}

TEST_CASE("A sandbox that never had a job is proven empty, after the time that a doubt takes") {
  Bench bench;
  const auto pod = bench.MakePod("true");
  bench.observer.Watch(pod.sandbox);
  const SteadyTime begin = bench.clock.Steady();
  bench.CancelAndProve(pod);
  CHECK(bench.clock.Steady() - begin > kMessageTimeout);
}

TEST_CASE("A cancellation waits for a controller that is away and is then proven") {
  Bench bench;
  const auto pod = bench.MakePod("sleep 300");
  REQUIRE(bench.Send(pod).kind == Kind::kAccepted);
  bench.AwaitPhase(pod, Phase::kRunning);
  bench.cluster.SignalController(SIGSTOP);
  const Status status =
      CancelJobs(Soon(), bench.commands, pod.submission.job_name, bench.cluster.user());
  bench.cluster.SignalController(SIGCONT);
  CHECK_FALSE(status.ok());
  bench.CancelAndProve(pod);
}

}  // namespace interlink::slurm
