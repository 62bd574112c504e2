// Submissions to a real SLURM: what runs, what is refused, what is seen of it.
#include <algorithm>
#include <catch2/catch.hpp>

#include "base/file.h"
#include "cluster.h"
#include "slurm/job_list.h"

namespace interlink::slurm {

TEST_CASE("A pod runs in its folder with what it asked for, and its exit comes back") {
  Bench bench;
  auto pod = bench.MakePod("pwd; echo cpus=$SLURM_CPUS_ON_NODE gpus=$SLURM_GPUS_ON_NODE; exit 3");
  pod.submission.options = {.cpus = 3, .memory_mib = 100, .time_minutes = 10, .gres = "gpu:a100:2"};

  const SubmitOutcome outcome = bench.Send(pod);
  REQUIRE(outcome.kind == Kind::kAccepted);
  const Job job = bench.AwaitPhase(pod, Phase::kEnded);

  CHECK(job.identity.id == outcome.job);
  CHECK(job.identity.name == JobName(bench.lineage, pod.sandbox));
  CHECK(job.exit == JobExit{3, 0});
  CHECK(job.batch_host.find("lab-") == 0);
  const int64_t now = bench.clock.WallNanos() / 1'000'000'000;
  CHECK(std::abs(now - job.identity.submit_time) < 120);
  CHECK(job.end_time >= job.start_time);
  CHECK(ViewOf(job, false).exit_code == 3);
  CHECK(LinesOf(pod.folder() + "/job.log") ==
        std::vector<std::string>{pod.folder(), "cpus=3 gpus=2"});
  const auto claim = ReadClaim(pod.folder());
  REQUIRE(claim.ok());
  REQUIRE(claim->has_value());
  CHECK((*claim)->job == outcome.job);
  CHECK((*claim)->host == job.batch_host);
}

TEST_CASE("A job killed by a signal shows it") {
  Bench bench;
  const auto pod = bench.MakePod("kill -9 $$");
  REQUIRE(bench.Send(pod).kind == Kind::kAccepted);
  const Job job = bench.AwaitPhase(pod, Phase::kEnded);
  CHECK(job.exit == JobExit{0, 9});
  CHECK(ViewOf(job, false).exit_code == 137);
}

TEST_CASE("Of two submissions of one sandbox one runs, the other has lost the claim") {
  Bench bench;
  const auto pod = bench.MakePod("echo $SLURM_JOB_ID >>ran; sleep 2");
  REQUIRE(bench.Send(pod).kind == Kind::kAccepted);
  REQUIRE(bench.Send(pod).kind == Kind::kAccepted);

  const Sighting sighting = bench.Await(pod, [](const Sighting& seen) {
    return seen.jobs.size() == 2 &&
           std::all_of(seen.jobs.begin(), seen.jobs.end(),
                       [](const Job& job) { return IsFinal(ViewOf(job, false).phase); });
  });

  const auto ran = LinesOf(pod.folder() + "/ran");
  REQUIRE(ran.size() == 1);
  for (const Job& job : sighting.jobs) {
    const bool owner = std::to_string(job.identity.id) == ran[0];
    CHECK(ViewOf(job, false).phase == (owner ? Phase::kEnded : Phase::kClaimLost));
    CHECK(job.exit.code == (owner ? 0 : kExitClaimLost));
  }
}

TEST_CASE("After the site took the claim a job that waits cannot run the pod") {
  Bench bench;
  auto pod = bench.MakePod("touch ran");
  const auto claim = TakeClaim(pod.folder());
  REQUIRE(claim.ok());
  REQUIRE(claim->IsSite());
  REQUIRE(bench.Send(pod).kind == Kind::kAccepted);
  bench.AwaitPhase(pod, Phase::kClaimLost);
  CHECK(LinesOf(pod.folder() + "/ran").empty());
}

TEST_CASE("A request that SLURM cannot serve is refused in its words") {
  const auto [options, words] = GENERATE(table<JobOptions, std::string>({
      {{.partition = "nowhere"}, "Invalid partition name specified"},
      {{.cpus = 17}, "Requested node configuration is not available"},
      {{.memory_mib = 1 << 24}, "Memory specification can not be satisfied"},
      {{.gres = "gpu:9"}, "Requested node configuration is not available"},
      {{.gres = "tpu:1"}, "Invalid generic resource (gres) specification"},
      {{.constraint = "nvlink"}, "Invalid feature specification"},
      {{.reservation = "none"}, "Requested reservation is invalid"},
  }));
  Bench bench;
  auto pod = bench.MakePod("true");
  pod.submission.options = options;
  const SubmitOutcome outcome = bench.Send(pod);
  CHECK(outcome.kind == Kind::kRefused);
  CAPTURE(outcome.words);
  CHECK(outcome.words.find(words) != std::string::npos);
}

TEST_CASE("A job that its partition will never take is told apart from one that waits") {
  Bench bench;
  auto hopeless = bench.MakePod("true");
  hopeless.submission.options = {.time_minutes = 60, .partition = "short"};
  REQUIRE(bench.Send(hopeless).kind == Kind::kAccepted);
  const Job job = bench.AwaitPhase(hopeless, Phase::kNeverStarts);
  CHECK((job.reason == "PartitionTimeLimit" || job.reason == "PartitionConfig"));
  bench.CancelAndProve(hopeless);

  auto waiting = bench.MakePod("true");
  waiting.submission.options.flags = {"--begin=now+1hour"};
  REQUIRE(bench.Send(waiting).kind == Kind::kAccepted);
  const Job waits = bench
                        .Await(waiting,
                               [](const Sighting& seen) {
                                 return !seen.jobs.empty() && seen.jobs[0].reason == "BeginTime";
                               })
                        .jobs[0];
  CHECK(ViewOf(waits, false).phase == Phase::kQueued);
  CHECK(QueueMessage(waits).find("PENDING (BeginTime), expected start 2") != std::string::npos);
  bench.CancelAndProve(waiting);
}

TEST_CASE("A pod folder that the machine does not have, or may not write, is told by name") {
  Bench bench;
  const auto [folder, code] = GENERATE(
      table<std::string, int>({{"/absent", kExitNoPodFolder}, {"/proc", kExitNotWritable}}));
  auto pod = bench.MakePod("true");
  pod.submission.script.pod_folder = folder == "/proc" ? folder : pod.folder() + folder;
  REQUIRE(bench.Send(pod).kind == Kind::kAccepted);
  const Job job = bench.AwaitPhase(pod, Phase::kNotBegun);
  CHECK(job.exit.code == code);
  CHECK(ViewOf(job, false).message.find("pod's folder on " + job.batch_host + ": ") !=
        std::string::npos);
}

TEST_CASE("A job with a hostile name neither hides nor forges another") {
  Bench bench;
  const auto pod = bench.MakePod("sleep 30");
  REQUIRE(bench.Send(pod).kind == Kind::kAccepted);
  const SandboxId forged = MintSandboxId();
  bench.observer.Watch(forged);
  const std::string name =
      "x|\n99999|RUNNING|None|0|0|5|5|NONE|n1|" + JobName(bench.lineage, forged) + "|";
  bench.cluster.Run({"sbatch", "--parsable", "--hold", "--job-name=" + name}, "#!/bin/sh\n");

  const auto poll = bench.observer.Ask(Soon());

  REQUIRE(poll.ok());
  CHECK(poll->strangers.empty());
  for (const Sighting& sighting : poll->sightings) {
    CHECK(sighting.jobs.size() == (sighting.sandbox == pod.sandbox ? 1 : 0));
  }
  const auto jobs = ListJobs(Soon(), bench.commands, bench.cluster.user());
  REQUIRE(jobs.ok());
  CHECK(std::any_of(jobs->begin(), jobs->end(),
                    [&](const Job& job) { return job.identity.name == name; }));
  bench.cluster.Run({"scancel", "--state=PENDING", "--user=" + bench.cluster.user()});
  bench.observer.Forget(forged);
  bench.CancelAndProve(pod);
}

TEST_CASE("sbatch of this site tells what it is") {
  Bench bench;
  const auto version = ProbeSbatch(Soon(), bench.commands);
  REQUIRE(version.ok());
  CHECK(version->text.find("slurm") == 0);
  CHECK(version->major >= 2205);
  CHECK(version->has_runtime == (version->major >= 2611));
}

}  // namespace interlink::slurm
