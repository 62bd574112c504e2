// Running SLURM's commands: environment, time limit, and what their words mean.
#include "slurm/commands.h"

#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <cstdlib>

#include "base/file.h"
#include "support/temporary_folder.h"
#include "unit/slurm/soon.h"

namespace interlink::slurm {
namespace {

// A folder with one command "squeue" that is this script.
class Command {
 public:
  explicit Command(const std::string& script) {
    REQUIRE(WriteFileAtomically(folder_.File("squeue"), "#!/bin/sh\n" + script, 0700).ok());
  }
  CommandOptions Options() const { return {folder_.path(), "/etc/x/slurm.conf"}; }
  std::string File(const std::string& name) const { return folder_.File(name); }

 private:
  test::TemporaryFolder folder_;
};

}  // namespace

TEST_CASE("A command has an environment of its own") {
  REQUIRE(setenv("SQUEUE_FORMAT", "%i", 1) == 0);
  REQUIRE(setenv("SBATCH_PARTITION", "elsewhere", 1) == 0);
  const Command command("env; cat");
  SystemCommands commands(command.Options());

  const auto answer = commands.Run(Soon(), {"squeue"}, "input");

  REQUIRE(unsetenv("SQUEUE_FORMAT") == 0);
  REQUIRE(unsetenv("SBATCH_PARTITION") == 0);
  REQUIRE(answer.ok());
  CHECK(answer->code == 0);
  CHECK(answer->out.find("SLURM_CONF=/etc/x/slurm.conf\n") != std::string::npos);
  CHECK(answer->out.find("SLURM_TIME_FORMAT=%s\n") != std::string::npos);
  CHECK(answer->out.find("TZ=UTC\n") != std::string::npos);
  CHECK(answer->out.find("SQUEUE_FORMAT") == std::string::npos);
  CHECK(answer->out.find("SBATCH_") == std::string::npos);
  CHECK(answer->out.find("HOME=") == std::string::npos);
  CHECK(answer->out.substr(answer->out.size() - 5) == "input");
}

TEST_CASE("A command without an answer is ended with all that it started") {
  const Command command("sleep 100 & echo $! >pid.new; mv pid.new \"$0.pid\"; wait");
  CommandOptions options = command.Options();
  options.limit = std::chrono::seconds(2);
  SystemCommands commands(options);

  const auto answer = commands.Run(Soon(), {"squeue"}, "");

  CHECK(answer.status().code() == Code::kDeadlineExceeded);
}

TEST_CASE("What a command has said is there when it had to be ended") {
  const Command command("echo half; echo 'queue full, sleeping and retrying' >&2; sleep 100");
  CommandOptions options = command.Options();
  options.limit = std::chrono::seconds(8);
  SystemCommands commands(options);

  const auto answer = commands.Run(Soon(), {"squeue"}, "");

  REQUIRE(answer.ok());
  CHECK(answer->signal == SIGKILL);
  CHECK(TroubleOf(*answer) == Trouble::kDoubt);
  CHECK(Words(*answer) == "queue full, sleeping and retrying");
}

TEST_CASE("An answer that is too long is refused, not cut") {
  const Command command("head -c 5000 /dev/zero");
  CommandOptions options = command.Options();
  options.output_limit = 1000;
  SystemCommands commands(options);

  const auto answer = commands.Run(Soon(), {"squeue"}, "");

  CHECK(answer.status().code() == Code::kResourceExhausted);
}

TEST_CASE("A command that is not installed is named") {
  SystemCommands commands({"/nonexistent", ""});
  const auto answer = commands.Run(Soon(), {"squeue"}, "");
  CHECK(answer.status().code() == Code::kNotFound);
  CHECK(answer.status().message().find("/nonexistent/squeue") != std::string::npos);
}

TEST_CASE("What SLURM says decides whether asking again helps") {
  const auto [words, trouble] = GENERATE(table<std::string, Trouble>({
      {"squeue: error: slurm_load_jobs error: Unable to contact slurm controller (connect "
       "failure)\n",
       Trouble::kUnreachable},
      {"slurm_load_jobs error: Unable to contact slurm controller (connect failure)\n",
       Trouble::kUnreachable},
      {"sbatch: error: Batch job submission failed: Unable to contact slurm controller (send "
       "failure)\n",
       Trouble::kDoubt},
      {"sbatch: error: Batch job submission failed: Socket timed out on send/recv operation\n",
       Trouble::kDoubt},
      {"sbatch: error: Batch job submission failed: Zero Bytes were transmitted or received\n",
       Trouble::kDoubt},
      {"sbatch: fatal: Could not establish a configuration source\n", Trouble::kUnreachable},
      {"sbatch: error: Batch job submission failed: Invalid partition name specified\n",
       Trouble::kOther},
      {"squeue: error: Munge encode failed: Failed to access \"/run/munge/munge.socket.2\": No "
       "such "
       "file or directory\n"
       "slurm_load_jobs error: Protocol authentication error\n",
       Trouble::kUnreachable},
      {"slurm_load_jobs error: Protocol authentication error\n", Trouble::kDoubt},
      {"", Trouble::kOther},
  }));
  CHECK(TroubleOf({1, 0, "", words}) == trouble);
}

TEST_CASE("A command that was killed may have done its work") {
  CHECK(TroubleOf({137, 9, "", ""}) == Trouble::kDoubt);
}

TEST_CASE("SLURM's words are one short line without control characters") {
  CHECK(Words({1, 0, "",
               "sbatch: error: invalid partition specified: nope\n"
               "sbatch: error: Batch job submission failed: Invalid partition name specified\n"}) ==
        "invalid partition specified: nope; Batch job submission failed: Invalid partition name "
        "specified");
  CHECK(Words({1, 0, "", "a\x1b[2Jb\n"}) == "a?[2Jb");
  CHECK(Words({1, 0, "", std::string(5000, 'x')}).size() == 500);
  CHECK(Words({3, 0, "", ""}) == "exit code 3 without a word");
  CHECK(Words({137, 9, "", ""}) == "killed by signal 9");
}

TEST_CASE("A reading command that could not reach the controller is asked again") {
  CHECK(ReadFailure("squeue", {1, 0, "", "Unable to contact slurm controller (connect failure)"})
            .code() == Code::kUnavailable);
  const Status status = ReadFailure("squeue", {1, 0, "", "squeue: error: Invalid user: nobody1\n"});
  CHECK(status.code() == Code::kFailedPrecondition);
  CHECK(status.message() == "squeue: Invalid user: nobody1");
}

}  // namespace interlink::slurm
