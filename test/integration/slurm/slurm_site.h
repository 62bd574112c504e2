// A site with the plugin on the cluster of cluster.h, with a script in the agent's place unless a
// case names one.
#ifndef INTERLINK_TEST_INTEGRATION_SLURM_SLURM_SITE_H_
#define INTERLINK_TEST_INTEGRATION_SLURM_SLURM_SITE_H_

#include <unistd.h>

#include <catch2/catch.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/file.h"
#include "cluster.h"
#include "runtime/v1/api.pb.h"
#include "slurm/provisioner.h"
#include "support/eventually.h"
#include "support/provisioner_site.h"
#include "support/temporary_folder.h"

namespace interlink::slurm {

using Fact = sdk::AllocationFact;

// Notes its run, and leaves when `leave` is there or with TERM, as an agent does.
inline constexpr const char* kAgentText = R"sh(#!/bin/sh
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
  explicit SlurmSite(const std::vector<std::string>& flags = {}, const std::string& agent = "") {
    REQUIRE(WriteFileAtomically(folder.File("agent"), kAgentText, 0700).ok());
    REQUIRE(MakeDirectories(folder.File("data"), 0700).ok());
    options.handlers = {"hpc"};
    options.profiles["hpc"].flags = flags;
    options.rules = DefaultRules();
    options.job_folder = folder.File("shared");
    options.agent = agent.empty() ? folder.File("agent") : agent;
    options.allow_root_agents = geteuid() == 0;
    options.state_folder = folder.File("state");
    options.message_timeout = kMessageTimeout;
    REQUIRE(MakeDirectories(options.state_folder, 0700).ok());
    Start();
  }
  ~SlurmSite() {
    for (const SandboxId& pod : pods) {
      CHECK(provisioner->Release(Soon(), pod).ok());
      CHECK(test::Eventually([&] { return Ended(pod); }, std::chrono::seconds(60)));
    }
  }

  void Start() {
    provisioner.reset();
    auto made =
        SlurmProvisioner::Create({site, site, std::make_unique<SystemCommands>(cluster.options()),
                                  cluster.user(), false, false, true},
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
    const bool held = test::Eventually(holds, std::chrono::seconds(90));
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

}  // namespace interlink::slurm

#endif  // INTERLINK_TEST_INTEGRATION_SLURM_SLURM_SITE_H_
