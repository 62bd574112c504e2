// The batch script of a job without a shared folder, run by a real sh: it waits for its agent,
// which a test puts there, and says by its exit code how far the pod has come.
#include "slurm/lone_script.h"

#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <filesystem>

#include "base/file.h"
#include "base/spawn.h"
#include "slurm/claim.h"
#include "slurm/job_state.h"
#include "slurm/step_command.h"
#include "support/eventually.h"
#include "support/temporary_folder.h"

namespace interlink::slurm {
namespace {

constexpr int kTold = 143;

class LoneJob {
 public:
  explicit LoneJob(std::vector<std::string> words = {"run"}, int within = 60)
      : script_{states, std::chrono::seconds(within), std::move(words)} {
    REQUIRE(MakeDirectories(states, 0700).ok());
  }
  ~LoneJob() {
    if (child_.pid < 0) return;
    const auto ended =
        WaitOrKill(Call::WithTimeout(std::chrono::milliseconds(1)), std::move(child_));
    static_cast<void>(ended);
  }

  void Start() {
    const auto text = ScriptText(script_);
    REQUIRE(text.ok());
    REQUIRE(WriteFileAtomically(folder.File("script"), *text, 0700).ok());
    auto child = Spawn({.argv = {"/bin/sh", folder.File("script")},
                        .environment = {"SLURM_JOB_ID=42", "SLURMD_NODENAME=n1",
                                        "SLURM_MEM_PER_NODE=100", "SLURM_CPUS_ON_NODE=2"},
                        .new_session = true});
    REQUIRE(child.ok());
    child_ = *std::move(child);
  }
  // Its folder, once the claim is in it.
  std::string State() {
    std::string found;
    REQUIRE(test::Eventually([&] {
      for (const auto& one : std::filesystem::directory_iterator(states)) found = one.path();
      return !found.empty() && access((found + "/claim").c_str(), F_OK) == 0;
    }));
    return found;
  }
  // As a delivery does; `agent`: a script's text.
  void Deliver(const std::string& agent) {
    const std::string state = State();
    REQUIRE(WriteFileAtomically(state + "/interlink-agent", "#!/bin/sh\n" + agent, 0700).ok());
    REQUIRE(WriteFileAtomically(state + "/delivered", "", 0600).ok());
  }
  void Signal(int signal) { kill(child_.pid, signal); }
  int Code() {
    const auto exit =
        WaitOrKill(Call::WithTimeout(std::chrono::seconds(30)), std::exchange(child_, Child()));
    REQUIRE(exit.ok());
    return exit->code;
  }
  bool NothingStays() const { return std::filesystem::is_empty(states); }

  test::TemporaryFolder folder;
  const std::string states = folder.File("states");

 private:
  LoneScript script_;
  Child child_;
};

}  // namespace

TEST_CASE("A lone job makes a folder of its own and says whose it is") {
  LoneJob job;
  job.Start();
  const std::string state = job.State();
  struct stat about {};
  REQUIRE(stat(state.c_str(), &about) == 0);
  CHECK((about.st_mode & 0777U) == 0700);
  const auto claim = ReadClaim(state);
  REQUIRE(claim.ok());
  REQUIRE(claim->has_value());
  CHECK((*claim)->job == 42);
  CHECK((*claim)->host == "n1");
  CHECK((*claim)->boot.size() == 36);
  CHECK(IsJobNonce((*claim)->nonce));
  CHECK(state == job.states + "/interlink-" + (*claim)->nonce);
}

TEST_CASE("A lone job runs the agent that was brought, with what only it knows") {
  LoneJob job({"run", "--hub", "a b'$(touch pwned)"});
  job.Start();
  const std::string state = job.State();
  const std::string said = job.folder.File("said");
  job.Deliver("for word; do echo \"$word\"; done >'" + said + "'; exit 7\n");
  CHECK(job.Code() == 7);
  const std::string nonce = (*ReadClaim(state))->nonce;
  std::string expected = "run\n--hub\na b'$(touch pwned)\n";
  expected += "--ca\n" + state + "/ca.pem\n--token\n" + state + "/token\n";
  expected += "--folder\n" + state + "/pod\n--nonce\n" + nonce + "\n--allocation\n42\n";
  expected += "--memory-mib\n100\n--cpus\n2\n--state\n" + state + "\n";
  CHECK(ReadFile(said).value_or("") == expected);
  // Nobody knows why: it stays, and says so.
  CHECK(ReadFile(state + "/job.log").value_or("").find("ended with 7") != std::string::npos);
}

TEST_CASE("Nothing runs before everything is there") {
  LoneJob job({"run"}, 8);
  job.Start();
  const std::string ran = job.folder.File("ran");
  REQUIRE(
      WriteFileAtomically(job.State() + "/interlink-agent", "#!/bin/sh\n: >'" + ran + "'\n", 0700)
          .ok());
  // It has looked again and again until its time was over.
  CHECK(job.Code() == kExitNotBrought);
  CHECK(access(ran.c_str(), F_OK) != 0);
}

TEST_CASE("How a lone job ends says what is certain") {
  struct Row {
    const char* agent;
    int code;
    bool stays;
  };
  const Row row = GENERATE(values<Row>({
      {": >../pod/term; exit 0", 0, false},               // welcome, and all has ended
      {"exit 0", kTold, false},                           // never welcome: not the pod's end
      {": >../pod/gone; exit 2", kExitClaimLost, false},  // refused by the hub
      {"exit 2", 2, true},                                // never began to ask
      {"exit 117", kExitUnfit, false},                    // cannot run containers
      {": >../pod/term; exit 3", 3, true},                // something may still run
      {"kill -9 $$", 137, true},
      {"kill -15 $$", kTold, false},  // told before it ran anything
      {"mkdir ../pods; kill -15 $$", kTold, true},
  }));
  CAPTURE(row.agent);
  LoneJob job;
  job.Start();
  job.Deliver(row.agent);
  CHECK(job.Code() == row.code);
  CHECK(job.NothingStays() == !row.stays);
}

TEST_CASE("A lone job to which nothing is brought ends by itself") {
  LoneJob job({"run"}, 1);
  job.Start();
  CHECK(job.Code() == kExitNotBrought);
  CHECK(job.NothingStays());
}

TEST_CASE("A lone job that waits ends at once when it is told to") {
  const int signal = GENERATE(SIGTERM, SIGINT, SIGHUP);
  LoneJob job({"run"}, 3600);
  job.Start();
  job.State();
  job.Signal(signal);
  CHECK(job.Code() == kTold);
  CHECK(job.NothingStays());
}

TEST_CASE("A lone job's agent is told when the job is") {
  LoneJob job;
  job.Start();
  const std::string there = job.folder.File("there");
  job.Deliver("mkdir ../pods; : >../pod/term; trap 'exit 0' TERM; : >'" + there +
              "'; while :; do sleep 0.1; done");
  REQUIRE(test::Eventually([&] { return access(there.c_str(), F_OK) == 0; }));
  job.Signal(SIGTERM);
  CHECK(job.Code() == 0);
  CHECK(job.NothingStays());
}

TEST_CASE("A lone job without a folder for its state says so") {
  LoneJob job;
  std::filesystem::remove_all(job.states);
  job.Start();
  CHECK(job.Code() == kExitNoStateFolder);
}

TEST_CASE("No value can become a line of a lone job's script") {
  const std::string value = GENERATE(as<std::string>(), "/a\n#SBATCH --partition=x", "/a\rb",
                                     std::string("/a\0b", 4), "/a\x7f");
  const std::chrono::seconds within{1};
  CHECK(ScriptText(LoneScript{value, within, {"run"}}).status().code() == Code::kInvalidArgument);
  CHECK(ScriptText(LoneScript{"/a", within, {"run", value}}).status().code() ==
        Code::kInvalidArgument);
  CHECK(ScriptText(LoneScript{"a", within, {"run"}}).status().code() == Code::kInvalidArgument);
  CHECK(ScriptText(LoneScript{"/a", within, {}}).status().code() == Code::kInvalidArgument);
  const auto text = ScriptText(LoneScript{"/a", within, {"#SBATCH -p x"}});
  REQUIRE(text.ok());
  CHECK(text->find("#!/bin/sh\nPATH=") == 0);
}

}  // namespace interlink::slurm
