// Watching and cancelling: "not there" needs answers in a row over more than MessageTimeout.
#include "slurm/observer.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <set>

#include "slurm/cancellation.h"
#include "slurm/job_name.h"
#include "support/fake_commands.h"
#include "support/manual_clock.h"
#include "unit/slurm/soon.h"

namespace interlink::slurm {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr const char* kUser = "alice";

// A cluster that lists what a test puts into it.
class Cluster {
 public:
  Cluster() {
    commands.answer = [this](const test::FakeCommands::Ran& ran) -> Result<Answer> {
      clock.Advance(took);
      if (down) {
        return Answer{
            1, 0, "",
            "slurm_load_jobs error: Unable to contact slurm controller (connect failure)\n"};
      }
      if (ran.argv[0] == "squeue") return Answer{0, 0, Text(ran.argv.back()), ""};
      return Answer{};
    };
  }

  void Put(uint64_t id, const SandboxId& sandbox, const std::string& state, int64_t submit = 100) {
    for (Listed& job : jobs) {
      if (job.id == id && job.name == JobName(lineage, sandbox) && job.submit == submit) {
        job.state = state;
        return;
      }
    }
    jobs.push_back({id, JobName(lineage, sandbox), state, submit});
  }

  Poll Ask() {
    auto poll = observer.Ask(Soon());
    REQUIRE(poll.ok());
    return *std::move(poll);
  }
  Sighting See() {
    const Poll poll = Ask();
    REQUIRE(poll.sightings.size() == 1);
    return poll.sightings[0];
  }

  struct Listed {
    uint64_t id;
    std::string name;
    std::string state;
    int64_t submit;
    uint32_t user = 1001;
  };
  std::vector<Listed> jobs;
  bool down = false;
  Duration took = Duration::zero();
  const Lineage lineage = MintLineage();
  test::ManualClock clock;
  test::FakeCommands commands;
  Observer observer{commands, clock, {.lineage = lineage, .user = kUser}};
  Cancellations cancellations{commands, clock, lineage, kUser};

 private:
  std::string Text(const std::string& format) const {
    const std::string mark = format.substr(format.rfind('|') + 1);
    std::string text;
    for (const Listed& job : jobs) {
      text += std::to_string(job.id) + "|" + job.state + "|None|0|0|" + std::to_string(job.submit) +
              "|N/A|N/A|n/a|" + std::to_string(job.user) + "|" + job.name + "|" + mark + "\n";
    }
    return text;
  }
};

}  // namespace

TEST_CASE("One squeue serves all watched sandboxes, and tells of strangers of our lineage") {
  Cluster cluster;
  std::vector<SandboxId> sandboxes;
  for (uint64_t i = 1; i <= 1000; ++i) {
    sandboxes.push_back(MintSandboxId());
    cluster.observer.Watch(sandboxes.back());
    cluster.Put(i, sandboxes.back(), "RUNNING");
  }
  const SandboxId stranger = MintSandboxId();
  cluster.Put(5000, stranger, "RUNNING");
  cluster.jobs.push_back(
      {5001, "interlink-" + MintLineage().str() + "-" + stranger.str(), "RUNNING", 100});
  cluster.jobs.push_back({5002, "somebody's", "RUNNING", 100});

  const Poll poll = cluster.Ask();

  CHECK(cluster.commands.Count("squeue") == 1);
  CHECK(poll.sightings.size() == 1000);
  CHECK(std::all_of(poll.sightings.begin(), poll.sightings.end(),
                    [](const Sighting& s) { return s.jobs.size() == 1; }));
  REQUIRE(poll.strangers.size() == 1);
  CHECK(poll.strangers[0].identity.id == 5000);
}

TEST_CASE("Nothing is there only after two answers more than MessageTimeout apart") {
  Cluster cluster;
  cluster.observer.Watch(MintSandboxId());
  CHECK_FALSE(cluster.See().nothing_there);
  CHECK_FALSE(cluster.See().nothing_there);
  cluster.clock.Advance(seconds(10));
  CHECK_FALSE(cluster.See().nothing_there);
  cluster.clock.Advance(milliseconds(1));
  CHECK(cluster.See().nothing_there);
  CHECK(cluster.See().nothing_there);
}

TEST_CASE("One late answer is not two") {
  Cluster cluster;
  cluster.observer.Watch(MintSandboxId());
  cluster.clock.Advance(seconds(60));
  CHECK_FALSE(cluster.See().nothing_there);
}

TEST_CASE("A question that failed makes what is missing count anew") {
  Cluster cluster;
  cluster.observer.Watch(MintSandboxId());
  CHECK_FALSE(cluster.See().nothing_there);
  cluster.down = true;
  cluster.clock.Advance(seconds(60));
  CHECK(cluster.observer.Ask(Soon()).status().code() == Code::kUnavailable);
  cluster.down = false;
  CHECK_FALSE(cluster.See().nothing_there);
  cluster.clock.Advance(seconds(9));
  CHECK_FALSE(cluster.See().nothing_there);
  cluster.clock.Advance(seconds(2));
  CHECK(cluster.See().nothing_there);
}

TEST_CASE("A garbled answer proves nothing") {
  Cluster cluster;
  cluster.observer.Watch(MintSandboxId());
  CHECK_FALSE(cluster.See().nothing_there);
  cluster.clock.Advance(seconds(60));
  const auto answer = cluster.commands.answer;
  cluster.commands.answer = [](const auto&) -> Result<Answer> { return Answer{0, 0, "1|RUN", ""}; };
  CHECK(cluster.observer.Ask(Soon()).status().code() == Code::kDataLoss);
  cluster.commands.answer = answer;
  CHECK_FALSE(cluster.See().nothing_there);
}

TEST_CASE("A submission counts from its own time") {
  Cluster cluster;
  const SandboxId sandbox = MintSandboxId();
  cluster.observer.Watch(sandbox);
  cluster.See();
  cluster.clock.Advance(seconds(11));
  cluster.observer.Watch(sandbox);  // submitted again
  CHECK_FALSE(cluster.See().nothing_there);
}

TEST_CASE("A job that comes late ends the doubt whether it is there") {
  Cluster cluster;
  const SandboxId sandbox = MintSandboxId();
  cluster.observer.Watch(sandbox);
  cluster.See();
  cluster.Put(7, sandbox, "PENDING");
  cluster.clock.Advance(seconds(11));
  const Sighting sighting = cluster.See();
  CHECK_FALSE(sighting.nothing_there);
  REQUIRE(sighting.jobs.size() == 1);
  CHECK(sighting.jobs[0].identity.id == 7);
}

TEST_CASE("A job that vanished is told gone once, by the same rule") {
  Cluster cluster;
  const SandboxId sandbox = MintSandboxId();
  cluster.observer.Watch(sandbox);
  cluster.Put(7, sandbox, "RUNNING");
  CHECK(cluster.See().jobs.size() == 1);
  cluster.jobs.clear();
  CHECK(cluster.See().gone.empty());
  cluster.clock.Advance(seconds(11));
  const Sighting sighting = cluster.See();
  REQUIRE(sighting.gone.size() == 1);
  CHECK(sighting.gone[0] == JobIdentity{7, JobName(cluster.lineage, sandbox), 100});
  CHECK(sighting.nothing_there);
  CHECK(cluster.See().gone.empty());
}

TEST_CASE("A job of the same id that was submitted at another time is another job") {
  Cluster cluster;
  const SandboxId sandbox = MintSandboxId();
  cluster.observer.Watch(sandbox);
  cluster.Put(7, sandbox, "RUNNING", 100);
  cluster.See();
  cluster.jobs.clear();
  cluster.Put(7, sandbox, "RUNNING",
              200);  // the controller lost its state; submitted again, same id
  cluster.See();
  cluster.clock.Advance(seconds(11));
  const Sighting sighting = cluster.See();
  REQUIRE(sighting.gone.size() == 1);
  CHECK(sighting.gone[0].submit_time == 100);
  REQUIRE(sighting.jobs.size() == 1);
  CHECK(sighting.jobs[0].identity.submit_time == 200);
  CHECK_FALSE(sighting.nothing_there);
}

TEST_CASE("An id that was given to somebody else's job is not ours any more") {
  Cluster cluster;
  const SandboxId sandbox = MintSandboxId();
  cluster.observer.Watch(sandbox);
  cluster.observer.Know(sandbox, {7, JobName(cluster.lineage, sandbox), 0});
  cluster.Put(7, MintSandboxId(), "RUNNING");
  cluster.See();
  cluster.clock.Advance(seconds(11));
  const Sighting sighting = cluster.See();
  REQUIRE(sighting.gone.size() == 1);
  CHECK(sighting.gone[0].id == 7);
}

TEST_CASE("A job known by its id alone is recognised, and then known whole") {
  Cluster cluster;
  const SandboxId sandbox = MintSandboxId();
  cluster.observer.Watch(sandbox);
  cluster.observer.Know(sandbox, {7, JobName(cluster.lineage, sandbox), 0});
  cluster.Put(7, sandbox, "RUNNING");
  CHECK(cluster.See().jobs.size() == 1);
  cluster.jobs.clear();
  cluster.See();
  cluster.clock.Advance(seconds(11));
  const Sighting sighting = cluster.See();
  REQUIRE(sighting.gone.size() == 1);
  CHECK(sighting.gone[0].submit_time == 100);
}

TEST_CASE("Two submissions of one sandbox are listed together, the newest last") {
  Cluster cluster;
  const SandboxId sandbox = MintSandboxId();
  cluster.observer.Watch(sandbox);
  cluster.Put(3, sandbox, "RUNNING", 200);
  cluster.Put(9, sandbox, "FAILED", 100);
  const Sighting sighting = cluster.See();
  REQUIRE(sighting.jobs.size() == 2);
  CHECK(sighting.jobs[0].identity.id == 9);
  CHECK(sighting.jobs[1].identity.id == 3);
}

TEST_CASE("A doubtful submission is settled by answers only") {
  Cluster cluster;
  const SandboxId sandbox = MintSandboxId();
  cluster.observer.Watch(sandbox);
  cluster.Put(7, sandbox, "RUNNING");
  cluster.observer.Doubt(sandbox);
  CHECK(cluster.See().in_doubt);
  cluster.down = true;
  cluster.clock.Advance(seconds(60));
  CHECK_FALSE(cluster.observer.Ask(Soon()).ok());
  cluster.down = false;
  CHECK(cluster.See().in_doubt);
  cluster.clock.Advance(seconds(11));
  CHECK_FALSE(cluster.See().in_doubt);
}

TEST_CASE("The questions come fast after a change, slowly when nothing has changed for long") {
  Cluster cluster;
  const SandboxId sandbox = MintSandboxId();
  const auto pause = [&] { return cluster.observer.NextPoll() - cluster.clock.Steady(); };
  cluster.clock.Advance(seconds(1000));
  cluster.Ask();
  CHECK(pause() == seconds(10));
  cluster.observer.Watch(sandbox);
  CHECK(pause() == seconds(1));
  cluster.Put(7, sandbox, "PENDING");
  cluster.Ask();
  CHECK(pause() == seconds(1));
  cluster.clock.Advance(seconds(50));
  cluster.Ask();
  CHECK(pause() == seconds(5));
  cluster.clock.Advance(seconds(1000));
  cluster.Ask();
  CHECK(pause() == seconds(10));
  cluster.observer.Hurry();
  CHECK(pause() == seconds(1));
  cluster.clock.Advance(seconds(1000));
  cluster.Put(7, sandbox, "RUNNING");
  cluster.Ask();
  CHECK(pause() == seconds(1));
  cluster.clock.Advance(seconds(1000));
  cluster.jobs.clear();
  cluster.Ask();
  CHECK(pause() == seconds(1));
}

TEST_CASE("A slow controller is asked less") {
  Cluster cluster;
  cluster.observer.Watch(MintSandboxId());
  cluster.took = seconds(3);
  cluster.Ask();
  CHECK(cluster.observer.NextPoll() - cluster.clock.Steady() == seconds(27));
}

TEST_CASE("A controller that does not answer is asked twice as late each time, up to a minute") {
  Cluster cluster;
  cluster.down = true;
  std::vector<int64_t> pauses;
  for (int i = 0; i < 9; ++i) {
    CHECK_FALSE(cluster.observer.Ask(Soon()).ok());
    pauses.push_back(
        std::chrono::duration_cast<seconds>(cluster.observer.NextPoll() - cluster.clock.Steady())
            .count());
  }
  CHECK(pauses == std::vector<int64_t>{1, 2, 4, 8, 16, 32, 60, 60, 60});
  cluster.observer.Watch(MintSandboxId());
  CHECK(cluster.observer.NextPoll() - cluster.clock.Steady() == seconds(60));
  cluster.down = false;
  cluster.Ask();
  CHECK(cluster.observer.NextPoll() - cluster.clock.Steady() == seconds(1));
}

TEST_CASE("A sandbox that is forgotten is a stranger's") {
  Cluster cluster;
  const SandboxId sandbox = MintSandboxId();
  cluster.observer.Watch(sandbox);
  cluster.Put(7, sandbox, "RUNNING");
  cluster.See();
  cluster.observer.Forget(sandbox);
  const Poll poll = cluster.Ask();
  CHECK(poll.sightings.empty());
  CHECK(poll.strangers.size() == 1);
}

TEST_CASE("A cancellation is repeated, later each time, until the job has ended") {
  Cluster cluster;
  const SandboxId sandbox = MintSandboxId();
  cluster.observer.Watch(sandbox);
  cluster.cancellations.Want(sandbox);
  cluster.Put(7, sandbox, "RUNNING");
  const auto step = [&] { return cluster.cancellations.Step(Soon(), cluster.Ask()); };

  CHECK(step()->empty());
  CHECK(cluster.commands.Count("scancel") == 1);
  CHECK(step()->empty());
  CHECK(cluster.commands.Count("scancel") == 1);
  cluster.clock.Advance(seconds(1));
  CHECK(step()->empty());
  CHECK(cluster.commands.Count("scancel") == 2);
  cluster.clock.Advance(seconds(1));
  CHECK(step()->empty());
  CHECK(cluster.commands.Count("scancel") == 2);
  cluster.Put(7, sandbox, "COMPLETING");
  cluster.clock.Advance(seconds(60));
  CHECK(step()->empty());
  CHECK(cluster.commands.Count("scancel") == 2);
  cluster.Put(7, sandbox, "CANCELLED");
  const auto proven = step();
  REQUIRE(proven.ok());
  REQUIRE(proven->size() == 1);
  CHECK(proven->at(0).sandbox == sandbox);
  CHECK_FALSE(proven->at(0).lost);
  CHECK_FALSE(cluster.cancellations.IsWanted(sandbox));
  for (const auto& ran : cluster.commands.calls()) {
    if (ran.argv[0] != "scancel") continue;
    CHECK(ran.argv == std::vector<std::string>{"scancel",
                                               "--name=" + JobName(cluster.lineage, sandbox),
                                               "--user=alice"});
  }
}

TEST_CASE("A cancellation of nothing is proven when nothing is there") {
  Cluster cluster;
  const SandboxId sandbox = MintSandboxId();
  cluster.observer.Watch(sandbox);
  cluster.cancellations.Want(sandbox);
  CHECK(cluster.cancellations.Step(Soon(), cluster.Ask())->empty());
  cluster.clock.Advance(seconds(11));
  CHECK(cluster.cancellations.Step(Soon(), cluster.Ask())->size() == 1);
  CHECK(cluster.commands.Count("scancel") == 0);
}

TEST_CASE("A job that comes to light after a doubtful submission is cancelled too") {
  Cluster cluster;
  const SandboxId sandbox = MintSandboxId();
  cluster.observer.Watch(sandbox);
  cluster.Put(7, sandbox, "CANCELLED");
  cluster.observer.Doubt(sandbox);
  cluster.cancellations.Want(sandbox);
  CHECK(cluster.cancellations.Step(Soon(), cluster.Ask())->empty());
  cluster.Put(8, sandbox, "PENDING");
  cluster.clock.Advance(seconds(11));
  CHECK(cluster.cancellations.Step(Soon(), cluster.Ask())->empty());
  CHECK(cluster.commands.Count("scancel") == 1);
  cluster.Put(8, sandbox, "CANCELLED");
  CHECK(cluster.cancellations.Step(Soon(), cluster.Ask())->size() == 1);
}

TEST_CASE("A job that SLURM gave up with its machine is over, but not proven dead") {
  Cluster cluster;
  const SandboxId sandbox = MintSandboxId();
  cluster.observer.Watch(sandbox);
  cluster.cancellations.Want(sandbox);
  cluster.Put(7, sandbox, "NODE_FAIL");
  const auto proven = cluster.cancellations.Step(Soon(), cluster.Ask());
  REQUIRE(proven.ok());
  REQUIRE(proven->size() == 1);
  CHECK(proven->at(0).lost);
}

TEST_CASE("A mass cancellation is bounded in each step and reaches everybody") {
  Cluster cluster;
  for (uint64_t i = 1; i <= 100; ++i) {
    const SandboxId sandbox = MintSandboxId();
    cluster.observer.Watch(sandbox);
    cluster.cancellations.Want(sandbox);
    cluster.Put(i, sandbox, "RUNNING");
  }
  for (const size_t sum : {32U, 64U, 96U, 128U}) {
    CHECK(cluster.cancellations.Step(Soon(), cluster.Ask()).ok());
    CHECK(cluster.commands.Count("scancel") == sum);
    cluster.clock.Advance(milliseconds(1100));
  }
  std::set<std::string> names;
  for (const auto& ran : cluster.commands.calls()) {
    if (ran.argv[0] == "scancel") names.insert(ran.argv[1]);
  }
  CHECK(names.size() == 100);
}

TEST_CASE("A cancellation that cannot reach the controller is an error and stays wanted") {
  Cluster cluster;
  const SandboxId sandbox = MintSandboxId();
  cluster.observer.Watch(sandbox);
  cluster.cancellations.Want(sandbox);
  cluster.Put(7, sandbox, "RUNNING");
  const Poll poll = cluster.Ask();
  cluster.down = true;
  CHECK(cluster.cancellations.Step(Soon(), poll).status().code() == Code::kUnavailable);
  CHECK(cluster.cancellations.IsWanted(sandbox));
}

}  // namespace interlink::slurm
