// What a request says becomes what rules decide by.
#include "site_policy/site_policy.h"

#include <catch2/catch.hpp>

#include "support/manual_clock.h"

namespace interlink::site_policy {
namespace {

using auth::Action;

struct PolicyLab {
  explicit PolicyLab(auth::PolicyRule one) : policy({std::move(one)}) {
    pod.set_handler("hpc");
    pod.mutable_config()->mutable_metadata()->set_namespace_("team");
    image.add_repo_tags("registry.example/team/app:1");
  }
  SitePolicy rules() {
    return SitePolicy({[this] { return std::make_shared<const auth::Policy>(policy); },
                       [](const std::string& name) -> Result<std::string> {
                         if (name.empty()) return InvalidArgument("empty");
                         return "docker.io/library/" + name + ":latest";
                       }});
  }
  Status Create() { return rules().MayCreate(caller, pod, container, {image}); }

  auth::Policy policy;
  site::Caller caller{NodeId("n1"), 1};
  interlink::v1::RunSandboxRequest pod;
  interlink::v1::CreateContainerRequest container;
  runtime::v1::Image image;
};

auth::PolicyRule Rule(std::set<Action> may) {
  auth::PolicyRule rule;
  rule.name = "r";
  rule.may = std::move(may);
  return rule;
}

TEST_CASE("A refusal is told as such, with the site's reason") {
  PolicyLab lab(Rule({Action::kExec}));
  const Status refused = lab.rules().MayRun(lab.caller, lab.pod);
  CHECK(refused.code() == Code::kPermissionDenied);
  CHECK(refused.message().find("the site's policy: node \"n1\" may not run") == 0);
  CHECK(lab.rules().MayUse(lab.caller, site::Admission::Use::kExec, lab.pod, nullptr).ok());
}

TEST_CASE("A pod's user is chosen by who asks and by what the pod says") {
  PolicyLab lab(Rule({Action::kRun}));
  CHECK(lab.rules().UserOf(lab.caller, lab.pod).empty());
  auth::MappedUser user;
  user.name = "by-namespace";
  user.nodes = {"n1"};
  user.namespaces = {"team"};
  user.service_accounts = {"runner"};
  user.handlers = {"hpc"};
  user.user = "alice";
  lab.policy = auth::Policy({Rule({Action::kRun})}, {}, {user});
  CHECK(lab.rules().UserOf(lab.caller, lab.pod).empty());
  lab.pod.set_service_account("runner");
  lab.caller.ruling = std::make_shared<site::Ruling>();
  CHECK(lab.rules().UserOf(lab.caller, lab.pod) == "alice");
  CHECK(lab.caller.ruling->rules() == "by-namespace (user alice)");
  lab.pod.mutable_config()->mutable_metadata()->set_namespace_("other");
  CHECK(lab.rules().UserOf(lab.caller, lab.pod).empty());
}

TEST_CASE("Each use is an action of its own") {
  using Use = site::Admission::Use;
  const auto [use, action] =
      GENERATE(table<Use, Action>({{Use::kUpdate, Action::kUpdate},
                                   {Use::kExec, Action::kExec},
                                   {Use::kExecSync, Action::kExecSync},
                                   {Use::kAttach, Action::kAttach},
                                   {Use::kPortForward, Action::kPortForward}}));
  PolicyLab lab(Rule({action}));
  for (const Use other :
       {Use::kUpdate, Use::kExec, Use::kExecSync, Use::kAttach, Use::kPortForward})
    CHECK(lab.rules().MayUse(lab.caller, other, lab.pod, nullptr).ok() == (other == use));
}

TEST_CASE("Token, namespace and handler decide") {
  auth::PolicyRule rule = Rule({Action::kRun});
  rule.groups = {"gpu"};
  rule.namespaces = {"team"};
  rule.handlers = {"hpc"};
  PolicyLab lab(rule);
  CHECK_FALSE(lab.rules().MayRun(lab.caller, lab.pod).ok());
  lab.caller.token =
      std::make_shared<const site::TokenClaims>(site::TokenClaims{"https://i", "s", "t", {"gpu"}});
  CHECK(lab.rules().MayRun(lab.caller, lab.pod).ok());
  lab.pod.mutable_config()->mutable_metadata()->set_namespace_("other");
  CHECK_FALSE(lab.rules().MayRun(lab.caller, lab.pod).ok());
}

TEST_CASE("A pod that reaches for the machine is seen to") {
  PolicyLab lab(Rule({Action::kRun}));
  REQUIRE(lab.rules().MayRun(lab.caller, lab.pod).ok());
  auto* security = lab.pod.mutable_config()->mutable_linux()->mutable_security_context();
  SECTION("privileged") { security->set_privileged(true); }
  SECTION("network") { security->mutable_namespace_options()->set_network(runtime::v1::NODE); }
  SECTION("pid") { security->mutable_namespace_options()->set_pid(runtime::v1::NODE); }
  SECTION("ipc") { security->mutable_namespace_options()->set_ipc(runtime::v1::NODE); }
  CHECK(lab.rules().MayRun(lab.caller, lab.pod).code() == Code::kPermissionDenied);
}

// A rule about slurm.interlink.io/account was escaped by "-A" in the incumbent's annotation and by
// the node's PluginConfig. Judged is what the plugin slurm makes of all spellings.
TEST_CASE("A rule about a job's option holds whatever the spelling") {
  auth::PolicyRule rule = Rule({Action::kRun});
  rule.annotations = {{"slurm.interlink.io/account", {"physics"}},
                      {"slurm.interlink.io/gpus", {"1", "2"}}};
  PolicyLab lab(rule);
  auto& annotations = *lab.pod.mutable_config()->mutable_annotations();
  auto& node = *lab.pod.mutable_plugin_config();
  const auto may_run = [&lab] { return lab.rules().MayRun(lab.caller, lab.pod); };
  REQUIRE(may_run().ok());
  SECTION("options of sbatch") { annotations["slurm-job.vk.io/flags"] = "-A chemistry"; }
  SECTION("the node's PluginConfig") { node["SLURM_ACCOUNT"] = "chemistry"; }
  SECTION("options beat the node") {
    node["SLURM_ACCOUNT"] = "physics";
    annotations["slurm-job.vk.io/flags"] = "--account=chemistry";
  }
  SECTION("GPUs as a generic resource") { annotations["slurm.interlink.io/gres"] = "gpu:8"; }
  SECTION("GPUs among options") { annotations["slurm-job.vk.io/flags"] = "--gres=gpu:8"; }
  SECTION("GPUs by their names") {
    annotations["cdi.k8s.io/a"] = "nvidia.com/gpu=0,nvidia.com/gpu=1,nvidia.com/gpu=2";
  }
  CHECK(may_run().code() == Code::kPermissionDenied);
}

TEST_CASE("What a stronger spelling replaces is not judged") {
  auth::PolicyRule rule = Rule({Action::kRun});
  rule.annotations = {{"slurm.interlink.io/account", {"physics"}}};
  PolicyLab lab(rule);
  auto& annotations = *lab.pod.mutable_config()->mutable_annotations();
  (*lab.pod.mutable_plugin_config())["SLURM_ACCOUNT"] = "chemistry";
  annotations["slurm-job.vk.io/flags"] = "--account=physics -p gpu";
  CHECK(lab.rules().MayRun(lab.caller, lab.pod).ok());
  annotations["slurm-job.vk.io/flags"] = "--account=chemistry";
  annotations["slurm.interlink.io/account"] = "physics";
  CHECK(lab.rules().MayRun(lab.caller, lab.pod).ok());
}

TEST_CASE("A pod whose wishes cannot be read is let through by no rule about annotations") {
  auth::PolicyRule rule = Rule({Action::kRun});
  SECTION("none about them") {}
  SECTION("one about them") { rule.annotations = {{"slurm.interlink.io/account", {"physics"}}}; }
  PolicyLab lab(rule);
  (*lab.pod.mutable_config()->mutable_annotations())["slurm-job.vk.io/flags"] = "--uid=0";
  const Status answer = lab.rules().MayRun(lab.caller, lab.pod);
  CHECK(answer.ok() == rule.annotations.empty());
  if (answer.ok()) return;
  CHECK(answer.code() == Code::kPermissionDenied);
  CHECK(answer.message().find("?--uid=0? is not understood") != std::string::npos);
}

TEST_CASE("What a node tells another plugin is no wish of SLURM's") {
  auth::PolicyRule rule = Rule({Action::kRun});
  rule.annotations = {{"slurm.interlink.io/account", {"physics"}}};
  PolicyLab lab(rule);
  (*lab.pod.mutable_plugin_config())["REGION"] = "north";
  CHECK(lab.rules().MayRun(lab.caller, lab.pod).ok());
}

TEST_CASE("A container that reaches for the machine is seen to") {
  PolicyLab lab(Rule({Action::kCreate}));
  REQUIRE(lab.Create().ok());
  auto* config = lab.container.mutable_config();
  SECTION("privileged") {
    config->mutable_linux()->mutable_security_context()->set_privileged(true);
  }
  SECTION("pid") {
    config->mutable_linux()->mutable_security_context()->mutable_namespace_options()->set_pid(
        runtime::v1::NODE);
  }
  SECTION("a path") { config->add_mounts()->set_host_path("/etc"); }
  SECTION("a device") { config->add_devices()->set_host_path("/dev/kvm"); }
  SECTION("a device of CDI") { config->add_cdi_devices()->set_name("vendor.com/gpu=0"); }
  CHECK(lab.Create().code() == Code::kPermissionDenied);
}

TEST_CASE("A mount whose contents were sent, or of an image, is no path of the machine") {
  PolicyLab lab(Rule({Action::kCreate}));
  lab.container.mutable_config()->add_mounts()->set_host_path("/var/lib/kubelet/pods/x");
  (*lab.container.mutable_sources())["/var/lib/kubelet/pods/x"].mutable_pod_folder();
  lab.container.mutable_config()->add_mounts()->mutable_image()->set_image("x");
  CHECK(lab.Create().ok());
}

TEST_CASE("Every image of a container must be let through, by the names that it was pulled with") {
  auth::PolicyRule rule = Rule({Action::kCreate});
  rule.images = {"registry.example/team/*"};
  PolicyLab lab(rule);
  CHECK(lab.Create().ok());
  runtime::v1::Image other;
  other.add_repo_tags("docker.io/library/other:latest");
  CHECK_FALSE(lab.rules().MayCreate(lab.caller, lab.pod, lab.container, {lab.image, other}).ok());
  CHECK_FALSE(
      lab.rules().MayCreate(lab.caller, lab.pod, lab.container, {runtime::v1::Image()}).ok());
}

TEST_CASE("A container's user, as the pod says it") {
  auth::PolicyRule rule = Rule({Action::kCreate});
  rule.run_as_user = auth::PolicyRule::Range{1000, 1000};
  PolicyLab lab(rule);
  CHECK_FALSE(lab.Create().ok());
  auto* security = lab.container.mutable_config()->mutable_linux()->mutable_security_context();
  security->mutable_run_as_user()->set_value(0);
  CHECK_FALSE(lab.Create().ok());
  security->mutable_run_as_user()->set_value(1000);
  CHECK(lab.Create().ok());
}

TEST_CASE("A pull is decided by the full name of what is pulled") {
  auth::PolicyRule rule = Rule({Action::kPull});
  rule.images = {"docker.io/library/busybox:*"};
  rule.namespaces = {"team"};
  PolicyLab lab(rule);
  interlink::v1::PullImageRequest pull;
  pull.mutable_image()->set_image("busybox");
  CHECK(lab.rules().MayPull(lab.caller, lab.pod, pull).ok());
  CHECK_FALSE(lab.rules().MayPull(lab.caller, interlink::v1::RunSandboxRequest(), pull).ok());
  pull.mutable_image()->set_image("other");
  CHECK(lab.rules().MayPull(lab.caller, lab.pod, pull).code() == Code::kPermissionDenied);
  pull.mutable_image()->set_image("");
  CHECK(lab.rules().MayPull(lab.caller, lab.pod, pull).code() == Code::kInvalidArgument);
}

TEST_CASE("A limit of processors and memory is one that a container must have and keep") {
  auth::PolicyRule rule = Rule({Action::kCreate, Action::kUpdate});
  rule.milli_cpus = 1500;
  rule.memory = 512 << 20;
  PolicyLab lab(rule);
  auto* resources = lab.container.mutable_config()->mutable_linux()->mutable_resources();
  CHECK(lab.Create().message().find("must have a limit of CPUs, of at most 1.5") !=
        std::string::npos);
  resources->set_cpu_quota(75'000);
  resources->set_cpu_period(50'000);
  CHECK(lab.Create().message().find("must have a limit of memory, of at most 512 MiB") !=
        std::string::npos);
  resources->set_memory_limit_in_bytes(512 << 20);
  CHECK(lab.Create().ok());
  resources->set_cpu_quota(75'001);
  CHECK(lab.Create().message().find("its limit of CPUs is 1.501, it may be 1.5") !=
        std::string::npos);

  runtime::v1::LinuxContainerResources update;
  const auto may_update = [&lab, &update] {
    return lab.rules().MayUse(lab.caller, site::Admission::Use::kUpdate, lab.pod, &update);
  };
  CHECK(may_update().ok());  // neither is said
  update.set_memory_limit_in_bytes(513 << 20);
  CHECK(may_update().message().find("its limit of memory is 513 MiB") != std::string::npos);
  update.set_memory_limit_in_bytes(0);
  update.set_cpu_quota(-1);
  CHECK(may_update().message().find("must have a limit of CPUs") != std::string::npos);
  update.set_cpu_quota(std::numeric_limits<int64_t>::max());
  CHECK_FALSE(may_update().ok());
}

// Limits within the rule were lifted by files of cgroup v2, which the engine writes too.
TEST_CASE("A limit among the files of cgroup v2 counts where it is more") {
  auth::PolicyRule rule = Rule({Action::kCreate, Action::kUpdate});
  rule.milli_cpus = 8000;
  rule.memory = 1 << 30;
  PolicyLab lab(rule);
  auto* resources = lab.container.mutable_config()->mutable_linux()->mutable_resources();
  resources->set_cpu_quota(800'000);
  resources->set_memory_limit_in_bytes(1 << 30);
  auto& unified = *resources->mutable_unified();
  unified["memory.oom.group"] = "1";
  REQUIRE(lab.Create().ok());

  const auto [file, text, good] = GENERATE(table<std::string, std::string, bool>({
      {"memory.max", "max", false},
      {"memory.max", "1073741824", true},
      {"memory.max", "1073741825", false},
      {"memory.max", "2G", false},
      {"memory.max", "0x80000000", false},
      {"memory.max", "-1", false},
      {"memory.max", "99999999999999999999", false},
      {"memory.max", "", false},
      {"memory.high", "max", true},
      {"memory.swap.max", "max", true},
      {"cpu.max", "max 100000", false},
      {"cpu.max", "max", false},
      {"cpu.max", "800000 100000", true},
      {"cpu.max", "800001 100000", false},
      {"cpu.max", "800000 1000", false},
      {"cpu.max", "800000", false},  // of a period that the kernel has from before
      {"cpu.max", "8000 0", false},
      {"cpu.max", "8000 -1", false},
      {"cpu.max", "8000 1000 1", false},
      {"cpu.max", "8000 9000000000000", false},
      {"cpu.weight", "100", true},
  }));
  CAPTURE(file, text);
  unified[file] = text;
  CHECK(lab.Create().ok() == good);
  CHECK(lab.rules().MayUse(lab.caller, site::Admission::Use::kUpdate, lab.pod, resources).ok() ==
        good);
}

TEST_CASE("A container may have its limits in the files of cgroup v2 alone") {
  auth::PolicyRule rule = Rule({Action::kCreate});
  rule.milli_cpus = 1500;
  rule.memory = 1 << 20;
  PolicyLab lab(rule);
  auto* resources = lab.container.mutable_config()->mutable_linux()->mutable_resources();
  auto& unified = *resources->mutable_unified();
  unified["memory.max"] = "1048576";
  unified["cpu.max"] = "150000 100000";
  CHECK(lab.Create().ok());
  resources->set_memory_limit_in_bytes(-1);
  CHECK_FALSE(lab.Create().ok());
}

TEST_CASE("A quota and a period of any size are counted") {
  auth::PolicyRule rule = Rule({Action::kCreate});
  rule.milli_cpus = 8000;
  PolicyLab lab(rule);
  auto* resources = lab.container.mutable_config()->mutable_linux()->mutable_resources();
  constexpr int64_t kHuge = std::numeric_limits<int64_t>::max();
  resources->set_cpu_quota(kHuge);
  resources->set_cpu_period(1);
  CHECK_FALSE(lab.Create().ok());
  resources->set_cpu_period(kHuge);  // the kernel's longest is one second
  CHECK_FALSE(lab.Create().ok());
  resources->set_cpu_quota(8'000'000);
  CHECK(lab.Create().ok());
}

auth::Quota Quota(const std::string& name) {
  auth::Quota quota;
  quota.name = name;
  return quota;
}

struct QuotaLab {
  explicit QuotaLab(auth::Quota quota)
      : policy({}, {std::move(quota)}),
        rules({[this] { return std::make_shared<const auth::Policy>(policy); },
               [](const std::string& name) -> Result<std::string> { return name; }, &clock}) {}
  Status MayHold(const site::Holdings& has, const site::Holdings& more) {
    return rules.MayHold({"physics", NodeId()}, has, more);
  }

  test::ManualClock clock;
  auth::Policy policy;
  SitePolicy rules;
  site::Caller caller{NodeId("n1"), 1};
};

TEST_CASE("Each number of a quota is a limit of its own, up to and including it") {
  auth::Quota quota = Quota("small");
  quota.sandboxes = 2;
  quota.containers = 3;
  quota.gpus = 4;
  quota.sessions = 5;
  QuotaLab lab(quota);
  CHECK(lab.MayHold({.sandboxes = 1}, {.sandboxes = 1}).ok());
  const Status refused = lab.MayHold({.sandboxes = 2}, {.sandboxes = 1});
  CHECK(refused.code() == Code::kResourceExhausted);
  CHECK(refused.message() ==
        "the site's quota \"small\": tenant \"physics\" has 2 of 2 sandboxes: end some, or ask the "
        "site's administrator for more");
  CHECK(lab.MayHold({.containers = 2}, {.containers = 1}).ok());
  CHECK_FALSE(lab.MayHold({.containers = 3}, {.containers = 1}).ok());
  CHECK(lab.MayHold({.gpus = 2}, {.sandboxes = 1, .gpus = 2}).ok());
  CHECK(lab.MayHold({.gpus = 2}, {.gpus = 3}).message().find("asks for 3 more") !=
        std::string::npos);
  CHECK_FALSE(lab.MayHold({.sessions = 5}, {.sessions = 1}).ok());
  // A quota that has shrunk refuses what is more of it, nothing else.
  CHECK(lab.MayHold({.sandboxes = 1, .containers = 9, .gpus = 9}, {.sandboxes = 1}).ok());
}

TEST_CASE("Requests above the rate of the account wait their turn; others' do not") {
  auth::Quota quota = Quota("slow");
  quota.requests_per_second = 2;
  QuotaLab lab(quota);
  int taken = 0;
  while (taken < 100 && !lab.rules.Throttle(lab.caller, 0)) ++taken;
  // What five seconds bring was saved, and one more may be owed.
  CHECK(taken == 11);
  const auto refused = lab.rules.Throttle(lab.caller, 0);
  REQUIRE(refused);
  CHECK(refused->why.find("the site's quota \"slow\": node \"n1\" may send 2 requests") == 0);
  CHECK(refused->wait == std::chrono::milliseconds(500));
  CHECK_FALSE(lab.rules.Throttle({NodeId("n2"), 1}, 0));
  lab.clock.Advance(refused->wait);
  CHECK_FALSE(lab.rules.Throttle(lab.caller, 0));
  CHECK(lab.rules.Throttle(lab.caller, 0));
}

TEST_CASE("Nodes of one tenant share its rate, and large bodies are paid for afterwards") {
  auth::Quota quota = Quota("bytes");
  quota.bytes_per_second = 1000;
  QuotaLab lab(quota);
  site::TokenClaims claims;
  claims.tenant = "physics";
  const auto token = std::make_shared<const site::TokenClaims>(claims);
  CHECK_FALSE(lab.rules.Throttle({NodeId("n1"), 1, token}, 20'000));
  const auto refused = lab.rules.Throttle({NodeId("n2"), 1, token}, 1);
  REQUIRE(refused);
  CHECK(refused->why.find("tenant \"physics\" may send 1000 bytes a second") != std::string::npos);
  CHECK(refused->wait == std::chrono::seconds(15));
  CHECK_FALSE(lab.rules.Throttle(lab.caller, 1));
}

}  // namespace
}  // namespace interlink::site_policy
