// Ends of pods that a job has run: what proves them, and what does not.
#include "slurm/fence.h"

#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>

#include "base/file.h"
#include "unit/slurm/provisioner_lab.h"
#include "unit/slurm/soon.h"

namespace interlink::slurm {
namespace {

using std::chrono::seconds;

const SandboxId kFenced(std::string(64, 'd'));

bool Stands(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

// A pod whose job 7 has the claim.
void Claim7(ProvisionerLab& lab) {
  lab.Start();
  REQUIRE(lab.Submit(kFenced).ok());
  REQUIRE(lab.Until([&] { return lab.Jobs().size() == 1; }));
  REQUIRE(lab.RunScript(kFenced, 7));
  REQUIRE(lab.Until([&] { return lab.Latest(kFenced).state == Fact::State::kGranted; }));
}

bool GivenUp(ProvisionerLab& lab) {
  return lab.Until([&] { return Stands(lab.PodFolder(kFenced) + "/given-up"); });
}

}  // namespace

TEST_CASE("An agent's word counts whole, and for its own claim only") {
  const std::string nonce = "ab12";
  CHECK(ParseAgentWord("1 ab12 ended\n", nonce) == AgentWord::kEnded);
  CHECK(ParseAgentWord("1 ab12 unsure\n", nonce) == AgentWord::kUnsure);
  for (const char* other : {"", "1 ab12 ended", "1 ab1 ended\n", "2 ab12 ended\n", "1 ab12 end\n",
                            "1 cd34 ended\n", "1 ab12 ended\n\n"}) {
    CAPTURE(other);
    CHECK(ParseAgentWord(other, nonce) == AgentWord::kNone);
  }
  CHECK(ParseAgentWord("1  ended\n", "") == AgentWord::kNone);
}

TEST_CASE("A lease is over when neither folder nor hub can have renewed it for long enough") {
  const SteadyTime raised{seconds(1000)};
  const Duration lease = seconds(300);
  const auto over = [&](int64_t since, std::optional<Duration> silence) {
    return LeaseIsOver(raised + seconds(since), raised, silence, lease, AfterLease(seconds(25)));
  };
  CHECK_FALSE(over(390, std::nullopt));
  CHECK(over(391, std::nullopt));
  CHECK_FALSE(over(5000, seconds(10)));  // the hub still hears it
  CHECK(over(5000, seconds(391)));
  CHECK_FALSE(over(100, seconds(5000)));  // it could beat until the fence was raised
  CHECK(AfterLease(seconds(10)) == seconds(90));
  CHECK(AfterLease(seconds(26)) == seconds(91));
}

TEST_CASE("A raised fence stays raised, and needs the folder") {
  const test::TemporaryFolder folder;
  REQUIRE(MakeDirectories(folder.File("heartbeat"), 0700).ok());
  REQUIRE(RaiseFence(folder.path()).ok());
  CHECK_FALSE(Stands(folder.File("heartbeat")));
  REQUIRE(RaiseFence(folder.path()).ok());
  CHECK(RaiseFence(folder.File("absent")).code() == Code::kNotFound);
}

TEST_CASE("A final job without its agent's word raises the fence, and the agent's answer ends it") {
  ProvisionerLab lab;
  Claim7(lab);
  lab.Say(kFenced, "left", "ended", std::string(32, '9'));  // of somebody else
  lab.SetJob(7, "NODE_FAIL");
  REQUIRE(GivenUp(lab));
  lab.Pass(seconds(60));
  CHECK_FALSE(lab.Ended(kFenced));
  CHECK(lab.Latest(kFenced).message.find("waiting for the proof") != std::string::npos);

  lab.Say(kFenced, "fenced", "ended");
  const Fact end = lab.End(kFenced);
  CHECK(end.exit_code == 255);
  CHECK(end.message.find("was lost with its machine") != std::string::npos);
}

TEST_CASE("An agent that never answers its fence is over after its lease and 90 s, not before") {
  ProvisionerLab lab;
  Claim7(lab);
  const std::string word = GENERATE("", "unsure");
  if (!word.empty()) lab.Say(kFenced, "left", word);
  lab.SetJob(7, "FAILED", "0:9");
  REQUIRE(GivenUp(lab));
  const SteadyTime raised = lab.clock.Steady();
  lab.Pass(seconds(380));
  CHECK_FALSE(lab.Ended(kFenced));

  const Fact end = lab.End(kFenced, seconds(2));
  CHECK(lab.clock.Steady() - raised > seconds(390));
  CHECK(end.exit_code == 137);
  CHECK(end.pod_folder == lab.PodFolder(kFenced));
}

// It was given up after 90 s, however long the site had let it leave: its containers ran on.
TEST_CASE("An agent that may take long to leave is over after its lease and that time, and 65 s") {
  ProvisionerLab lab;
  lab.options.leave_within = seconds(600);
  Claim7(lab);
  SECTION("as it was submitted, whatever is configured now") {
    lab.options.leave_within = seconds(25);
    lab.Start();
  }
  SECTION("as it is configured, where the record does not say") {
    JobRecord old = lab.Record(kFenced);
    CHECK(old.leave_within == seconds(600));
    old.leave_within.reset();
    REQUIRE(lab.journal().Write(old).ok());
    lab.Start();
  }
  lab.SetJob(7, "FAILED", "0:9");
  REQUIRE(GivenUp(lab));
  lab.Pass(seconds(950));
  CHECK_FALSE(lab.Ended(kFenced));

  lab.End(kFenced, seconds(2));
}

TEST_CASE("Without a lease an agent that never answers its fence is never over") {
  ProvisionerLab lab;
  lab.site.lease = Duration::zero();
  Claim7(lab);
  lab.SetJob(7, "NODE_FAIL");
  REQUIRE(GivenUp(lab));
  lab.Pass(seconds(2000));
  CHECK_FALSE(lab.Ended(kFenced));

  lab.Say(kFenced, "fenced", "ended");
  lab.End(kFenced);
}

TEST_CASE("While the hub hears of an agent its lease is not over") {
  ProvisionerLab lab;
  Claim7(lab);
  lab.site.SetSilence(seconds(3));
  lab.SetJob(7, "NODE_FAIL");
  REQUIRE(GivenUp(lab));
  lab.Pass(seconds(1000));
  CHECK_FALSE(lab.Ended(kFenced));
  lab.site.SetSilence(seconds(400));
  lab.End(kFenced);
}

TEST_CASE("A second run of the same id says nothing of the first") {
  ProvisionerLab lab;
  Claim7(lab);
  lab.SetJob(7, "FAILED", "113:0");
  REQUIRE(GivenUp(lab));
  lab.Say(kFenced, "left", "ended");
  CHECK(lab.End(kFenced).exit_code == 255);
}

TEST_CASE("A job that has lost the claim says nothing while the other one runs") {
  ProvisionerLab lab;
  Claim7(lab);
  const uint64_t second = lab.AddJob(lab.Jobs()[0].name);
  REQUIRE_FALSE(lab.RunScript(kFenced, second, std::string(32, '8')));
  lab.Pass(seconds(30));
  CHECK_FALSE(lab.Ended(kFenced));
  CHECK(Stands(lab.PodFolder(kFenced) + "/heartbeat"));
  CHECK(lab.Latest(kFenced).allocation == "7");
}

TEST_CASE("A running pod whose job SLURM has forgotten is fenced, not believed") {
  ProvisionerLab lab;
  Claim7(lab);
  lab.site.SetSilence(seconds(1000));
  lab.ForgetJobs();
  REQUIRE(GivenUp(lab));
  lab.Say(kFenced, "fenced", "ended");
  const Fact end = lab.End(kFenced);
  CHECK(end.allocation == "7");
  CHECK(end.message.find("SLURM does not know it any more") != std::string::npos);
  CHECK(lab.Count("sbatch") == 1);
}

TEST_CASE("A pod whose job squeue does not list runs on while its agent is heard") {
  ProvisionerLab lab;
  Claim7(lab);
  lab.site.SetSilence(seconds(2));
  SECTION("SLURM has forgotten it") { lab.ForgetJobs(); }
  SECTION("squeue says nothing") { lab.liar = true; }
  lab.Pass(seconds(3600));
  CHECK_FALSE(Stands(lab.PodFolder(kFenced) + "/given-up"));
  CHECK(lab.Latest(kFenced).state == Fact::State::kGranted);
  lab.liar = false;
  lab.ForgetJobs();
  lab.site.SetSilence(seconds(1000));
  CHECK(GivenUp(lab));
}

TEST_CASE("After a start of the site an agent has a lease's time to be heard") {
  ProvisionerLab lab;
  Claim7(lab);
  lab.ForgetJobs();
  lab.Start();
  lab.Pass(lab.site.Lease() - seconds(20));
  CHECK_FALSE(Stands(lab.PodFolder(kFenced) + "/given-up"));
  CHECK(GivenUp(lab));
}

TEST_CASE("A squeue that says nothing is no denial, however often") {
  ProvisionerLab lab;
  SECTION("of a job that runs, with an agent that is not heard") {
    Claim7(lab);
    lab.site.SetSilence(seconds(1000));
    lab.liar = true;
    lab.Pass(seconds(600));
    CHECK_FALSE(Stands(lab.PodFolder(kFenced) + "/given-up"));
  }
  SECTION("of a job that waits") {
    lab.Start();
    REQUIRE(lab.Submit(kFenced).ok());
    REQUIRE(lab.Until([&] { return lab.Jobs().size() == 1; }));
    lab.liar = true;
    lab.Pass(seconds(600));
    CHECK(lab.Count("sbatch") == 1);
    CHECK(lab.Latest(kFenced).message.find("neither lists job 7 nor denies it") !=
          std::string::npos);
    lab.liar = false;
    REQUIRE(lab.Until([&] { return lab.Latest(kFenced).reason == "Resources"; }));
  }
  CHECK_FALSE(lab.Ended(kFenced));
}

TEST_CASE("A pod whose folder somebody removed ends after a lease, and only where it is mounted") {
  ProvisionerLab lab;
  Claim7(lab);
  std::filesystem::remove_all(lab.PodFolder(kFenced));
  lab.SetJob(7, "COMPLETED");
  lab.Pass(seconds(380));
  CHECK_FALSE(lab.Ended(kFenced));
  const Fact end = lab.End(kFenced, seconds(2));
  CHECK(end.message.find("was removed by somebody") != std::string::npos);
  CHECK_FALSE(end.refused);
}

TEST_CASE("An agent that cannot begin on its machine says why, and its pod fails at once") {
  ProvisionerLab lab;
  Claim7(lab);
  const std::string nonce = ProvisionerLab::kNonce;
  std::string text;
  std::string words;
  SECTION("in words") {
    text = "1 " + nonce + " there is no OCI runtime\n";
    words = ": there is no OCI runtime";
  }
  SECTION("of another claim") {
    text = "1 abcd there is no OCI runtime\n";
    words = "cannot run containers on";
  }
  SECTION("torn") {
    text = "1 " + nonce + " there is no";
    words = "cannot run containers on";
  }
  REQUIRE(WriteFileAtomically(lab.PodFolder(kFenced) + "/refusal", text, 0600).ok());
  lab.Say(kFenced, "left", "ended");
  lab.SetJob(7, "FAILED", "117:0");
  const Fact end = lab.End(kFenced);
  CAPTURE(end.message);
  CHECK(end.message.find("job 7 ") == 0);
  CHECK(end.message.find(words) != std::string::npos);
  CHECK(lab.Count("sbatch") == 1);
}

}  // namespace interlink::slurm
