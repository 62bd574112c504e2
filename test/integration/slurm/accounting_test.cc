// A real SLURM with accounting that forgets ended jobs at once: what is known of them then.
#include "slurm/accounting.h"

#include <algorithm>
#include <catch2/catch.hpp>

#include "cluster.h"
#include "support/eventually.h"

namespace interlink::slurm {
namespace {

Cluster& Accounted() {
  static Cluster cluster({"--accounting", "--slurm", "MinJobAge=5"});
  return cluster;
}

std::vector<Job> Rows(Bench& bench, const Bench::Pod& pod) {
  const int64_t since = bench.clock.WallNanos() / 1'000'000'000 - 3600;
  const auto rows =
      AskAccounting(Soon(), bench.commands, bench.cluster.user(), {pod.submission.job_name}, since);
  INFO(rows.status().message());
  REQUIRE(rows.ok());
  return *rows;
}

}  // namespace

TEST_CASE(
    "A job that ended and was forgotten while nobody looked is gone, and its row says how it "
    "ended") {
  Bench bench(Accounted());
  const auto pod = bench.MakePod("echo $SLURM_JOB_ID >>ran; exit 255");
  const SubmitOutcome outcome = bench.Send(pod);
  REQUIRE(outcome.kind == Kind::kAccepted);
  bench.observer.Know(pod.sandbox, {outcome.job, pod.submission.job_name, 0});
  // The controller looks for old jobs once a minute.
  REQUIRE(test::Eventually(
      [&] {
        return LinesOf(pod.folder() + "/ran").size() == 1 &&
               bench.cluster.Run({"squeue", "-h", "-t", "all", "-n", pod.submission.job_name})
                   .empty();
      },
      std::chrono::seconds(120)));

  std::vector<JobIdentity> gone;
  bench.Await(pod, [&](const Sighting& seen) {
    gone.insert(gone.end(), seen.gone.begin(), seen.gone.end());
    return seen.nothing_there;
  });

  REQUIRE(gone.size() == 1);
  CHECK(gone[0].id == outcome.job);
  REQUIRE(test::Eventually([&] {
    const auto rows = Rows(bench, pod);
    return !rows.empty() && rows[0].state == "FAILED";
  }));
  const auto rows = Rows(bench, pod);
  REQUIRE(rows.size() == 1);
  CHECK(rows[0].identity.id == outcome.job);
  CHECK(rows[0].identity.name == pod.submission.job_name);
  CHECK(rows[0].end_time >= rows[0].identity.submit_time);
  CHECK(std::to_string(outcome.job) == LinesOf(pod.folder() + "/ran")[0]);
}

TEST_CASE("An account or QOS that does not exist is refused in SLURM's words") {
  Bench bench(Accounted());
  auto pod = bench.MakePod("true");
  pod.submission.options.account = "nobody";
  SubmitOutcome outcome = bench.Send(pod);
  CHECK(outcome.kind == Kind::kRefused);
  CHECK(outcome.words.find("Invalid account or account/partition combination") !=
        std::string::npos);
  pod.submission.options = {.qos = "nothing"};
  outcome = bench.Send(pod);
  CHECK(outcome.kind == Kind::kRefused);
  CHECK(outcome.words.find("Invalid qos specification") != std::string::npos);
}

TEST_CASE("A job beyond its QOS waits and says so, and one within it runs") {
  Bench bench(Accounted());
  auto beyond = bench.MakePod("true");
  beyond.submission.options = {.time_minutes = 60, .account = "lab", .qos = "quick"};
  REQUIRE(bench.Send(beyond).kind == Kind::kAccepted);
  const Sighting waits = bench.Await(beyond, [](const Sighting& seen) {
    return !seen.jobs.empty() && seen.jobs[0].reason == "QOSMaxWallDurationPerJobLimit";
  });
  CHECK(ViewOf(waits.jobs[0], false).phase == Phase::kQueued);
  bench.CancelAndProve(beyond);

  auto within = bench.MakePod("sleep 60");
  within.submission.options = {.time_minutes = 5, .account = "lab", .qos = "quick"};
  REQUIRE(bench.Send(within).kind == Kind::kAccepted);
  bench.AwaitPhase(within, Phase::kRunning);
  bench.CancelAndProve(within);
}

}  // namespace interlink::slurm
