// The whole plugin on a real SLURM, with a script in the agent's place.
#include <catch2/catch.hpp>
#include <filesystem>

#include "base/file.h"
#include "slurm_site.h"

namespace interlink::slurm {
TEST_CASE("A pod runs in one job, ends by itself without waiting for a lease, and leaves nothing") {
  SlurmSite site;
  const SandboxId pod = site.Submit();
  REQUIRE(site.Await([&] { return site.Runs(pod).size() == 1 && site.Granted(pod); }));
  const std::string job = site.Latest(pod).allocation;
  const std::string run = site.Runs(pod)[0];
  const std::string state = run.substr(run.find(' ') + 1);
  CHECK(run.substr(0, run.find(' ')) == job);
  CHECK(state.find(site.options.state_folder + "/interlink-") == 0);

  REQUIRE(WriteFileAtomically(site.PodFolder(pod) + "/leave", "", 0600).ok());
  REQUIRE(site.Await([&] { return site.Ended(pod); }));

  const Fact end = site.Latest(pod);
  CHECK(end.allocation == job);
  CHECK(end.reason == "COMPLETED");
  CHECK(end.pod_folder == site.PodFolder(pod));
  CHECK(site.Runs(pod).size() == 1);
  CHECK_FALSE(std::filesystem::exists(state));
  REQUIRE(site.Await([&] { return site.provisioner->Remove(Soon(), pod).ok(); }));
  CHECK_FALSE(std::filesystem::exists(site.PodFolder(pod)));
}

TEST_CASE("A pod that is given back while it runs is told, and over when its agent has left") {
  SlurmSite site;
  const SandboxId pod = site.Submit();
  REQUIRE(site.Await([&] { return site.Runs(pod).size() == 1; }));
  site.Start();  // a new process of the site goes on
  REQUIRE(site.Await([&] { return site.Granted(pod); }));

  REQUIRE(site.provisioner->Release(Soon(), pod).ok());
  REQUIRE(site.Await([&] { return site.Ended(pod); }));

  CHECK(site.Latest(pod).message.find("was cancelled") != std::string::npos);
  CHECK(site.Latest(pod).message.find("somebody else") == std::string::npos);
  CHECK(std::filesystem::exists(site.PodFolder(pod) + "/left"));
  CHECK(site.Runs(pod).size() == 1);
}

TEST_CASE("A pod that is given back while it waits is over at once, and its job is cancelled") {
  SlurmSite site({"--begin=now+1hour"});
  const SandboxId pod = site.Submit();
  REQUIRE(site.Await([&] { return site.Latest(pod).reason == "BeginTime"; }));
  CHECK(site.Latest(pod).state == Fact::State::kPending);
  CHECK(site.Latest(pod).expected_start_ns > 0);

  REQUIRE(site.provisioner->Release(Soon(), pod).ok());
  REQUIRE(site.Await([&] { return site.Ended(pod); }));

  CHECK_FALSE(site.Latest(pod).refused);
  const std::string name = "--name=" + JobName(site.site.lineage(), pod);
  CHECK(site.Await([&] {
    return site.cluster.Run({"squeue", "-h", "--states=PENDING,RUNNING", name}).empty();
  }));
  CHECK(site.Runs(pod).empty());
}

TEST_CASE("A request that SLURM cannot serve fails the pod in SLURM's words") {
  SlurmSite site({"--licenses=nobody:3"});
  const SandboxId pod = site.Submit();
  REQUIRE(site.Await([&] { return site.Ended(pod); }));
  CHECK(site.Latest(pod).refused);
  CHECK(site.Latest(pod).message.find("Invalid license specification") != std::string::npos);
}

TEST_CASE("A controller that is killed after a submission makes a pod run once, later perhaps") {
  // A job that runs already may be killed by the controller's next start: not what is asked here.
  SlurmSite site({"--begin=now+4"});
  SlurmSite waiting({"--begin=now+1hour"});
  // Its state is written now, and not again for some seconds.
  const SandboxId first = waiting.Submit();
  REQUIRE(site.Await([&] {
    const auto state = ReadFile(site.cluster.folder() + "/slurm/state/job_state");
    return state.ok() && state->find(first.str()) != std::string::npos;
  }));
  const SandboxId pod = site.Submit();
  REQUIRE(site.Await([&] { return !site.Latest(pod).allocation.empty(); }));
  site.cluster.Lab("kill-slurmctld");
  site.cluster.Lab("start-slurmctld");

  REQUIRE(site.Await([&] { return site.Runs(pod).size() == 1 && site.Granted(pod); }));
  REQUIRE(WriteFileAtomically(site.PodFolder(pod) + "/leave", "", 0600).ok());
  REQUIRE(site.Await([&] { return site.Ended(pod); }));
  CHECK(site.Runs(pod).size() == 1);
  site.cluster.Lab("mend");
}

}  // namespace interlink::slurm
