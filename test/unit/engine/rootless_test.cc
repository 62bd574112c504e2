// An engine without root: what one id can have, and what a container's config says then.
#include <algorithm>
#include <catch2/catch.hpp>

#include "contract/config_text.h"
#include "engine/engine.h"
#include "engine/plan_sandbox.h"
#include "interlink/v1/volume.pb.h"
#include "unit/engine/bench.h"

namespace interlink::engine {
namespace {

using nlohmann::json;

struct RootlessBench : Bench {
  RootlessBench() {
    options.rootless = true;
    pod.own_network = false;
    security().mutable_namespace_options()->set_pid(runtime::v1::CONTAINER);
  }
};

Result<PodRecord> PlanPod(const std::string& text) {
  EngineOptions options;
  options.handlers = {"local"};
  options.rootless = true;
  auto config = contract::FromText<runtime::v1::PodSandboxConfig>(text);
  auto& security = *config.mutable_linux()->mutable_security_context();
  if (text.find("pid:") == std::string::npos) {
    security.mutable_namespace_options()->set_pid(runtime::v1::CONTAINER);
  }
  return PlanSandbox(options, {MintSandboxId(), NodeId("node"), "local", config});
}

json MountAt(const json& spec, const std::string& destination) {
  for (const json& mount : spec["mounts"]) {
    if (mount["destination"] == destination) return mount;
  }
  return {};
}

}  // namespace

TEST_CASE("Without root the only mapped id is the one that the container asked for") {
  RootlessBench bench;
  bench.security().mutable_run_as_user()->set_value(1000);
  bench.security().mutable_run_as_group()->set_value(2000);

  const json spec = bench.Spec();

  const auto only = [](int id) {
    return json::array({{{"containerID", id}, {"hostID", 0}, {"size", 1}}});
  };
  CHECK(spec["linux"]["uidMappings"] == only(1000));
  CHECK(spec["linux"]["gidMappings"] == only(2000));
  CHECK(spec["process"]["user"]["uid"] == 1000);
  CHECK(spec["process"]["user"]["additionalGids"].empty());
  const json& namespaces = spec["linux"]["namespaces"];
  CHECK(std::count(namespaces.begin(), namespaces.end(), json{{"type", "user"}}) == 1);
  CHECK(bench.record.user.groups == std::vector<uint32_t>{2000});
}

TEST_CASE("Where root's agent has all ids each container has them, under their own numbers") {
  RootlessBench bench;
  bench.own_ids = 4294967295;
  bench.security().mutable_run_as_user()->set_value(1000);
  bench.security().mutable_run_as_group()->set_value(2000);
  bench.security().add_supplemental_groups(3000);

  const json spec = bench.Spec();

  const json all = json::array({{{"containerID", 0}, {"hostID", 0}, {"size", 4294967295}}});
  CHECK(spec["linux"]["uidMappings"] == all);
  CHECK(spec["linux"]["gidMappings"] == all);
  CHECK(spec["process"]["user"]["uid"] == 1000);
  CHECK(spec["process"]["user"]["additionalGids"] == json::array({2000, 3000}));
  CHECK_FALSE(spec["linux"].contains("cgroupsPath"));
  bench.own_ids = 1001;
  CHECK(bench.Plan().status().code() == Code::kInvalidArgument);
}

TEST_CASE("Without root a container has no cgroup, and the machine's /sys") {
  RootlessBench bench;
  bench.config.mutable_linux()->mutable_resources()->set_memory_limit_in_bytes(1 << 20);

  const json spec = bench.Spec();

  CHECK_FALSE(spec["linux"].contains("cgroupsPath"));
  CHECK_FALSE(spec["linux"].contains("resources"));
  CHECK(MountAt(spec, "/sys/fs/cgroup").is_null());
  CHECK(MountAt(spec, "/dev/mqueue").is_null());
  CHECK(MountAt(spec, "/sys")["type"] == "bind");
  const json terminals = MountAt(spec, "/dev/pts")["options"];
  CHECK(std::count(terminals.begin(), terminals.end(), "gid=5") == 0);
}

TEST_CASE("A container that asks for more than the allocation is refused by the field's name") {
  RootlessBench bench;
  bench.options.allocation_memory_bytes = 1 << 30;
  bench.options.allocation_cpus = 2;
  auto& resources = *bench.config.mutable_linux()->mutable_resources();
  resources.set_cpu_period(100'000);
  resources.set_cpu_quota(200'000);
  resources.set_memory_limit_in_bytes(1 << 30);
  CHECK(bench.Check().ok());
  std::string field;
  SECTION("memory") {
    resources.set_memory_limit_in_bytes((1 << 30) + 1);
    field = "linux.resources.memory_limit_in_bytes is 1073741825";
  }
  SECTION("cpu") {
    resources.set_cpu_quota(200'001);
    field = "linux.resources.cpu_quota is 200001";
  }

  const Status refused = bench.Check();

  CHECK(refused.code() == Code::kInvalidArgument);
  CHECK_THAT(refused.message(), Catch::StartsWith(field));
  bench.options.allocation_memory_bytes = 0;
  bench.options.allocation_cpus = 0;
  CHECK(bench.Check().ok());
}

TEST_CASE("With root nothing of that is so") {
  Bench bench;

  const json spec = bench.Spec();

  CHECK(spec["linux"].contains("cgroupsPath"));
  CHECK_FALSE(spec["linux"].contains("uidMappings"));
  CHECK(MountAt(spec, "/sys")["type"] == "sysfs");
  CHECK(MountAt(spec, "/dev/mqueue")["type"] == "mqueue");
}

TEST_CASE("Without root a group beside the container's own is refused by its number") {
  RootlessBench bench;
  bench.security().mutable_run_as_user()->set_value(1000);
  bench.security().mutable_run_as_group()->set_value(2000);
  bench.security().add_supplemental_groups(2000);
  REQUIRE(bench.Plan().ok());
  bench.security().add_supplemental_groups(3000);

  const auto refused = bench.Plan();

  CHECK(refused.status().code() == Code::kUnimplemented);
  CHECK_THAT(refused.status().message(),
             Catch::Contains("supplemental_groups") && Catch::Contains("3000"));
}

TEST_CASE("Without root the group of a pod's volumes is not missed: they are the container's own") {
  RootlessBench bench;
  bench.security().mutable_run_as_user()->set_value(1000);
  bench.security().add_supplemental_groups(5000);
  const bool folder = GENERATE(true, false);
  auto volume = std::make_shared<interlink::v1::MountContent>();
  if (folder) {
    volume->mutable_pod_folder()->set_gid(5000);
  } else {
    volume->mutable_snapshot()->add_entries()->set_gid(5000);
  }
  bench.contents["/k/volume"] = volume;

  REQUIRE(bench.Plan().ok());
  CHECK(bench.record.user.groups == std::vector<uint32_t>{0});

  bench.security().add_supplemental_groups(5001);
  CHECK_THAT(bench.Plan().status().message(), Catch::Contains("5001"));
  bench.security().clear_supplemental_groups();
  bench.security().add_supplemental_groups(0);
  bench.security().mutable_run_as_group()->set_value(7);
  auto of_root = std::make_shared<interlink::v1::MountContent>();
  of_root->mutable_pod_folder()->set_gid(0);
  bench.contents["/k/other"] = of_root;
  CHECK_FALSE(bench.Plan().ok());
}

TEST_CASE("Without root a container sees the proc of the pid namespace that it joins") {
  RootlessBench bench;
  bench.security().mutable_namespace_options()->set_pid(runtime::v1::POD);
  REQUIRE(bench.Check().ok());
  REQUIRE(MountAt(bench.Spec(), "/proc")["type"] == "proc");
  bench.proc = "/state/ns/proc";

  const json proc = MountAt(bench.Spec(), "/proc");

  CHECK(proc["type"] == "bind");
  CHECK(proc["source"] == "/state/ns/proc");
}

TEST_CASE("Without root a container joins no other pid namespace than its pod's") {
  RootlessBench bench;
  auto& options = *bench.security().mutable_namespace_options();
  options.set_pid(GENERATE(runtime::v1::NODE, runtime::v1::TARGET));
  if (options.pid() == runtime::v1::TARGET) options.set_target_id(std::string(64, 'a'));
  bench.policy().allow_host_namespaces = true;

  const Status refused = bench.Check();

  CHECK(refused.code() == Code::kUnimplemented);
  CHECK_THAT(refused.message(), Catch::Contains("namespace_options.pid"));
}

TEST_CASE("Without root a pod has the machine's network, and its ports are what they are") {
  const auto pod = PlanPod(
      "port_mappings { container_port: 80 } "
      "port_mappings { container_port: 81 host_port: 81 }");

  REQUIRE(pod.ok());
  CHECK_FALSE(pod->own_network);
  CHECK(pod->own_ipc);
  CHECK(PlanPod("linux { security_context { namespace_options { network: NODE } } }").ok());
}

TEST_CASE("Without root a pod shares a pid namespace when it asks for one") {
  const auto pod = PlanPod("linux { security_context { namespace_options { pid: POD } } }");

  REQUIRE(pod.ok());
  CHECK(pod->shared_pid);
}

TEST_CASE("What a pod without root cannot have is refused by the field's name") {
  const auto [text, word] = GENERATE(table<std::string, std::string>({
      {"port_mappings { container_port: 80 host_port: 8080 }", "8080"},
      {"linux { security_context { namespace_options { pid: NODE } } }", "namespace_options.pid"},
      {"linux { security_context { namespace_options { userns_options { mode: POD "
       "uids { length: 5 } gids { length: 5 } } } } }",
       "userns_options"},
  }));
  INFO(text);

  const auto refused = PlanPod(text);

  CHECK(refused.status().code() == Code::kUnimplemented);
  CHECK_THAT(refused.status().message(), Catch::Contains(word));
}

TEST_CASE("Without root limits are the allocation's, and so they are described") {
  EngineOptions options;
  options.handlers = {"local"};
  options.rootless = GENERATE(false, true);

  const sdk::Description described = DescribeEngine(options, {});

  const auto has = [](const std::vector<std::string>& fields) {
    return std::count(fields.begin(), fields.end(), "linux.resources") == 1;
  };
  CHECK(has(described.container.bounded) == options.rootless);
  CHECK(has(described.container.honoured) == !options.rootless);
}

}  // namespace interlink::engine
