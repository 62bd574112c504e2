// User namespaces: what is asked for, and what a container's config says then.
#include "engine/user_namespace.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <functional>

#include "contract/config_text.h"
#include "engine/engine.h"
#include "engine/plan_sandbox.h"
#include "unit/engine/bench.h"

namespace interlink::engine {
namespace {

using nlohmann::json;

constexpr const char* kRange =
    "uids { host_id: 1000 length: 100000 } gids { host_id: 1000 length: 100000 }";

runtime::v1::NamespaceOption Options(const std::string& userns) {
  return contract::FromText<runtime::v1::NamespaceOption>("userns_options { " + userns + " }");
}

}  // namespace

TEST_CASE("A user namespace is one range of ids from 0 on, for users and groups") {
  const auto pod = UserNamespaceOf(Options(kRange));
  REQUIRE(pod.ok());
  CHECK(*pod == IdRange{1000, 100000});
  CHECK(pod->Outside(33) == 1033);
  CHECK(pod->Has(99999));
  CHECK_FALSE(pod->Has(100000));

  const auto none = UserNamespaceOf(Options("mode: NODE"));
  REQUIRE(none.ok());
  CHECK(none->empty());
  CHECK(none->Has(4294967294));
  CHECK(UserNamespaceOf({}).value_or(IdRange{1, 1}).empty());
}

TEST_CASE("What is no user namespace of a pod is refused by the field's name") {
  const auto [text, word] = GENERATE(table<std::string, std::string>({
      {"", "userns_options.uids has 0 mappings"},
      {"uids { length: 5 }", "userns_options.gids has 0 mappings"},
      {"uids { length: 5 } uids { container_id: 5 length: 5 } gids { length: 5 }", "2 mappings"},
      {"uids { container_id: 1 length: 5 } gids { length: 5 }", "does not map the id 0"},
      {"uids { length: 5 } gids { container_id: 1 length: 5 }", "userns_options.gids"},
      {"uids { length: 5 } gids { length: 6 }", "the same mapping"},
      {"uids { host_id: 1 length: 5 } gids { length: 5 }", "the same mapping"},
      {"uids { length: 0 } gids { length: 0 }", "not a range"},
      {"uids { host_id: 4294967295 length: 1 } gids { length: 1 }", "not a range"},
      {"uids { host_id: 2 length: 4294967294 } gids { length: 1 }", "not a range"},
      {std::string("mode: NODE ") + kRange, "mode NODE"},
      {std::string("mode: CONTAINER ") + kRange, "mode must be POD or NODE"},
      {std::string("mode: TARGET ") + kRange, "mode must be POD or NODE"},
  }));
  INFO(text);

  const auto answer = UserNamespaceOf(Options(text));

  CHECK(answer.status().code() == Code::kInvalidArgument);
  CHECK_THAT(answer.status().message(), Catch::Contains(word));
}

TEST_CASE("User namespaces are announced and taken only where the machine has them") {
  const bool has = GENERATE(false, true);
  EngineOptions options;
  options.handlers = {"local"};

  const sdk::Description described = DescribeEngine(options, {.user_namespaces = has});

  CHECK(described.handlers.at(0).user_namespaces == has);
  const std::string field = "linux.security_context.namespace_options.userns_options";
  for (const auto* lists : {&described.sandbox, &described.container}) {
    const auto lists_it = [&](const std::string& name) {
      return std::count(lists->honoured.begin(), lists->honoured.end(), name) == 1;
    };
    CHECK(lists_it(field) == has);
    CHECK(lists_it(field + ".mode") == !has);
  }
  const auto& honoured = described.container.honoured;
  CHECK((std::count(honoured.begin(), honoured.end(), "mounts.uidMappings") == 1) == has);
}

TEST_CASE("A sandbox with a user namespace keeps to what it can own") {
  EngineOptions options;
  options.policies["local"] = {{}, true, true, true};
  const auto plan = [&](const std::string& text) {
    runtime::v1::PodSandboxConfig config;
    auto& security = *config.mutable_linux()->mutable_security_context();
    *security.mutable_namespace_options() = contract::FromText<runtime::v1::NamespaceOption>(
        text + " userns_options { " + kRange + " }");
    return PlanSandbox(options, {MintSandboxId(), NodeId("n"), "local", config});
  };
  for (const char* kind : {"network", "pid", "ipc"}) {
    const auto refused = plan(kind + std::string(": NODE"));
    CHECK(refused.status().code() == Code::kInvalidArgument);
    CHECK_THAT(refused.status().message(),
               Catch::Contains(kind) && Catch::Contains("userns_options"));
  }
  const auto planned = plan("");
  REQUIRE(planned.ok());
  CHECK(planned->users == IdRange{1000, 100000});
  const test::TemporaryFolder folder;
  const PodFolder files(folder.path());
  REQUIRE(Save(files, *planned).ok());
  const auto loaded = LoadPod(files);
  REQUIRE(loaded.ok());
  CHECK(loaded->users == planned->users);
}

TEST_CASE("A container of a pod with a user namespace is made in it") {
  Bench bench;
  bench.pod.users = {1000, 100000};
  bench.policy().allowed_host_paths = {bench.At("shared")};
  auto& mount = *bench.config.add_mounts();
  mount.set_container_path("/m");
  mount.set_host_path(bench.At("shared"));
  for (auto* mapping : {mount.add_uidmappings(), mount.add_gidmappings()}) {
    mapping->set_host_id(1000);
    mapping->set_length(100000);
  }
  REQUIRE(bench.Check().ToString() == "OK");

  const json spec = bench.Spec();

  const json map = {{{"containerID", 0}, {"hostID", 1000}, {"size", 100000}}};
  CHECK(spec["linux"]["uidMappings"] == map);
  CHECK(spec["linux"]["gidMappings"] == map);
  CHECK(spec["root"]["path"] == "rootfs");
  const json user = {{"type", "user"}, {"path", bench.pod_folder.Namespace("user")}};
  const json& namespaces = spec["linux"]["namespaces"];
  CHECK(std::find(namespaces.begin(), namespaces.end(), user) != namespaces.end());
  REQUIRE(bench.host_mounts.size() == 1);
  CHECK(bench.host_mounts[0].user_namespace == bench.pod_folder.Namespace("user"));

  mount.clear_uidmappings();
  mount.clear_gidmappings();
  REQUIRE(bench.Plan().ok());
  CHECK(bench.host_mounts[0].user_namespace.empty());
}

TEST_CASE("A terminal's group is left out where the pod has too few ids") {
  Bench bench;
  bench.pod.users = {1000, GENERATE(5U, 6U)};
  const std::string text = bench.Spec()["mounts"].dump();
  CHECK((text.find("gid=5") != std::string::npos) == (bench.pod.users.length > 5));
}

TEST_CASE("What a container asks for beside its pod's user namespace is refused by name") {
  const auto [word, range, ask] = GENERATE(
      table<std::string, uint32_t, std::function<void(Bench&)>>({
          {"differ from those of the pod", 0U,
           [](Bench& bench) {
             *bench.security().mutable_namespace_options() = Options(kRange);
           }},
          {"differ from those of the pod", 5U,
           [](Bench& bench) {
             *bench.security().mutable_namespace_options() = Options(kRange);
           }},
          {"differ from those of the pod", 5U,
           [](Bench& bench) {
             *bench.security().mutable_namespace_options() = Options("mode: NODE");
           }},
          {"pid NODE cannot be had", 5U,
           [](Bench& bench) {
             bench.security().mutable_namespace_options()->set_pid(runtime::v1::NODE);
           }},
          {"gidMappings", 5U,
           [](Bench& bench) {
             auto& mount = *bench.config.add_mounts();
             mount.set_container_path("/m");
             mount.set_host_path("/");
             mount.add_uidmappings()->set_length(5);
           }},
          {"need each other", 0U,
           [](Bench& bench) {
             bench.security().mutable_namespace_options()->set_pid(runtime::v1::TARGET);
           }},
          {"need each other", 0U,
           [](Bench& bench) {
             bench.security().mutable_namespace_options()->set_target_id("x");
           }},
      }));
  Bench bench;
  bench.policy() = {{"/"}, true, true, true};
  bench.pod.users = {0, range};
  ask(bench);

  const Status refused = bench.Check();

  CHECK(refused.code() == Code::kInvalidArgument);
  CHECK_THAT(refused.message(), Catch::Contains(word));
}

TEST_CASE("A user that the pod's user namespace does not have is refused") {
  Bench bench;
  bench.pod.users = {100000, 1000};
  SECTION("by number") { bench.security().mutable_run_as_user()->set_value(1000); }
  SECTION("as a group") { bench.security().add_supplemental_groups(1000); }

  const auto planned = bench.Plan();

  CHECK(planned.status().code() == Code::kInvalidArgument);
  CHECK_THAT(planned.status().message(), Catch::Contains("1000 ids"));
}

TEST_CASE("The ids that a namespace has are counted from 0 on, up to the first gap") {
  const auto [map, ids] = GENERATE(table<std::string, uint32_t>({
      {"         0       1000          1\n", 1},
      {"         0          0 4294967295\n", 4294967295},
      {"1 100000 65535\n0 1000 1\n", 65536},
      {"0 1000 1\n5 100000 10\n", 1},
      {"5 1000 1\n", 0},
      {"", 0},
  }));
  INFO(map);

  CHECK(CountIds(map) == ids);
}

}  // namespace interlink::engine
