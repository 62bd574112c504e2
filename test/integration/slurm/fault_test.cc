// A real SLURM that fails in the ways that were seen: frozen, killed, with a lying sbatch, with a
// dead machine.
#include <sys/stat.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <csignal>
#include <set>

#include "base/file.h"
#include "cluster.h"
#include "support/eventually.h"
#include "support/temporary_folder.h"

namespace interlink::slurm {
namespace {

bool StateHas(const Bench& bench, const std::string& text) {
  const auto state = ReadFile(bench.cluster.folder() + "/slurm/state/job_state");
  return state.ok() && state->find(text) != std::string::npos;
}

// The controller has written what it knows of this job now; it writes at most every 5 s.
void AwaitSaved(const Bench& bench, uint64_t job) {
  const std::string mark = RandomHex(8);
  bench.cluster.Run({"scontrol", "update", "JobId=" + std::to_string(job), "Comment=" + mark});
  REQUIRE(test::Eventually([&] { return StateHas(bench, mark); }));
}

// The controller's next change is written at once, and the one after that not before 5 s.
void AwaitIdleState(const Bench& bench) {
  REQUIRE(test::Eventually([&] {
    struct stat about {};
    if (stat((bench.cluster.folder() + "/slurm/state/job_state").c_str(), &about) != 0)
      return true;  // never written
    return bench.clock.WallNanos() / 1'000'000'000 - about.st_mtim.tv_sec > 6;
  }));
}

bool AllFinal(const Sighting& seen) {
  return !seen.jobs.empty() && std::all_of(seen.jobs.begin(), seen.jobs.end(), [](const Job& job) {
    return IsFinal(ViewOf(job, false).phase);
  });
}

}  // namespace

TEST_CASE("A submission to a frozen controller is in doubt, and its job comes to light") {
  Bench bench;
  const auto pod = bench.MakePod("echo $SLURM_JOB_ID >>ran");
  bench.cluster.SignalController(SIGSTOP);
  const SubmitOutcome outcome = bench.Send(pod);
  bench.cluster.SignalController(SIGCONT);

  CHECK(outcome.kind == Kind::kUnknown);
  CAPTURE(outcome.words);
  CHECK(outcome.words.find("Socket timed out") != std::string::npos);
  const Sighting seen = bench.Await(pod, AllFinal);
  CHECK(seen.jobs.size() == 1);
  CHECK(LinesOf(pod.folder() + "/ran").size() == 1);
}

TEST_CASE("A second submission after a doubt runs the pod once, whichever of the two is first") {
  Bench bench;
  const auto pod = bench.MakePod("echo $SLURM_JOB_ID >>ran");
  bench.cluster.SignalController(SIGSTOP);
  const SubmitOutcome first = bench.Send(pod);
  bench.cluster.SignalController(SIGCONT);
  CHECK(first.kind == Kind::kUnknown);
  CHECK(bench.Send(pod).kind == Kind::kAccepted);

  const Sighting seen =
      bench.Await(pod, [](const Sighting& s) { return s.jobs.size() == 2 && AllFinal(s); });

  CHECK(LinesOf(pod.folder() + "/ran").size() == 1);
  std::multiset<Phase> phases;
  for (const Job& job : seen.jobs) phases.insert(ViewOf(job, false).phase);
  CHECK(phases == std::multiset<Phase>{Phase::kClaimLost, Phase::kEnded});
}

TEST_CASE(
    "An sbatch that submits and then fails leaves a doubt, and the job is found by its name") {
  Bench bench;
  test::TemporaryFolder folder;
  REQUIRE(WriteFileAtomically(folder.File("sbatch"),
                              "#!/bin/sh\n/usr/bin/sbatch \"$@\" >/dev/null\nexit 1\n", 0700)
              .ok());
  CommandOptions options = bench.cluster.options();
  options.folder = folder.path();
  SystemCommands lying(options);
  const auto pod = bench.MakePod("true");

  const auto outcome = Submit(Soon(), lying, pod.submission);

  REQUIRE(outcome.ok());
  CHECK(outcome->kind == Kind::kUnknown);
  bench.observer.Watch(pod.sandbox);
  bench.observer.Doubt(pod.sandbox);
  CHECK(bench.Await(pod, AllFinal).jobs.size() == 1);
}

TEST_CASE("A killed sbatch leaves a doubt that its name settles, one way or the other") {
  Bench bench;
  for (int millis = 1; millis <= 9; millis += 2) {
    CommandOptions options = bench.cluster.options();
    options.limit = std::chrono::milliseconds(millis);
    SystemCommands hasty(options);
    const auto pod = bench.MakePod("true");
    const auto outcome = Submit(Soon(), hasty, pod.submission);
    REQUIRE(outcome.ok());
    bench.observer.Watch(pod.sandbox);
    if (outcome->kind == Kind::kUnknown) bench.observer.Doubt(pod.sandbox);
    const Sighting settled = bench.Await(
        pod, [](const Sighting& s) { return s.nothing_there || (AllFinal(s) && !s.in_doubt); });
    CHECK(settled.jobs.size() <= 1);
    if (outcome->kind == Kind::kAccepted) CHECK(settled.jobs.size() == 1);
    bench.observer.Forget(pod.sandbox);
  }
}

TEST_CASE("While the controller is dead nothing is submitted, nothing is gone, and jobs run on") {
  Bench bench;
  const auto pod = bench.MakePod("sleep 300");
  REQUIRE(bench.Send(pod).kind == Kind::kAccepted);
  const Job before = bench.AwaitPhase(pod, Phase::kRunning);
  AwaitSaved(bench, before.identity.id);
  bench.cluster.Lab("kill-slurmctld");

  const auto late = bench.MakePod("true");
  const SubmitOutcome outcome = bench.Send(late);
  const auto poll = bench.observer.Ask(Soon());
  bench.cluster.Lab("start-slurmctld");

  CHECK(outcome.kind == Kind::kNotReached);
  CHECK(poll.status().code() == Code::kUnavailable);
  const Job after = bench.AwaitPhase(pod, Phase::kRunning);
  CHECK(after.identity == before.identity);
  bench.observer.Forget(late.sandbox);
  bench.CancelAndProve(pod);
}

TEST_CASE(
    "A job that a killed controller forgot is gone by the rule, and its id is another job's") {
  Bench bench;
  auto first = bench.MakePod("true");
  first.submission.options.flags = {"--begin=now+1hour"};
  const SubmitOutcome sent = bench.Send(first);
  REQUIRE(sent.kind == Kind::kAccepted);
  AwaitSaved(bench, sent.job);  // the next write is 5 s away
  auto pod = bench.MakePod("true");
  pod.submission.options.flags = {"--begin=now+1hour"};
  const SubmitOutcome lost = bench.Send(pod);
  REQUIRE(lost.kind == Kind::kAccepted);
  bench.observer.Know(pod.sandbox, {lost.job, pod.submission.job_name, 0});
  bench.cluster.Lab("kill-slurmctld");
  bench.cluster.Lab("start-slurmctld");
  const auto heir = bench.MakePod("sleep 300");
  const SubmitOutcome next = bench.Send(heir);
  REQUIRE(next.kind == Kind::kAccepted);

  std::vector<JobIdentity> gone;
  const Sighting last = bench.Await(pod, [&](const Sighting& seen) {
    gone.insert(gone.end(), seen.gone.begin(), seen.gone.end());
    return seen.nothing_there;
  });

  CHECK(next.job == lost.job);
  REQUIRE(gone.size() == 1);
  CHECK(gone[0].id == lost.job);
  CHECK(last.jobs.empty());
  bench.observer.Forget(pod.sandbox);
  bench.CancelAndProve(first);
  bench.CancelAndProve(heir);
}

TEST_CASE("A controller killed just after a start does not run a pod twice") {
  Bench bench;
  const auto pod = bench.MakePod("echo $$ >>ran; sleep 300");
  AwaitIdleState(bench);
  REQUIRE(bench.Send(pod).kind == Kind::kAccepted);
  REQUIRE(
      test::Eventually([&] { return StateHas(bench, pod.sandbox.str()); }));  // as one that waits
  REQUIRE(test::Eventually([&] { return LinesOf(pod.folder() + "/ran").size() == 1; }));
  bench.cluster.Lab("kill-slurmctld");
  bench.cluster.Lab("start-slurmctld");

  // Whatever the controller makes of it: the job runs on, was killed, or is run again and loses its
  // claim. Machines have registered, and told it what they run, within these seconds.
  const SteadyTime begin = bench.clock.Steady();
  const Sighting seen = bench.Await(pod, [&](const Sighting& s) {
    return s.nothing_there || AllFinal(s) ||
           bench.clock.Steady() - begin > std::chrono::seconds(12);
  });
  for (const Job& job : seen.jobs) WARN(ViewOf(job, false).message);
  bench.CancelAndProve(pod);
  CHECK(LinesOf(pod.folder() + "/ran").size() == 1);
  // A drained machine is the price that SLURM names for a duplicate id.
  bench.cluster.Lab("mend");
}

TEST_CASE("A job whose machine's slurmd is dead is lost after SLURM's time, and not proven dead") {
  Bench bench;
  const auto pod = bench.MakePod("echo $$ >>ran; sleep 300");
  REQUIRE(bench.Send(pod).kind == Kind::kAccepted);
  const Job running = bench.AwaitPhase(pod, Phase::kRunning);
  REQUIRE(test::Eventually([&] { return LinesOf(pod.folder() + "/ran").size() == 1; }));
  const std::string number = running.batch_host.substr(running.batch_host.rfind('-') + 1);
  bench.cluster.Lab("kill-slurmd", number);

  const Job lost = bench.AwaitPhase(pod, Phase::kLost, std::chrono::seconds(120));

  CHECK(lost.state == "NODE_FAIL");
  CHECK(kill(std::stoi(LinesOf(pod.folder() + "/ran")[0]), 0) == 0);  // its processes live on
  CHECK(bench.CancelAndProve(pod).lost);
  bench.cluster.Lab("start-slurmd", number);
  bench.cluster.Lab("mend");
  CHECK(test::Eventually(
      [&] { return kill(std::stoi(LinesOf(pod.folder() + "/ran")[0]), 0) == -1; }));
}

}  // namespace interlink::slurm
