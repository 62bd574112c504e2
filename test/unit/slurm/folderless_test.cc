// Pods whose jobs share no folder with the site: the hub's binding is their claim, and what counts
// as their end.
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>

#include "base/file.h"
#include "slurm/job_name.h"
#include "support/eventually.h"
#include "unit/slurm/provisioner_lab.h"
#include "unit/slurm/soon.h"

namespace interlink::slurm {
namespace {

using State = Fact::State;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

const SandboxId kLone(std::string(64, 'e'));
constexpr const char* kNonceOfJob = ProvisionerLab::kNonce;

// Its srun is a script that plays a job of which everything is told: `claims`, by job.
struct FolderlessLab : ProvisionerLab {
  FolderlessLab() {
    options.shared_folder = false;
    REQUIRE(MakeDirectories(folder.File("bin"), 0700).ok());
    Srun("");
  }
  // `text` runs with $job and $greeting.
  void Srun(const std::string& text) {
    REQUIRE(WriteFileAtomically(folder.File("bin/srun"),
                                "#!/bin/sh\njob=\nwhile [ \"${1#--}\" != \"$1\" ]; do\n"
                                "case $1 in --jobid=*) job=${1#--jobid=} ;; esac; shift; done\n"
                                "greeting=$5\n" +
                                    text + "\necho \"$greeting none\"\n",
                                0700)
                .ok());
  }
  // A delivery to a job finds this claim, and takes everything.
  void Answer(uint64_t job, const std::string& nonce = kNonceOfJob) {
    answers_ += "if [ \"$job\" = " + std::to_string(job) +
                " ]; then echo \"$greeting send nonce=" + nonce +
                " job=$job restarts=0 host=n1 boot=b \"; head -c $6 >/dev/null; " +
                "head -c $(($7 + $8)) >/dev/null; echo \"$greeting ok\"; exit 0; fi\n";
    Srun(answers_);
  }
  void StartLone() {
    Start();
    // The provisioner's: it may start one until it is gone.
    commands->start =
        [system = std::make_shared<SystemCommands>(CommandOptions{folder.File("bin"), ""})](
            const std::vector<std::string>& words) { return system->Start(words); };
  }
  // Job 7 of a pod waits in the queue.
  void SubmitLone() {
    StartLone();
    REQUIRE(Submit(kLone).ok());
    REQUIRE(Until([&] { return Latest(kLone).reason == "Resources"; }));
  }
  // Its agent was brought, and the hub has let it in.
  void RunLone(int64_t limit = 0) {
    SubmitLone();
    Answer(7);
    SetJob(7, "RUNNING");
    SetJobEnd(7, limit);
    REQUIRE(Until([&] { return !Brought().empty(); }));
    site.Bind(kLone, kNonceOfJob);
    Pass(seconds(5));
  }
  std::vector<Claim> Brought() const {
    const auto entries = journal().Load();
    REQUIRE(entries.ok());
    return entries->empty() ? std::vector<Claim>() : entries->front().brought;
  }
  std::string Script() const {
    for (const auto& ran : commands->calls()) {
      if (ran.argv[0] == "sbatch") return ran.input;
    }
    return "";
  }
  bool Closed() { return site.BoundTo(kLone)->closed; }
  int64_t Now() const { return clock.WallNanos() / 1'000'000'000; }

 private:
  std::string answers_;
};

}  // namespace

TEST_CASE("A job without a shared folder is told nothing of the site's folder, nor a secret") {
  FolderlessLab lab;
  lab.SubmitLone();
  const std::string script = lab.Script();
  CHECK(script.find(lab.job_folder) == std::string::npos);
  CHECK(script.find("secret-") == std::string::npos);
  CHECK(script.find("'--no-lease'") != std::string::npos);
  for (const char* word : {"--shared-folder", "--shim-lease"}) {
    CHECK(script.find(word) == std::string::npos);
  }
  CHECK_FALSE(lab.provisioner->SharesLayers());
  CHECK(lab.Record(kLone).folderless);
  for (const auto& ran : lab.commands->calls()) {
    for (const std::string& word : ran.argv) CHECK(word.find(lab.job_folder) == std::string::npos);
  }
}

TEST_CASE("A job's agent is brought when it runs; its end is its agent's word") {
  FolderlessLab lab;
  lab.SubmitLone();
  lab.Answer(7);
  lab.Pass(seconds(5));
  CHECK(lab.Count("srun") == 0);
  lab.SetJob(7, "RUNNING");
  REQUIRE(lab.Until([&] { return !lab.Brought().empty(); }));
  CHECK(lab.Brought().front().nonce == kNonceOfJob);
  CHECK(lab.Latest(kLone).state == State::kGranted);
  lab.site.Bind(kLone, kNonceOfJob);
  lab.Pass(seconds(60));
  CHECK(lab.Count("srun") == 1);
  lab.site.Leave(kLone);
  lab.Pass(seconds(30));
  CHECK_FALSE(lab.Ended(kLone));  // its job still runs
  lab.SetJob(7, GENERATE(as<std::string>(), "COMPLETED", "CANCELLED", "TIMEOUT", "NODE_FAIL"));
  const SteadyTime over = lab.clock.Steady();
  const Fact end = lab.End(kLone, std::chrono::milliseconds(50));
  CHECK(lab.clock.Steady() - over < seconds(60));
  CHECK(end.allocation == "7");
  CHECK(end.pod_folder.empty());
  CHECK_FALSE(end.refused);
  CHECK(end.message.find("job 7") == 0);
}

TEST_CASE("An exit code of 0 is the script's word that everything has ended; no other code is") {
  FolderlessLab lab;
  lab.RunLone();
  SECTION("0") {
    lab.SetJob(7, "COMPLETED", "0:0");
    const Fact end = lab.End(kLone);
    CHECK(end.exit_code == 255);  // no success that nobody saw
  }
  SECTION("others") {
    struct Row {
      const char* state;
      const char* exit;
    };
    const Row row = GENERATE(values<Row>({{"FAILED", "3:0"},
                                          {"FAILED", "113:0"},
                                          {"FAILED", "116:0"},
                                          {"FAILED", "117:0"},
                                          {"FAILED", "118:0"},
                                          {"FAILED", "143:0"},
                                          {"FAILED", "0:9"},
                                          {"CANCELLED", "0:0"},
                                          {"PREEMPTED", "0:0"},
                                          {"TIMEOUT", "0:0"},
                                          {"NODE_FAIL", "0:0"},
                                          {"OUT_OF_MEMORY", "0:125"}}));
    CAPTURE(row.state, row.exit);
    lab.SetJob(7, row.state, row.exit);
    lab.Pass(hours(1));
    CHECK_FALSE(lab.Ended(kLone));
    CHECK(lab.Latest(kLone).message.find("only a person") != std::string::npos);
    lab.site.Leave(kLone);
    lab.End(kLone);
  }
}

TEST_CASE("Without its agent's word a pod has ended when its time limit is over, and not before") {
  FolderlessLab lab;
  const int64_t limit = lab.Now() + 2 * 3600;
  lab.RunLone(limit);
  lab.SetJob(7, "NODE_FAIL");
  lab.SetJobEnd(7, lab.Now());
  REQUIRE(lab.Until([&] {
    return lab.Latest(kLone).message.find("has when its time limit is over, at 20") !=
           std::string::npos;
  }));
  lab.Pass(seconds(limit + 599 - lab.Now()));
  CHECK_FALSE(lab.Ended(kLone));
  const Fact end = lab.End(kLone, seconds(5));
  CHECK(lab.Now() > limit + 600);
  CHECK(end.exit_code == 255);
  CHECK(end.message.find("its agent left no word, and its time limit is over") !=
        std::string::npos);
}

TEST_CASE("A time limit that was moved counts, after a restart of the site too") {
  FolderlessLab lab;
  const int64_t first = lab.Now() + 3600;
  lab.RunLone(first);
  REQUIRE(lab.Until([&] { return lab.Record(kLone).limit_at == first; }));
  const int64_t moved = first + GENERATE(-1800, 7200);
  lab.SetJobEnd(7, moved);
  REQUIRE(lab.Until([&] { return lab.Record(kLone).limit_at == moved; }));
  lab.provisioner.reset();
  lab.ForgetJobs();
  lab.StartLone();
  lab.Pass(seconds(moved + 590 - lab.Now()));
  CHECK_FALSE(lab.Ended(kLone));
  lab.End(kLone, seconds(10));
  CHECK(lab.Now() > moved + 600);
}

// The limit of before would have been the proof of its end while it ran.
TEST_CASE("A time limit that was taken away proves nothing, after a restart of the site neither") {
  FolderlessLab lab;
  const int64_t first = lab.Now() + 3600;
  lab.RunLone(first);
  REQUIRE(lab.Until([&] { return lab.Record(kLone).limit_at == first; }));
  lab.SetJobEnd(7, 0);
  REQUIRE(lab.Until([&] { return lab.Record(kLone).limit_at == kNoLimit; }));
  lab.provisioner.reset();
  lab.ForgetJobs();
  lab.StartLone();
  lab.Pass(seconds(first + 7200 - lab.Now()));
  CHECK_FALSE(lab.Ended(kLone));
}

TEST_CASE("An agent that is heard lives, whatever SLURM and its clock say") {
  FolderlessLab lab;
  lab.RunLone(lab.Now() + 60);
  lab.site.SetSilence(seconds(3));
  lab.SetJob(7, "NODE_FAIL");
  lab.Pass(hours(2));
  CHECK_FALSE(lab.Ended(kLone));
  lab.site.SetSilence(minutes(6));
  lab.End(kLone);
}

TEST_CASE("A job that ended before an agent came in has run nothing, and nothing can come") {
  FolderlessLab lab;
  lab.SubmitLone();
  struct Row {
    const char* state;
    const char* exit;
    const char* words;
  };
  const Row row = GENERATE(values<Row>({
      {"FAILED", "118:0", "was not reached by the site on n1 within BeginWithin"},
      {"FAILED", "117:0", "cannot run containers on n1"},
      {"FAILED", "116:0", "could not make a folder in StateFolder on n1"},
      {"FAILED", "113:0", "the site's hub has refused its agent"},
      {"FAILED", "143:0", "job 7 failed"},
      {"FAILED", "126:0", "exit code 126"},
      {"CANCELLED", "0:15", "job 7 was cancelled by somebody else"},
      {"NODE_FAIL", "0:0", "job 7 was lost with its machine"},
      {"COMPLETED", "0:0", "job 7 ended"},
  }));
  CAPTURE(row.state, row.exit);
  lab.SetJob(7, row.state, row.exit);
  const Fact end = lab.End(kLone);
  CHECK(end.refused);
  CHECK(end.message.find(row.words) != std::string::npos);
  CHECK(lab.Closed());
}

TEST_CASE("A pod that is given back before an agent came in is over at once") {
  FolderlessLab lab;
  lab.SubmitLone();
  const bool runs = GENERATE(false, true);
  if (runs) {
    lab.Answer(7);
    lab.SetJob(7, "RUNNING");
    REQUIRE(lab.Until([&] { return !lab.Brought().empty(); }));
  }
  REQUIRE(lab.provisioner->Release(Soon(), kLone).ok());
  const Fact end = lab.End(kLone);
  CHECK_FALSE(end.refused);
  CHECK(lab.Closed());
  CHECK(lab.Count("scancel") > 0);
}

TEST_CASE("A pod that is given back after its agent came in waits for its word") {
  FolderlessLab lab;
  lab.RunLone();
  REQUIRE(lab.provisioner->Release(Soon(), kLone).ok());
  lab.Pass(seconds(30));
  CHECK_FALSE(lab.Ended(kLone));
  CHECK_FALSE(lab.Closed());
  CHECK(lab.Count("scancel") == 0);
  lab.site.Leave(kLone);
  lab.SetJob(7, "COMPLETED");
  lab.End(kLone);
  CHECK(lab.Count("scancel") == 0);
}

// Its way to the hub goes through its job.
TEST_CASE("The job of a pod that is given back is cancelled when its agent says nothing") {
  FolderlessLab lab;
  lab.RunLone();
  REQUIRE(lab.provisioner->Release(Soon(), kLone).ok());
  const bool restarted = GENERATE(false, true);
  if (restarted) lab.StartLone();
  lab.Pass(seconds(55));
  CHECK(lab.Count("scancel") == 0);
  REQUIRE(lab.Until([&] { return lab.Count("scancel") > 0; }));
  CHECK_FALSE(lab.Ended(kLone));
  lab.site.Leave(kLone);
  lab.SetJob(7, "CANCELLED");
  lab.End(kLone);
}

TEST_CASE("A job that runs and takes no agent is given up after BeginWithin") {
  FolderlessLab lab;
  lab.SubmitLone();
  lab.SetJob(7, "RUNNING");
  lab.Pass(seconds(590));
  CHECK_FALSE(lab.Ended(kLone));
  const Fact end = lab.End(kLone);
  CHECK(end.refused);
  CHECK(end.message.find("after 600 s it has not begun") != std::string::npos);
  CHECK(lab.Closed());
}

TEST_CASE("Why no agent can be brought is part of what the site is told") {
  FolderlessLab lab;
  lab.SubmitLone();
  lab.Srun("echo 'srun: error: no step for you' >&2; exit 1");
  lab.SetJob(7, "RUNNING");
  CHECK(lab.Until(
      [&] {
        return lab.Latest(kLone).message.find(
                   "its agent cannot be brought into the job: srun: no step for you") !=
               std::string::npos;
      },
      std::chrono::milliseconds(50)));
}

TEST_CASE(
    "The site dies while it brings an agent: the next start brings it, once more, to that job") {
  FolderlessLab lab;
  lab.SubmitLone();
  lab.Srun("echo \"$greeting send nonce=" + std::string(kNonceOfJob) +
           " job=7 restarts=0 host=n1 boot=b \"; exec sleep 1000");
  lab.SetJob(7, "RUNNING");
  REQUIRE(lab.Until([&] { return !lab.Brought().empty(); }));
  lab.provisioner.reset();
  lab.Answer(7);
  lab.StartLone();
  REQUIRE(lab.Until([&] { return lab.Count("srun") > 0; }));
  REQUIRE(test::Eventually([&] {
    lab.provisioner->Look();
    const auto about = lab.provisioner->Inspect(Soon(), kLone);
    return about.ok() && about->find("\"delivery\":\"brought\"") != std::string::npos;
  }));
  CHECK(lab.Brought().size() == 1);
  CHECK(lab.Jobs().size() == 1);
  lab.site.Bind(kLone, kNonceOfJob);
  lab.Pass(seconds(5));
  lab.SetJob(7, "COMPLETED", "0:0");
  CHECK(lab.End(kLone).allocation == "7");
}

TEST_CASE("Of two jobs of one pod the one that the hub has let in is its owner") {
  FolderlessLab lab;
  lab.SubmitLone();
  const uint64_t second = lab.AddJob(JobName(lab.site.lineage(), kLone), "RUNNING");
  const std::string other(32, 'b');
  lab.Answer(7);
  lab.Answer(second, other);
  lab.SetJob(7, "RUNNING");
  REQUIRE(lab.Until([&] { return lab.Brought().size() == 2; }));
  lab.site.Bind(kLone, other);
  lab.SetJob(7, "FAILED", "113:0");
  lab.Pass(minutes(5));
  CHECK_FALSE(lab.Ended(kLone));
  lab.SetJob(second, "COMPLETED", "0:0");
  CHECK(lab.End(kLone).allocation == std::to_string(second));
}

TEST_CASE(
    "An agent of which nothing was written down: all jobs must be over, and its word be there") {
  FolderlessLab lab;
  lab.SubmitLone();
  lab.site.Bind(kLone, std::string(32, 'c'));
  const uint64_t second = lab.AddJob(JobName(lab.site.lineage(), kLone), "RUNNING");
  lab.SetJob(7, "COMPLETED", "0:0");
  lab.Pass(minutes(5));
  CHECK_FALSE(lab.Ended(kLone));
  lab.SetJob(second, "COMPLETED", "0:0");
  lab.Pass(minutes(5));
  CHECK_FALSE(lab.Ended(kLone));
  lab.site.Leave(kLone);
  const Fact end = lab.End(kLone);
  CHECK_FALSE(end.refused);
  CHECK(end.message.find(" on  ") == std::string::npos);
}

TEST_CASE("A pod without a journal keeps to its kind of claim") {
  FolderlessLab lab;
  lab.RunLone();
  lab.provisioner.reset();
  REQUIRE(lab.journal().Remove(kLone).ok());
  lab.options.shared_folder = GENERATE(false, true);
  lab.StartLone();
  CHECK(lab.Record(kLone).folderless);
  CHECK(lab.Record(kLone).orphan);
  lab.SetJob(7, "FAILED", "9:0");
  lab.Pass(minutes(30));
  CHECK_FALSE(lab.Ended(kLone));
  lab.site.Leave(kLone);
  lab.End(kLone);
  CHECK(lab.Count("sbatch") == 0);
}

TEST_CASE("A pod that shares the folder goes on so when the option changes") {
  ProvisionerLab lab;
  lab.Start();
  REQUIRE(lab.Submit(kLone).ok());
  REQUIRE(lab.Until([&] { return lab.Latest(kLone).reason == "Resources"; }));
  REQUIRE(lab.RunScript(kLone, 7));
  lab.provisioner.reset();
  lab.options.shared_folder = false;
  lab.Start();
  CHECK_FALSE(lab.Record(kLone).folderless);
  lab.Pass(seconds(30));
  CHECK(lab.Count("srun") == 0);
  lab.Say(kLone, "left", "ended");
  lab.SetJob(7, "COMPLETED");
  CHECK(lab.End(kLone).pod_folder == lab.PodFolder(kLone));
}

TEST_CASE("A record of an older site shares the folder") {
  ProvisionerLab lab;
  lab.Start();
  REQUIRE(lab.Submit(kLone).ok());
  REQUIRE(lab.Until([&] { return lab.Latest(kLone).reason == "Resources"; }));
  lab.provisioner.reset();
  const std::string path = lab.folder.File("site/jobs/" + kLone.str() + "/job");
  std::string text = ReadFile(path).value_or("");
  for (const std::string& key :
       {std::string("\"folderless\":false,"), std::string("\"limit_at\":0,")}) {
    const size_t at = text.find(key);
    REQUIRE(at != std::string::npos);
    text.erase(at, key.size());
  }
  REQUIRE(WriteFileAtomically(path, text, 0600).ok());
  lab.Start();
  CHECK_FALSE(lab.Record(kLone).folderless);
}

TEST_CASE("A relay's step looks for the claim in the folder of its job, before the hub knows it") {
  FolderlessLab lab;
  lab.options.transport = Transport::kSrun;
  lab.SubmitLone();
  lab.Answer(7);
  lab.SetJob(7, "RUNNING");
  const std::string state = lab.options.state_folder + "/interlink-" + kNonceOfJob;
  REQUIRE(lab.Until([&] {
    for (const auto& ran : lab.commands->calls()) {
      const auto& words = ran.argv;
      const bool relay =
          std::find(words.begin(), words.end(), "--job-name=interlink-relay") != words.end();
      if (relay)
        return std::find(words.begin(), words.end(), state) != words.end() &&
               std::find(words.begin(), words.end(), state + "/interlink-agent") != words.end();
    }
    return false;
  }));
}

}  // namespace interlink::slurm
