// What is sent to sbatch, and what came of it.
#include "slurm/submission.h"

#include <algorithm>
#include <catch2/catch.hpp>

#include "slurm/job_name.h"
#include "support/fake_commands.h"
#include "unit/slurm/soon.h"

namespace interlink::slurm {
namespace {

using Kind = SubmitOutcome::Kind;

Submission Sample() {
  Submission submission;
  submission.job_name = "interlink-a-b";
  submission.comment = "comment";
  submission.options.cpus = 2;
  submission.script = {"/pods/x", {"/opt/agent", "run"}};
  return submission;
}

bool Has(const std::vector<std::string>& argv, const std::string& word) {
  return std::count(argv.begin(), argv.end(), word) == 1;
}

}  // namespace

TEST_CASE("A submission says what exactly-once needs, each value one argument") {
  const auto argv = SubmitArguments(Sample());
  CHECK(argv.front() == "sbatch");
  for (const char* word :
       {"--parsable", "--no-requeue", "--export=NONE", "--propagate=NONE", "--open-mode=append",
        "--nodes=1", "--ntasks=1", "--input=/dev/null", "--chdir=/", "--job-name=interlink-a-b",
        "--comment=comment", "--output=/dev/null", "--cpus-per-task=2", "--signal=B:TERM@60"}) {
    CAPTURE(word);
    CHECK(Has(argv, word));
  }
  // Nothing that is not an option: sbatch would take it as a script's name.
  CHECK(std::all_of(argv.begin() + 1, argv.end(),
                    [](const std::string& word) { return word.substr(0, 2) == "--"; }));
  CHECK_FALSE(Has(argv, "--runtime=none"));
}

TEST_CASE("A site's runtime plugin does not wrap the agent") {
  Submission submission = Sample();
  submission.runtime_none = true;
  CHECK(Has(SubmitArguments(submission), "--runtime=none"));
}

TEST_CASE("A short job is told of its end within its time") {
  Submission submission = Sample();
  submission.options.time_minutes = 1;
  CHECK(Has(SubmitArguments(submission), "--signal=B:TERM@15"));
  submission.options.time_minutes = 600;
  CHECK(Has(SubmitArguments(submission), "--signal=B:TERM@60"));
}

TEST_CASE("The script goes to stdin, and no value of it into the command line") {
  test::FakeCommands commands;
  commands.answer = [](const auto&) -> Result<Answer> { return Answer{0, 0, "4711\n", ""}; };
  const auto outcome = Submit(Soon(), commands, Sample());
  REQUIRE(outcome.ok());
  CHECK(outcome->kind == Kind::kAccepted);
  CHECK(outcome->job == 4711);
  const auto calls = commands.calls();
  REQUIRE(calls.size() == 1);
  CHECK(calls[0].input.find("exec '/opt/agent' 'run'\n") != std::string::npos);
  CHECK_FALSE(Has(calls[0].argv, "/opt/agent"));
}

TEST_CASE("A script that cannot be written is refused before anything is sent") {
  test::FakeCommands commands;
  Submission submission = Sample();
  submission.script.pod_folder = "/pods/x\n#SBATCH -p other";
  CHECK(Submit(Soon(), commands, submission).status().code() == Code::kInvalidArgument);
  CHECK(commands.calls().empty());
}

TEST_CASE("What sbatch answers is one of four outcomes") {
  const auto [code, signal, out, err,
              kind] = GENERATE(table<int, int, std::string, std::string, Kind>({
      {0, 0, "4711\n", "", Kind::kAccepted},
      {0, 0, "4711;cluster\n", "", Kind::kAccepted},
      {0, 0, "4711\n", "sbatch: warning: something\n", Kind::kAccepted},
      {0, 0, "", "", Kind::kUnknown},
      {0, 0, "Submitted batch job 4711\n", "", Kind::kUnknown},
      {0, 0, "0\n", "", Kind::kUnknown},
      {0, 0, "-3\n", "", Kind::kUnknown},
      {1, 0, "", "sbatch: error: Batch job submission failed: Invalid partition name specified\n",
       Kind::kRefused},
      {1, 0, "",
       "sbatch: error: Batch job submission failed: Requested node configuration is not "
       "available\n",
       Kind::kRefused},
      {1, 0, "",
       "sbatch: unrecognized option '--runtime=none'\nTry \"sbatch --help\" for more information\n",
       Kind::kRefused},
      {1, 0, "", "sbatch: error: Invalid generic resource (gres) specification\n", Kind::kRefused},
      {255, 0, "", "sbatch: error: Invalid --time specification\n", Kind::kRefused},
      {1, 0, "",
       "sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect "
       "failure)\n",
       Kind::kNotReached},
      {1, 0, "", "sbatch: fatal: Could not establish a configuration source\n", Kind::kNotReached},
      {1, 0, "",
       "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation\n",
       Kind::kUnknown},
      {1, 0, "", "sbatch: error: Batch job submission failed: Unexpected message received\n",
       Kind::kUnknown},
      {1, 0, "",
       "sbatch: error: Batch job submission failed: Unable to contact slurm controller (receive "
       "failure)\n",
       Kind::kUnknown},
      // munged is down here: nothing was sent.
      {1, 0, "",
       "sbatch: error: If munged is up, restart with --num-threads=10\n"
       "sbatch: error: Munge encode failed: Failed to access \"/run/munge/munge.socket.2\": No "
       "such "
       "file or directory\n"
       "sbatch: error: slurm_send_node_msg: auth_g_create: REQUEST_SUBMIT_BATCH_JOB has "
       "authentication error\n"
       "sbatch: error: Batch job submission failed: Protocol authentication error\n",
       Kind::kNotReached},
      // Or its answer could not be read.
      {1, 0, "", "sbatch: error: Batch job submission failed: Protocol authentication error\n",
       Kind::kUnknown},
      {137, 9, "", "sbatch: error: Slurm job queue full, sleeping and retrying\n", Kind::kUnknown},
      {1, 0, "4711\n", "", Kind::kUnknown},
      {1, 0, "", "", Kind::kUnknown},
      {3, 0, "", "wrapper: something went wrong\n", Kind::kUnknown},
      {137, 9, "4711\n", "", Kind::kUnknown},
      {139, 11, "", "", Kind::kUnknown},
  }));
  const SubmitOutcome outcome = OutcomeOf({code, signal, out, err});
  CHECK(outcome.kind == kind);
  CHECK(outcome.no_room == (err.find("queue full") != std::string::npos));
  CHECK((outcome.job != 0) == (kind == Kind::kAccepted));
  CHECK(outcome.words.empty() == (kind == Kind::kAccepted));
}

TEST_CASE("A submission that was ended from here may have a job, one that was not begun has none") {
  const auto [status, kind] = GENERATE(table<Status, Kind>({
      {DeadlineExceeded("sbatch"), Kind::kUnknown},
      {CancelledError("sbatch"), Kind::kUnknown},
      {ResourceExhausted("sbatch printed more"), Kind::kUnknown},
      {NotFound("start \"sbatch\": no such file"), Kind::kNotReached},
  }));
  test::FakeCommands commands;
  commands.answer = [status = status](const auto&) -> Result<Answer> { return status; };
  const auto outcome = Submit(Soon(), commands, Sample());
  REQUIRE(outcome.ok());
  CHECK(outcome->kind == kind);
  CHECK(outcome->words == status.message());
}

TEST_CASE("A comment is one printable line, whatever a pod is called") {
  CHECK(JobComment("s", "n", "default", "web-0", "uid") ==
        "interlink site=s node=n pod=default/web-0 uid=uid");
  CHECK(JobComment("s|x", "n\n", "a b", "caf\xc3\xa9", "") ==
        "interlink site=s_x node=n_ pod=a_b/caf__ uid=");
  CHECK(JobComment(std::string(3000, 's'), "n", "a", "b", "c").size() == 1000);
}

TEST_CASE("sbatch tells what it is") {
  test::FakeCommands commands;
  std::string version = "slurm-wlm 22.05.8\n";
  std::string help = "  -r, --reservation=name\n";
  commands.answer = [&](const auto& ran) -> Result<Answer> {
    return Answer{0, 0, ran.argv.at(1) == "--version" ? version : help, ""};
  };
  auto probed = ProbeSbatch(Soon(), commands);
  REQUIRE(probed.ok());
  CHECK(probed->major == 2205);
  CHECK_FALSE(probed->has_runtime);
  version = "slurm 26.11.0-0rc1\n";
  help = "      --runtime=plugin        wrap tasks\n";
  probed = ProbeSbatch(Soon(), commands);
  REQUIRE(probed.ok());
  CHECK(probed->major == 2611);
  CHECK(probed->has_runtime);
  version = "something else\n";
  CHECK(ProbeSbatch(Soon(), commands).status().code() == Code::kDataLoss);
  commands.answer = [](const auto&) -> Result<Answer> {
    return Answer{1, 0, "", "sbatch: fatal: broken\n"};
  };
  CHECK_FALSE(ProbeSbatch(Soon(), commands).ok());
}

}  // namespace interlink::slurm
