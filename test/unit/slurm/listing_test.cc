// Answers of squeue, sacct and sbatch --parsable, good and garbled.
#include <algorithm>
#include <catch2/catch.hpp>

#include "slurm/accounting.h"
#include "slurm/job_list.h"
#include "slurm/job_name.h"
#include "support/fake_commands.h"
#include "unit/slurm/soon.h"

namespace interlink::slurm {
namespace {

constexpr const char* kMark = "0123456789abcdef";

std::string Line(const std::string& fields, const std::string& name) {
  return fields + "|1001|" + name + "|" + kMark + "\n";
}

}  // namespace

TEST_CASE("A list of squeue is read with all that it says") {
  const std::string text =
      Line("7|RUNNING|None|0|0|1795860146|1795860148|NONE|n1", "a") +
      Line("8|PENDING|Resources|0|2|1795860150|N/A|N/A|n/a", "b") +
      Line("9|FAILED|NonZeroExitCode|768|0|1795860150|1795860151|1795860152|n2", "c");

  const auto jobs = ParseJobList(text, kMark);

  REQUIRE(jobs.ok());
  REQUIRE(jobs->size() == 3);
  const Job& running = jobs->at(0);
  CHECK(running.identity == JobIdentity{7, "a", 1795860146});
  CHECK(running.state == "RUNNING");
  CHECK(running.start_time == 1795860148);
  CHECK(running.end_time == 0);
  CHECK(running.batch_host == "n1");
  CHECK(running.user == 1001);
  CHECK(jobs->at(1).reason == "Resources");
  CHECK(jobs->at(1).restarts == 2);
  CHECK(jobs->at(1).batch_host.empty());
  CHECK(jobs->at(2).exit == JobExit{3, 0});
}

TEST_CASE("A job of 24.11 has its exit code as two numbers") {
  const auto jobs = ParseJobList(Line("9|FAILED|NonZeroExitCode|3:0|0|5|5|6|n2", "c"), kMark);
  REQUIRE(jobs.ok());
  CHECK(jobs->at(0).exit == JobExit{3, 0});
}

TEST_CASE("A name with line ends and bars is a name, not another record") {
  const std::string hostile = "x|\n1|RUNNING|None|0|0|5|5|NONE|n1|interlink-y|";
  const auto jobs = ParseJobList(Line("7|RUNNING|None|0|0|5|5|NONE|n1", hostile), kMark);
  REQUIRE(jobs.ok());
  REQUIRE(jobs->size() == 1);
  CHECK(jobs->at(0).identity.name == hostile);
}

TEST_CASE("No jobs are an empty list") { CHECK(ParseJobList("", kMark).value().empty()); }

TEST_CASE("An answer that is garbled anywhere is refused whole, with the place") {
  const std::string good = Line("7|RUNNING|None|0|0|5|5|NONE|n1", "a");
  const std::string bad = GENERATE(
      std::string("slurm_load_jobs: something\n"), Line("|RUNNING|None|0|0|5|5|NONE|n1", "a"),
      Line("0|RUNNING|None|0|0|5|5|NONE|n1", "a"), Line("7x|RUNNING|None|0|0|5|5|NONE|n1", "a"),
      Line("-7|RUNNING|None|0|0|5|5|NONE|n1", "a"), Line("7||None|0|0|5|5|NONE|n1", "a"),
      Line("7|running|None|0|0|5|5|NONE|n1", "a"), Line("7|RUNNING|None||0|5|5|NONE|n1", "a"),
      Line("7|RUNNING|None|0|x|5|5|NONE|n1", "a"), Line("7|RUNNING|None|0|0|N/A|5|NONE|n1", "a"),
      Line("7|RUNNING|None|0|0|2026-01-02T03:04:05|5|NONE|n1", "a"), Line("7|RUNNING|None|0", "a"),
      Line("7|RUNNING|None|65536|0|5|5|NONE|n1", "a"),
      Line("7|RUNNING|None|0|0|5|soon|NONE|n1", "a"),
      std::string("7|RUNNING|None|0|0|5|5|NONE|n1|alice|a|") + kMark + "\n",
      std::string("7|RUNNING|None|0|0|5|5|NONE|n1|a|"), std::string("7|RUNN"));

  const auto jobs = ParseJobList(good + bad, kMark);

  REQUIRE(jobs.status().code() == Code::kDataLoss);
  CHECK(jobs.status().message().find("squeue's answer is garbled") == 0);
}

TEST_CASE("An exit code is a wait status or exit and signal") {
  const auto [text, code, signal] = GENERATE(table<std::string, int, int>({
      {"0", 0, 0},
      {"768", 3, 0},
      {"65280", 255, 0},
      {"256", 1, 0},
      {"9", 0, 9},
      {"11", 0, 11},
      {"139", 0, 11},   // with a core file
      {"253", 0, 125},  // out of memory, 22.05
      {"35072", 137, 0},
      {"4021", 0, 53},
      {"28928", 113, 0},
      {"0:0", 0, 0},
      {"3:0", 3, 0},
      {"255:0", 255, 0},
      {"0:9", 0, 9},
      {"0:15", 0, 15},
      {"0:125", 0, 125},
  }));
  const auto exit = ParseJobExit(text);
  REQUIRE(exit.ok());
  CHECK(*exit == JobExit{code, signal});
}

TEST_CASE("What is no exit code is refused") {
  const std::string text =
      GENERATE("", ":", "3:", ":0", "3:0:0", "x", "-1", "0x300", "256:0", "99999999999");
  CHECK(ParseJobExit(text).status().code() == Code::kDataLoss);
}

TEST_CASE("Listing asks for all of the user's jobs in one call, with a new mark each time") {
  test::FakeCommands commands;
  CHECK(ListJobs(Soon(), commands, "alice").value().empty());
  CHECK(ListJobs(Soon(), commands, "alice").value().empty());

  const auto calls = commands.calls();
  REQUIRE(calls.size() == 2);
  const auto& argv = calls[0].argv;
  CHECK(argv[0] == "squeue");
  CHECK(std::count(argv.begin(), argv.end(), "--user=alice") == 1);
  CHECK(std::count(argv.begin(), argv.end(), "--states=all") == 1);
  CHECK(std::count(argv.begin(), argv.end(), "--all") == 1);
  CHECK(argv != calls[1].argv);
}

TEST_CASE("A failing squeue is an error, never an empty list") {
  test::FakeCommands commands;
  commands.answer = [](const auto&) -> Result<Answer> {
    return Answer{1, 0, "",
                  "slurm_load_jobs error: Unable to contact slurm controller (connect failure)\n"};
  };
  CHECK(ListJobs(Soon(), commands, "alice").status().code() == Code::kUnavailable);
  commands.answer = [](const auto&) -> Result<Answer> { return DeadlineExceeded("squeue"); };
  CHECK(ListJobs(Soon(), commands, "alice").status().code() == Code::kDeadlineExceeded);
}

TEST_CASE("Rows of sacct are read, and its exit codes are not believed") {
  const auto jobs = ParseAccounting(
      "1|FAILED|1795860413|1795860414|1795860418|n1|zz1\n"
      "2|CANCELLED by 1001|1795860413|Unknown|1795860421|None assigned|zz2\n"
      "1|RUNNING|1795860500|1795860514|Unknown|n2|zz1\n");
  REQUIRE(jobs.ok());
  REQUIRE(jobs->size() == 3);
  CHECK(jobs->at(0).identity == JobIdentity{1, "zz1", 1795860413});
  CHECK(jobs->at(0).exit == JobExit{});
  CHECK(jobs->at(1).state == "CANCELLED");
  CHECK(jobs->at(1).start_time == 0);
  CHECK(jobs->at(1).batch_host.empty());
  CHECK(jobs->at(2).identity.submit_time == 1795860500);
}

TEST_CASE("Garbled rows of sacct are refused, and no rows are no jobs") {
  CHECK(ParseAccounting("").value().empty());
  const std::string text =
      GENERATE("\n", "1|FAILED|5|5|5|n1\n", "1|FAILED|5|5|5|n1|a|b\n", "x|FAILED|5|5|5|n1|a\n",
               "1||5|5|5|n1|a\n", "1|FAILED|Unknown|5|5|n1|a\n", "1|FAILED|5|5|5|n1|\n",
               "1|FAILED|5|5|5|n1|a", "sacct: odd\n");
  CHECK(ParseAccounting(text).status().code() == Code::kDataLoss);
}

TEST_CASE("sacct is asked for names since a time, in UTC") {
  const auto argv = AccountingArguments("alice", {"a", "b"}, 1795860413);
  CHECK(std::count(argv.begin(), argv.end(), "--name=a,b") == 1);
  CHECK(std::count(argv.begin(), argv.end(), "--starttime=2026-11-28T10:06:53") == 1);
  test::FakeCommands commands;
  CHECK(AskAccounting(Soon(), commands, "alice", {}, 5).status().code() == Code::kInvalidArgument);
  CHECK(AskAccounting(Soon(), commands, "alice", std::vector<std::string>(101, "a"), 5)
            .status()
            .code() == Code::kInvalidArgument);
  CHECK(commands.calls().empty());
}

TEST_CASE("Only SLURM's word that there is no such job denies it") {
  const auto asked = [](const Answer& answer) {
    test::FakeCommands commands;
    commands.answer = [&](const test::FakeCommands::Ran&) { return answer; };
    return DeniesJob(Soon(), commands, 12, "interlink-a-b");
  };
  CHECK(asked({1, 0, "", "slurm_load_jobs error: Invalid job id specified\n"}).value());
  CHECK(asked({0, 0, "12 somebody's\n", ""}).value());
  CHECK_FALSE(asked({0, 0, "12 interlink-a-b\n", ""}).value());
  const auto answer = GENERATE(values<Answer>({
      {0, 0, "", ""},
      {0, 0, "12 interl", ""},
      {0, 0, "13 interlink-a-b\n", ""},
      {1, 0, "", ""},
      {1, 0, "", "slurm_load_jobs error: Unable to contact slurm controller (connect failure)\n"},
  }));
  CAPTURE(answer.out, answer.err);
  CHECK(asked(answer).status().code() == Code::kUnavailable);
}

TEST_CASE("A job's name leads back to its sandbox, in its own lineage only") {
  const Lineage lineage = MintLineage();
  const SandboxId sandbox = MintSandboxId();
  const std::string name = JobName(lineage, sandbox);
  CHECK(name.size() == 107);
  CHECK(SandboxOfJob(lineage, name) == sandbox);
  CHECK_FALSE(SandboxOfJob(MintLineage(), name).has_value());
  CHECK_FALSE(SandboxOfJob(lineage, name + "0").has_value());
  CHECK_FALSE(SandboxOfJob(lineage, name.substr(1)).has_value());
  CHECK_FALSE(SandboxOfJob(lineage, "").has_value());
}

}  // namespace interlink::slurm
