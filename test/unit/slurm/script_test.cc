// The batch script, run by a real sh: the claim lets one of many run the pod.
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <future>
#include <map>

#include "base/file.h"
#include "base/spawn.h"
#include "slurm/claim.h"
#include "slurm/job_script.h"
#include "slurm/job_state.h"
#include "support/temporary_folder.h"

namespace interlink::slurm {
namespace {

Output RunScript(const std::string& text, const std::string& job) {
  const auto output = RunCommand(
      Call::WithTimeout(std::chrono::seconds(60)),
      {.argv = {"/bin/sh"}, .environment = {"SLURM_JOB_ID=" + job, "SLURMD_NODENAME=n1"}}, text);
  REQUIRE(output.ok());
  return *output;
}

std::string LogText(const test::TemporaryFolder& folder) {
  return ReadFile(folder.File("job.log")).value_or("none");
}

std::string Script(const std::string& folder, const std::vector<std::string>& command) {
  const auto text = ScriptText({folder, command});
  REQUIRE(text.ok());
  return *text;
}

}  // namespace

TEST_CASE("The job that claims a pod runs its command there, with its nonce") {
  test::TemporaryFolder folder;
  const Output output =
      RunScript(Script(folder.path(), {"sh", "-c", "pwd; echo $INTERLINK_CLAIM; exit 7"}), "42");

  CHECK(output.exit.code == 7);
  const auto claim = ReadClaim(folder.path());
  REQUIRE(claim.ok());
  REQUIRE(claim->has_value());
  CHECK((*claim)->job == 42);
  CHECK((*claim)->restarts == 0);
  CHECK((*claim)->host == "n1");
  CHECK((*claim)->boot.size() == 36);
  CHECK_FALSE((*claim)->IsSite());
  CHECK(LogText(folder) ==
        std::filesystem::canonical(folder.path()).string() + "\n" + (*claim)->nonce + "\n");
}

TEST_CASE("Of many runs at once one has the pod, the others leave with 113") {
  test::TemporaryFolder folder;
  const std::string text = Script(folder.path(), {"sh", "-c", "echo $SLURM_JOB_ID >>ran"});
  std::vector<std::future<Output>> runs;
  for (int i = 1; i <= 24; ++i) {
    runs.push_back(
        std::async(std::launch::async, [&text, i] { return RunScript(text, std::to_string(i)); }));
  }
  std::map<int, int> codes;
  for (auto& run : runs) ++codes[run.get().exit.code];

  CHECK(codes == std::map<int, int>{{0, 1}, {kExitClaimLost, 23}});
  const auto claim = ReadClaim(folder.path());
  REQUIRE(claim.ok());
  REQUIRE(claim->has_value());
  CHECK(ReadFile(folder.File("ran")).value() == std::to_string((*claim)->job) + "\n");
}

TEST_CASE("A run that SLURM repeats under the same id has lost its claim") {
  test::TemporaryFolder folder;
  const std::string text = Script(folder.path(), {"true"});
  CHECK(RunScript(text, "42").exit.code == 0);
  const Output again = RunScript(text, "42");
  CHECK(again.exit.code == kExitClaimLost);
  CHECK(LogText(folder).find("another job has the pod: nonce=") != std::string::npos);
  CHECK(LogText(folder).find("job=42 ") != std::string::npos);
}

TEST_CASE("Once the site has the claim no job can run") {
  test::TemporaryFolder folder;
  const auto site = TakeClaim(folder.path());
  REQUIRE(site.ok());
  CHECK(site->IsSite());
  CHECK(RunScript(Script(folder.path(), {"touch", "ran"}), "42").exit.code == kExitClaimLost);
  CHECK_FALSE(std::filesystem::exists(folder.File("ran")));
  const auto again = TakeClaim(folder.path());
  REQUIRE(again.ok());
  CHECK(again->nonce == site->nonce);
}

TEST_CASE("The site learns who was first") {
  test::TemporaryFolder folder;
  REQUIRE(RunScript(Script(folder.path(), {"true"}), "42").exit.code == 0);
  const auto site = TakeClaim(folder.path());
  REQUIRE(site.ok());
  CHECK_FALSE(site->IsSite());
  CHECK(site->job == 42);
}

TEST_CASE("Jobs and the site race for one claim") {
  for (int round = 0; round < 10; ++round) {
    test::TemporaryFolder folder;
    const std::string text = Script(folder.path(), {"touch", "ran"});
    auto job = std::async(std::launch::async, [&text] { return RunScript(text, "42"); });
    const auto site = TakeClaim(folder.path());
    const int code = job.get().exit.code;
    REQUIRE(site.ok());
    CHECK(site->IsSite() == (code == kExitClaimLost));
    CHECK(site->IsSite() != std::filesystem::exists(folder.File("ran")));
  }
}

TEST_CASE("A folder that is not there or not writable has its own exit code") {
  test::TemporaryFolder folder;
  const Output absent = RunScript(Script(folder.File("absent"), {"true"}), "42");
  CHECK(absent.exit.code == kExitNoPodFolder);
  CHECK(absent.err.find("no folder " + folder.File("absent")) != std::string::npos);
  CHECK_FALSE(std::filesystem::exists(folder.File("absent")));
  // Root may write anywhere but into /proc.
  CHECK(RunScript(Script("/proc", {"true"}), "42").exit.code == kExitNotWritable);
}

TEST_CASE("A command that does not exist is no lost claim") {
  test::TemporaryFolder folder;
  CHECK(RunScript(Script(folder.path(), {"/nonexistent/agent"}), "42").exit.code == 127);
}

TEST_CASE("Words of the command arrive as they are, whatever they hold") {
  test::TemporaryFolder folder;
  const std::vector<std::string> words = {"$(touch pwned)", "`touch pwned`", "a'b", "a\"b",
                                          "a\\b",           "; exit 3",      "*",   "",
                                          "#SBATCH -p x",   "$HOME"};
  std::vector<std::string> command = {"printf", "%s|"};
  command.insert(command.end(), words.begin(), words.end());
  const Output output = RunScript(Script(folder.path(), command), "42");
  std::string expected;
  for (const std::string& word : words) expected += word + "|";
  CHECK(LogText(folder) == expected);
  CHECK(output.exit.code == 0);
  CHECK_FALSE(std::filesystem::exists(folder.File("pwned")));
}

TEST_CASE("A hostile folder is a folder") {
  test::TemporaryFolder folder;
  const std::string hostile = folder.File("a'b $(touch pwned) \"c\" -x");
  REQUIRE(MakeDirectories(hostile, 0700).ok());
  CHECK(RunScript(Script(hostile, {"true"}), "42").exit.code == 0);
  CHECK(ReadClaim(hostile)->has_value());
}

TEST_CASE("No value can become a line of the script") {
  const std::string value = GENERATE(as<std::string>(), "/a\n#SBATCH --partition=x", "/a\rb",
                                     std::string("/a\0b", 4), "/a\x7f");
  CHECK(ScriptText(JobScript{value, {"true"}}).status().code() == Code::kInvalidArgument);
  CHECK(ScriptText(JobScript{"/a", {"true", value}}).status().code() == Code::kInvalidArgument);
  CHECK(ScriptText(JobScript{"relative", {"true"}}).status().code() == Code::kInvalidArgument);
  CHECK(ScriptText(JobScript{"", {"true"}}).status().code() == Code::kInvalidArgument);
  CHECK(ScriptText(JobScript{"/a", {}}).status().code() == Code::kInvalidArgument);
}

TEST_CASE("sbatch's search for options ends before any value") {
  const std::string text = Script("/x", {"#SBATCH"});
  CHECK(text.find("#!/bin/sh\nPATH=") == 0);
}

}  // namespace interlink::slurm
