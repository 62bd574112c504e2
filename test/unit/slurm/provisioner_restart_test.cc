// The site is killed at each boundary of the journal: the next start goes on from there.
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>

#include "base/file.h"
#include "slurm/job_name.h"
#include "unit/slurm/provisioner_lab.h"
#include "unit/slurm/soon.h"

namespace interlink::slurm {
namespace {

using State = Fact::State;
using Stage = JobRecord::Stage;
using std::chrono::seconds;

const SandboxId kLost(std::string(64, 'c'));

bool IsThere(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

// A pod whose job 7 was accepted, in a lab that was started once.
void Accept(ProvisionerLab& lab) {
  lab.Start();
  REQUIRE(lab.Submit(kLost).ok());
  REQUIRE(lab.Until([&] { return lab.Latest(kLost).reason == "Resources"; }));
}

void Rewrite(ProvisionerLab& lab, Stage stage, int submissions, uint64_t job) {
  JobRecord record = lab.Record(kLost);
  record.stage = stage;
  record.submissions = submissions;
  record.job = job;
  REQUIRE(lab.journal().Write(record).ok());
}

}  // namespace

TEST_CASE("Killed after the wish was stored: the pod is submitted once") {
  ProvisionerLab lab;
  lab.Start();
  lab.SetSbatch(
      Answer{1, 0, "", "sbatch: error: Unable to contact slurm controller (connect failure)\n"},
      false);
  REQUIRE(lab.Submit(kLost).ok());
  const bool folder_made = GENERATE(false, true);
  if (folder_made) REQUIRE(lab.Until([&] { return IsThere(lab.PodFolder(kLost) + "/site"); }));
  lab.provisioner.reset();
  CHECK(lab.Record(kLost).submissions == 0);
  lab.HaveRoom();

  lab.Start();
  CHECK(lab.Latest(kLost).state == State::kPending);
  REQUIRE(lab.Until([&] { return lab.Latest(kLost).reason == "Resources"; }));
  lab.Pass(seconds(30));
  CHECK(lab.Jobs().size() == 1);
}

TEST_CASE("Killed while sbatch ran: a job of it is found, and none is made beside it") {
  ProvisionerLab lab;
  Accept(lab);
  Rewrite(lab, Stage::kDoubt, 1, 0);
  lab.Start();
  REQUIRE(lab.Until([&] { return lab.Latest(kLost).reason == "Resources"; }));
  CHECK(lab.Latest(kLost).allocation == "7");
  lab.Pass(seconds(30));
  CHECK(lab.Jobs().size() == 1);
}

TEST_CASE("Killed before sbatch reached SLURM: the pod is submitted when that is certain") {
  ProvisionerLab lab;
  Accept(lab);
  Rewrite(lab, Stage::kDoubt, 1, 0);
  lab.ForgetJobs();
  lab.Start();
  const SteadyTime begin = lab.clock.Steady();
  REQUIRE(lab.Until([&] { return lab.Jobs().size() == 1; }));
  CHECK(lab.clock.Steady() - begin > lab.options.message_timeout);
}

TEST_CASE("Killed while a pod ran: it goes on, and its end is proven as ever") {
  ProvisionerLab lab;
  Accept(lab);
  REQUIRE(lab.RunScript(kLost, 7));
  lab.Start();
  REQUIRE(lab.Until([&] { return lab.Latest(kLost).state == State::kGranted; }));
  lab.Say(kLost, "left", "ended");
  lab.SetJob(7, "FAILED", "3:0");
  CHECK(lab.End(kLost).exit_code == 3);
  CHECK(lab.Count("sbatch") == 0);  // of this start
}

TEST_CASE("Killed after a release was stored: it is carried out") {
  ProvisionerLab lab;
  Accept(lab);
  REQUIRE(lab.journal().WriteRelease(kLost).ok());
  lab.Start();
  CHECK_FALSE(lab.End(kLost).refused);
  REQUIRE(lab.Until([&] { return lab.Jobs()[0].state == "CANCELLED"; }));
}

TEST_CASE("Killed after the claim was taken: the pod is over, the claim stays the site's") {
  ProvisionerLab lab;
  Accept(lab);
  const bool released = GENERATE(false, true);
  if (released) REQUIRE(lab.journal().WriteRelease(kLost).ok());
  REQUIRE(TakeClaim(lab.PodFolder(kLost))->IsSite());
  lab.Start();
  if (!released) {
    REQUIRE_FALSE(lab.RunScript(kLost, 7));
    // 113 of a job that the site has beaten to it.
  }
  const Fact end = lab.End(kLost);
  CHECK(end.refused == !released);
}

TEST_CASE("Killed after an end was stored: the next start tells it, and removes it") {
  ProvisionerLab lab;
  Accept(lab);
  REQUIRE(lab.RunScript(kLost, 7));
  lab.Say(kLost, "left", "ended");
  lab.SetJob(7, "OUT_OF_MEMORY", "0:125");
  const Fact end = lab.End(kLost);
  CHECK(end.out_of_memory);
  lab.ForgetJobs();

  lab.Start();
  const auto facts = lab.provisioner->Recover(Soon());
  REQUIRE(facts.ok());
  REQUIRE(facts->size() == 1);
  CHECK(SameFact(facts->front(), end));
  REQUIRE(lab.provisioner->Remove(Soon(), kLost).ok());
  CHECK_FALSE(IsThere(lab.PodFolder(kLost)));
}

TEST_CASE("Killed while the fence was up: the lease counts from the new start") {
  ProvisionerLab lab;
  Accept(lab);
  REQUIRE(lab.RunScript(kLost, 7));
  lab.SetJob(7, "NODE_FAIL");
  REQUIRE(lab.Until([&] { return IsThere(lab.PodFolder(kLost) + "/given-up"); }));
  lab.Pass(seconds(200));

  lab.Start();
  const SteadyTime begin = lab.clock.Steady();
  lab.End(kLost, seconds(1));
  CHECK(lab.clock.Steady() - begin > lab.site.lease + AfterLease(lab.options.leave_within));
}

TEST_CASE("A pod's folder without a journal is taken up, ends by proof, and is never submitted") {
  ProvisionerLab lab;
  Accept(lab);
  lab.provisioner.reset();
  REQUIRE(lab.journal().Remove(kLost).ok());
  lab.Start();
  CHECK(lab.Latest(kLost).state == State::kPending);
  SECTION("given back") { REQUIRE(lab.provisioner->Release(Soon(), kLost).ok()); }
  SECTION("its job is gone") { lab.ForgetJobs(); }
  lab.End(kLost);
  CHECK(lab.Count("sbatch") == 0);
}

TEST_CASE("Without its file system the plugin cannot tell, and ends nothing") {
  ProvisionerLab lab;
  Accept(lab);
  lab.provisioner.reset();
  std::filesystem::rename(lab.job_folder, lab.job_folder + ".away");
  CHECK(lab.TryStart().code() == Code::kUnavailable);
  REQUIRE(MakeDirectories(lab.job_folder + "/pods", 0700).ok());  // what lies below a mount
  CHECK(lab.provisioner->Recover(Soon()).status().code() == Code::kUnavailable);
  CHECK(lab.Submit(kLost).code() == Code::kUnavailable);
  std::filesystem::remove_all(lab.job_folder);
  std::filesystem::rename(lab.job_folder + ".away", lab.job_folder);
  CHECK(lab.provisioner->Recover(Soon()).ok());
}

TEST_CASE("A damaged journal is named, and nothing is guessed") {
  ProvisionerLab lab;
  Accept(lab);
  lab.provisioner.reset();
  const std::string file = GENERATE("job", "ended");
  const std::string text = GENERATE("", "{}", "{\"version\":2}", "[]", "rubbish");
  REQUIRE(WriteFileAtomically(lab.folder.File("site/jobs/" + kLost.str() + "/" + file), text, 0600)
              .ok());
  const Status started = lab.TryStart();
  CHECK(started.code() == Code::kDataLoss);
  CHECK(started.message().find(kLost.str() + "/" + file) != std::string::npos);
}

}  // namespace interlink::slurm
