// What the site asks its policy about, and when: before something new is taken, and never of what
// it has.
#include "site/gpus.h"
#include "site_lab.h"

namespace interlink::test {
namespace {

class ScriptedAdmission final : public site::Admission {
 public:
  Status MayRun(const site::Caller&, const interlink::v1::RunSandboxRequest& pod) const override {
    return Answer("run " + pod.config().metadata().name());
  }
  std::string UserOf(const site::Caller&, const interlink::v1::RunSandboxRequest&) const override {
    MutexLock lock(mutex_);
    return user_;
  }
  void SetUser(const std::string& user) {
    MutexLock lock(mutex_);
    user_ = user;
  }
  Status MayCreate(const site::Caller&, const interlink::v1::RunSandboxRequest& pod,
                   const interlink::v1::CreateContainerRequest& container,
                   const std::vector<runtime::v1::Image>& images) const override {
    return Answer("create " + container.config().metadata().name() + " in " +
                  pod.config().metadata().name() + " of " + images.at(0).id());
  }
  Status MayUse(const site::Caller&, Use use, const interlink::v1::RunSandboxRequest& pod,
                const runtime::v1::LinuxContainerResources* resources) const override {
    if ((resources != nullptr) != (use == Use::kUpdate)) return InternalError("resources");
    if (resources != nullptr) {
      MutexLock lock(mutex_);
      judged_.push_back(resources->ShortDebugString());
    }
    return Answer("use " + std::to_string(static_cast<int>(use)) + " in " +
                  pod.config().metadata().name() + " by " + pod.handler());
  }
  Status MayPull(const site::Caller&, const interlink::v1::RunSandboxRequest& pod,
                 const interlink::v1::PullImageRequest& pull) const override {
    return Answer("pull " + pull.image().image() + " for " + pod.config().metadata().name());
  }
  // Keeps what it was told last; the quota is one of sandboxes.
  Status MayHold(const site::Account& account, const site::Holdings& has,
                 const site::Holdings& more) const override {
    MutexLock lock(mutex_);
    held_ = account.Text() + ": " + Text(has) + " + " + Text(more);
    return has.sandboxes + more.sandboxes > most_sandboxes ? ResourceExhausted("enough") : Status();
  }
  std::string held() const {
    MutexLock lock(mutex_);
    return held_;
  }
  std::vector<std::string> TakeAsked() {
    MutexLock lock(mutex_);
    return std::exchange(asked_, {});
  }
  // Of updates.
  std::vector<std::string> TakeJudged() {
    MutexLock lock(mutex_);
    return std::exchange(judged_, {});
  }
  std::atomic<bool> refuses = false;
  std::atomic<uint64_t> most_sandboxes = 1000;

 private:
  static std::string Text(const site::Holdings& holdings) {
    return std::to_string(holdings.sandboxes) + " pods " + std::to_string(holdings.containers) +
           " containers " + std::to_string(holdings.gpus) + " gpus " +
           std::to_string(holdings.sessions) + " sessions";
  }
  Status Answer(const std::string& what) const {
    MutexLock lock(mutex_);
    asked_.push_back(what);
    return refuses ? PermissionDenied("not you") : Status();
  }
  mutable Mutex mutex_;
  mutable std::vector<std::string> asked_ GUARDED_BY(mutex_);
  mutable std::vector<std::string> judged_ GUARDED_BY(mutex_);
  mutable std::string held_ GUARDED_BY(mutex_);
  std::string user_ GUARDED_BY(mutex_);
};

using Asked = std::vector<std::string>;

struct AdmissionFixture {
  AdmissionFixture() {
    lab.admission = &admission;
    lab.Restart();
    REQUIRE(lab.LinkNode().ok());
  }
  void RunAll() {
    REQUIRE(lab.Run(pod, lab.PodBody("p")).ok());
    REQUIRE(lab.Create(pod, unit, lab.UnitBody("c")).ok());
    REQUIRE(lab.StartUnit(pod, unit).ok());
    admission.TakeAsked();
  }
  Status Use(site::Admission::Use use) {
    const std::string id = MintSessionId().str();
    const auto session = [&](auto start) { return lab.Wait<site::Session>(start).status(); };
    switch (use) {
      case site::Admission::Use::kUpdate: {
        interlink::v1::UpdateContainerRequest request;
        request.set_sequence(1);
        return lab
            .Wait<ContainerAnswer>([&](auto reply) {
              lab.site->UpdateContainer(SiteLab::call(), lab.caller, pod, unit, request, reply);
            })
            .status();
      }
      case site::Admission::Use::kExec: {
        interlink::v1::OpenExec request;
        request.set_session_id(id);
        request.add_cmd("sh");
        request.set_stdout(true);
        return session([&](auto reply) {
          lab.site->OpenExec(SiteLab::call(), lab.caller, pod, unit, request, reply);
        });
      }
      case site::Admission::Use::kExecSync: {
        interlink::v1::ExecSyncRequest request;
        request.set_exec_id(id);
        request.add_cmd("true");
        return lab
            .Wait<interlink::v1::ExecSyncResponse>([&](auto reply) {
              lab.site->ExecSync(SiteLab::call(), lab.caller, pod, unit, request, reply);
            })
            .status();
      }
      case site::Admission::Use::kAttach: {
        interlink::v1::OpenAttach request;
        request.set_session_id(id);
        request.set_stdout(true);
        return session([&](auto reply) {
          lab.site->OpenAttach(SiteLab::call(), lab.caller, pod, unit, request, reply);
        });
      }
      case site::Admission::Use::kPortForward: {
        interlink::v1::OpenPortForward request;
        request.set_session_id(id);
        request.set_port(80);
        return session([&](auto reply) {
          lab.site->OpenPort(SiteLab::call(), lab.caller, pod, request, reply);
        });
      }
    }
    return InternalError("no such use");
  }
  Status Pull(const std::string& id, const SandboxId& sandbox) {
    interlink::v1::PullImageRequest request;
    request.set_pull_id(id);
    request.mutable_image()->set_image("app");
    request.set_sandbox_id(sandbox.str());
    return lab
        .Wait<site::Answer<interlink::v1::PullRecord>>([&](auto reply) {
          lab.site->PullImage(SiteLab::call(), lab.caller, request, std::chrono::seconds(2), reply);
        })
        .status();
  }

  ScriptedAdmission admission;  // before the lab: it outlives the site
  SiteLab lab;
  const SandboxId pod = MintSandboxId();
  const ContainerId unit = MintContainerId();
};

TEST_CASE_METHOD(AdmissionFixture, "A refused pod leaves nothing, and its id may come again") {
  admission.refuses = true;
  const auto refused = lab.Run(pod, lab.PodBody("p"));
  CHECK(refused.status().code() == Code::kPermissionDenied);
  CHECK(refused.status().message() == "not you");
  CHECK(lab.site->GetSandbox(NodeId("n1"), pod).status().code() == Code::kNotFound);
  CHECK(lab.site->ListSandboxes(NodeId("n1")).empty());
  admission.refuses = false;
  CHECK(lab.Run(pod, lab.PodBody("p")).ok());
  CHECK(admission.TakeAsked() == Asked{"run p", "run p"});
}

TEST_CASE_METHOD(AdmissionFixture,
                 "A pod's user is chosen once, and a backend that has one user is told none") {
  admission.SetUser("alice");
  const auto refused = lab.Run(pod, lab.PodBody("p"));
  CHECK(refused.status().code() == Code::kFailedPrecondition);
  CHECK(refused.status().message().find("run as user \"alice\", and handler \"test\"") !=
        std::string::npos);
  CHECK(lab.site->ListSandboxes(NodeId("n1")).empty());

  lab.world.runs_as_users = true;
  lab.Restart();
  REQUIRE(lab.LinkNode().ok());
  REQUIRE(lab.Run(pod, lab.PodBody("p")).ok());
  const auto user = [this] {
    MutexLock lock(lab.world.mutex);
    return lab.world.pods.at(pod).user;
  };
  CHECK(user() == "alice");
  admission.SetUser("bob");
  CHECK(lab.Run(pod, lab.PodBody("p")).ok());
  CHECK(user() == "alice");
}

TEST_CASE_METHOD(AdmissionFixture, "A refused container leaves nothing in its pod") {
  REQUIRE(lab.Run(pod, lab.PodBody("p")).ok());
  admission.TakeAsked();
  admission.refuses = true;
  CHECK(lab.Create(pod, unit, lab.UnitBody("c")).status().code() == Code::kPermissionDenied);
  CHECK(lab.site->GetContainer(NodeId("n1"), pod, unit).status().code() == Code::kNotFound);
  CHECK(admission.TakeAsked() == Asked{"create c in p of sha256:x"});
}

TEST_CASE_METHOD(
    AdmissionFixture,
    "What the site has is repeated, started, ended and told whatever the policy says") {
  REQUIRE(lab.Run(pod, lab.PodBody("p")).ok());
  REQUIRE(lab.Create(pod, unit, lab.UnitBody("c")).ok());
  admission.TakeAsked();
  admission.refuses = true;
  if (GENERATE(false, true)) {
    lab.Restart();
    REQUIRE(lab.LinkNode().ok());
  }
  CHECK(lab.Run(pod, lab.PodBody("p")).ok());
  CHECK(lab.Create(pod, unit, lab.UnitBody("c")).ok());
  CHECK(lab.StartUnit(pod, unit).ok());
  CHECK(lab.site->GetContainer(NodeId("n1"), pod, unit).ok());
  CHECK(lab.StopUnit(pod, unit).ok());
  CHECK(lab.RemoveUnit(pod, unit).ok());
  CHECK(lab.StopPod(pod).ok());
  CHECK(lab.RemovePod(pod).ok());
  CHECK(admission.TakeAsked().empty());
}

TEST_CASE_METHOD(AdmissionFixture, "Each way into a running container is asked about by its pod") {
  const auto use = GENERATE(site::Admission::Use::kUpdate, site::Admission::Use::kExec,
                            site::Admission::Use::kExecSync, site::Admission::Use::kAttach,
                            site::Admission::Use::kPortForward);
  RunAll();
  admission.refuses = true;
  const Status refused = Use(use);
  CHECK(refused.code() == Code::kPermissionDenied);
  CHECK(admission.TakeAsked() ==
        Asked{"use " + std::to_string(static_cast<int>(use)) + " in p by test"});
  admission.refuses = false;
  CHECK(Use(use).code() != Code::kPermissionDenied);
}

// A limit of 8 CPUs became 800 by an update of the period alone, or of the quota alone where the
// period was short: only the change was judged, and the engine merged it with what there was.
TEST_CASE_METHOD(AdmissionFixture, "An update is judged by what the container has then") {
  interlink::v1::CreateContainerRequest container;
  REQUIRE(container.ParseFromString(lab.UnitBody("c")));
  auto* created = container.mutable_config()->mutable_linux()->mutable_resources();
  created->set_cpu_quota(8000);
  created->set_cpu_period(1000);
  created->set_memory_limit_in_bytes(1 << 20);
  REQUIRE(lab.Run(pod, lab.PodBody("p")).ok());
  REQUIRE(lab.Create(pod, unit, container.SerializeAsString()).ok());
  REQUIRE(lab.StartUnit(pod, unit).ok());
  interlink::v1::UpdateContainerRequest request;
  const auto update = [&](auto reply) {
    request.set_sequence(request.sequence() + 1);
    lab.site->UpdateContainer(SiteLab::call(), lab.caller, pod, unit, request, reply);
  };

  request.mutable_linux()->set_cpu_quota(800'000);
  admission.refuses = true;
  CHECK(lab.Wait<ContainerAnswer>(update).status().code() == Code::kPermissionDenied);
  CHECK(admission.TakeJudged() ==
        Asked{"cpu_period: 1000 cpu_quota: 800000 memory_limit_in_bytes: 1048576"});
  admission.refuses = false;

  // Two at once: the second one is judged by what the first one has left.
  request.mutable_linux()->set_cpu_quota(4000);
  update([](auto) {});
  request.mutable_linux()->set_cpu_quota(0);
  request.mutable_linux()->set_cpu_period(2000);
  const auto updated = lab.Wait<ContainerAnswer>(update);
  REQUIRE(updated.ok());
  const std::string last = "cpu_period: 2000 cpu_quota: 4000 memory_limit_in_bytes: 1048576";
  CHECK(admission.TakeJudged() ==
        Asked{"cpu_period: 1000 cpu_quota: 4000 memory_limit_in_bytes: 1048576", last});
  CHECK(updated->record.resources().ShortDebugString() == last);
  MutexLock lock(lab.world.mutex);
  CHECK(lab.world.limits.at(unit).ShortDebugString() == last);
}

TEST_CASE_METHOD(AdmissionFixture, "A pull is asked about once, with the pod that it is for") {
  RunAll();
  const std::string id(64, 'a');
  admission.refuses = true;
  CHECK(Pull(id, pod).code() == Code::kPermissionDenied);
  admission.refuses = false;
  CHECK(Pull(id, pod).ok());
  admission.refuses = true;
  CHECK(Pull(id, pod).ok());
  CHECK(Pull(std::string(64, 'b'), SandboxId()).code() == Code::kPermissionDenied);
  CHECK(admission.TakeAsked() == Asked{"pull app for p", "pull app for p", "pull app for "});
}

TEST_CASE_METHOD(AdmissionFixture, "A quota is asked with what has not ended, before a new pod") {
  const auto run = [this](const std::string& name) {
    return lab.Run(MintSandboxId(), lab.PodBody(name)).status();
  };
  admission.most_sandboxes = 2;
  REQUIRE(lab.Run(pod, lab.PodBody("p")).ok());
  CHECK(
      admission.held() ==
      "node \"n1\": 0 pods 0 containers 0 gpus 0 sessions + 1 pods 0 containers 0 gpus 0 sessions");
  REQUIRE(lab.Create(pod, unit, lab.UnitBody("c")).ok());
  CHECK(
      admission.held() ==
      "node \"n1\": 1 pods 0 containers 0 gpus 0 sessions + 0 pods 1 containers 0 gpus 0 sessions");
  REQUIRE(run("q").ok());
  CHECK(
      admission.held() ==
      "node \"n1\": 1 pods 1 containers 0 gpus 0 sessions + 1 pods 0 containers 0 gpus 0 sessions");
  CHECK(run("r").code() == Code::kResourceExhausted);
  // What it has it may ask for again, and end; what has ended does not count.
  CHECK(lab.Run(pod, lab.PodBody("p")).ok());
  REQUIRE(lab.StopPod(pod).ok());
  CHECK(run("r").ok());
}

TEST_CASE_METHOD(AdmissionFixture, "A tenant's pods are on one account, also after a restart") {
  site::TokenClaims claims;
  claims.tenant = "physics";
  const auto plain = lab.caller;
  lab.caller.token = std::make_shared<const site::TokenClaims>(claims);
  REQUIRE(lab.Run(pod, lab.PodBody("p")).ok());
  CHECK(admission.held().starts_with("tenant \"physics\": 0 pods"));
  lab.Restart();
  REQUIRE(lab.LinkNode().ok());
  lab.caller.token = std::make_shared<const site::TokenClaims>(claims);
  REQUIRE(lab.Run(MintSandboxId(), lab.PodBody("q")).ok());
  CHECK(admission.held().starts_with("tenant \"physics\": 1 pods"));
  lab.caller.token = nullptr;
  REQUIRE(lab.Run(MintSandboxId(), lab.PodBody("r")).ok());
  CHECK(admission.held().starts_with("node \"n1\": 0 pods"));
}

TEST_CASE("GPUs that a request asks for") {
  const auto pod = [](const std::string& key, const std::string& value) {
    interlink::v1::RunSandboxRequest request;
    (*request.mutable_config()->mutable_annotations())["slurm.interlink.io/" + key] = value;
    return site::GpusAskedBy(request);
  };
  CHECK(pod("gpus", "4") == 4);
  CHECK(pod("gpus", "a100:2,h100:3") == 5);
  CHECK(pod("gpus", "a100") == 1);
  CHECK(pod("gpus", "99999999999999999999999") == 1);  // which the plugin refuses
  CHECK(pod("gpus", "18446744073709551615,18446744073709551615") == site::kAllGpus);
  CHECK(pod("gres", "gpu:a100:2,license:7,gpu:1") == 3);
  CHECK(pod("gres", "gpu,gpux:4") == 1);
  CHECK(pod("time", "4") == 0);
}

// A quota of no GPUs let eight through: only annotations slurm.interlink.io/* were counted, and the
// plugin slurm takes four spellings more. Counted is what the plugin makes of all of them.
TEST_CASE("GPUs are counted whatever the spelling that the plugin takes") {
  interlink::v1::RunSandboxRequest request;
  auto& annotations = *request.mutable_config()->mutable_annotations();
  auto& node = *request.mutable_plugin_config();
  const auto [flags, count] =
      GENERATE(table<std::string, uint64_t>({{"--gres=gpu:8", 8},
                                             {"--gres gpu:a100:8,nvme:1", 8},
                                             {"-G 8", 8},
                                             {"-Ga100:8", 8},
                                             {"--gpus=a100:4,h100:4", 8},
                                             {"-G 1 --gpus=2", 2},
                                             {"--time=1", 0}}));
  CAPTURE(flags);
  annotations["slurm-job.vk.io/flags"] = flags;
  CHECK(site::GpusAskedBy(request) == count);
  annotations["slurm.interlink.io/gpus"] = "1";
  if (flags.find("gres") == std::string::npos) CHECK(site::GpusAskedBy(request) == 1);
  annotations.clear();

  node["SLURM_GPUS"] = "8";
  CHECK(site::GpusAskedBy(request) == 8);
  annotations["slurm.interlink.io/gres"] = "nvme:1";
  CHECK(site::GpusAskedBy(request) == 8);
  annotations["slurm.interlink.io/gres"] = "gpu:2";
  CHECK(site::GpusAskedBy(request) == 2);
  annotations["cdi.k8s.io/a"] = "nvidia.com/gpu=0,nvidia.com/gpu=1,vendor.com/nic=0";
  annotations["cdi.k8s.io/b"] = "nvidia.com/gpu=1,nvidia.com/gpu=2";
  CHECK(site::GpusAskedBy(request) == 2);
  annotations.erase("slurm.interlink.io/gres");
  CHECK(site::GpusAskedBy(request) == 3);
  node.clear();
  node["SLURM_GRES"] = "gpu:4,nvme:1";
  annotations.clear();
  CHECK(site::GpusAskedBy(request) == 4);
}

// A quota of GPUs refused a pod of any handler whose annotation for SLURM was mistyped. The plugin
// slurm, which alone minds, refuses it by itself.
TEST_CASE("What SLURM cannot read asks for no GPUs") {
  interlink::v1::RunSandboxRequest request;
  const auto [name, value] =
      GENERATE(table<std::string, std::string>({{"slurm-job.vk.io/flags", "--gpus-per-node=8"},
                                                {"slurm-job.vk.io/flags", "$(id)"},
                                                {"slurm.interlink.io/gpu", "8"},
                                                {"cdi.k8s.io/a", "nvidia.com/gpu=all"}}));
  (*request.mutable_config()->mutable_annotations())[name] = value;
  CHECK(site::GpusAskedBy(request) == 0);
}

TEST_CASE("GPUs of a container are its devices") {
  interlink::v1::CreateContainerRequest container;
  for (const char* name : {"nvidia.com/gpu=0", "nvidia.com/gpu=GPU-1", "vendor.com/nic=0"})
    container.mutable_config()->add_cdi_devices()->set_name(name);
  for (const char* path : {"/dev/nvidia0", "/dev/nvidiactl", "/dev/dri/renderD128", "/dev/null"})
    container.mutable_config()->add_devices()->set_host_path(path);
  CHECK(site::GpusAskedBy(container) == 4);
  container.mutable_config()->add_cdi_devices()->set_name("nvidia.com/gpu=all");
  CHECK(site::GpusAskedBy(container) == site::kAllGpus);
}

TEST_CASE_METHOD(AdmissionFixture, "GPUs of a pod are there for its containers, and count once") {
  interlink::v1::RunSandboxRequest request;
  REQUIRE(request.ParseFromString(lab.PodBody("p")));
  (*request.mutable_config()->mutable_annotations())["slurm.interlink.io/gpus"] = "2";
  REQUIRE(lab.Run(pod, request.SerializeAsString()).ok());
  // This backend has no devices: the quota is asked first.
  const auto asks_for = [this](int count) {
    interlink::v1::CreateContainerRequest container;
    REQUIRE(container.ParseFromString(lab.UnitBody("c")));
    for (int i = 0; i < count; ++i)
      container.mutable_config()->add_cdi_devices()->set_name("nvidia.com/gpu=" +
                                                              std::to_string(i));
    CHECK_FALSE(lab.Create(pod, MintContainerId(), container.SerializeAsString()).ok());
    return admission.held();
  };
  const std::string has =
      "node \"n1\": 1 pods 0 containers 2 gpus 0 sessions + 0 pods 1 containers ";
  CHECK(asks_for(2) == has + "0 gpus 0 sessions");
  CHECK(asks_for(3) == has + "1 gpus 0 sessions");
}

}  // namespace
}  // namespace interlink::test
