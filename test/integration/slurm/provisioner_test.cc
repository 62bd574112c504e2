// The whole plugin on a real SLURM, with a script in the agent's place.
#include "slurm/provisioner.h"

#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>

#include "base/file.h"
#include "cluster.h"
#include "runtime/v1/api.pb.h"
#include "support/eventually.h"
#include "support/provisioner_site.h"
#include "support/temporary_folder.h"

namespace interlink::slurm {
namespace {

using Fact = sdk::AllocationFact;
using std::chrono::seconds;

// Notes its run, and leaves when `leave` is there or with TERM, as an agent does.
constexpr const char* kAgentText = R"sh(#!/bin/sh
while [ $# -gt 0 ]; do
  case $1 in
  --nonce) nonce=$2 ;;
  --folder) folder=$2 ;;
  --allocation) job=$2 ;;
  --state) state=$2 ;;
  esac
  shift
done
echo "$job $state" >>"$folder/ran"
leave() {
  echo "1 $nonce ended" >"$folder/left.new"
  mv "$folder/left.new" "$folder/left"
  exit 0
}
trap leave TERM
while ! [ -e "$folder/leave" ]; do sleep 0.1; done
leave
)sh";

// A site with the plugin, as long as a case lasts. What it submitted is cancelled.
struct SlurmSite {
  explicit SlurmSite(const std::vector<std::string>& flags = {}) {
    REQUIRE(WriteFileAtomically(folder.File("agent"), kAgentText, 0700).ok());
    REQUIRE(MakeDirectories(folder.File("data"), 0700).ok());
    options.handlers = {"hpc"};
    options.profiles["hpc"].flags = flags;
    options.rules = DefaultRules();
    options.job_folder = folder.File("shared");
    options.agent = folder.File("agent");
    options.state_folder = folder.File("state");
    options.message_timeout = kMessageTimeout;
    REQUIRE(MakeDirectories(options.state_folder, 0700).ok());
    Start();
  }
  ~SlurmSite() {
    for (const SandboxId& pod : pods) {
      CHECK(provisioner->Release(Soon(), pod).ok());
      CHECK(test::Eventually([&] { return Ended(pod); }, seconds(60)));
    }
  }

  void Start() {
    provisioner.reset();
    auto made =
        SlurmProvisioner::Create({site, site, std::make_unique<SystemCommands>(cluster.options()),
                                  cluster.user(), false, true},
                                 options);
    REQUIRE(made.ok());
    provisioner = *std::move(made);
    const auto facts = provisioner->Recover(Soon());
    INFO(facts.status().ToString());
    REQUIRE(facts.ok());
    site.Report(*facts);
  }

  SandboxId Submit() {
    const SandboxId id = MintSandboxId();
    runtime::v1::PodSandboxConfig config;
    config.mutable_linux()->mutable_security_context()->mutable_namespace_options()->set_pid(
        runtime::v1::CONTAINER);
    const sdk::AllocationSpec spec{id, NodeId("node"), "hpc", config, {}};
    REQUIRE(provisioner->Check(spec).ok());
    REQUIRE(provisioner->Submit(Soon(), spec).ok());
    pods.push_back(id);
    return id;
  }

  Fact Latest(const SandboxId& id) {
    const auto told = site.Told(id);
    return told.empty() ? Fact() : told.back();
  }
  bool Ended(const SandboxId& id) { return Latest(id).state == Fact::State::kEnded; }
  bool Granted(const SandboxId& id) { return Latest(id).state == Fact::State::kGranted; }
  std::string PodFolder(const SandboxId& id) const {
    return options.job_folder + "/pods/" + id.str();
  }
  std::vector<std::string> Runs(const SandboxId& id) const {
    return LinesOf(PodFolder(id) + "/ran");
  }
  bool Await(const std::function<bool()>& holds) {
    const bool held = test::Eventually(holds, seconds(90));
    for (const SandboxId& pod : pods) UNSCOPED_INFO(Latest(pod).message);
    return held;
  }

  Cluster& cluster = Cluster::Get();
  test::TemporaryFolder folder;
  SystemClock clock;
  test::ProvisionerSite site{folder.File("data"), clock};
  SlurmOptions options;
  std::unique_ptr<SlurmProvisioner> provisioner;
  std::vector<SandboxId> pods;
};

}  // namespace

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
  SlurmSite site;
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
