// What a handler's keys allow, and what is refused without them, by name.
#include <catch2/catch.hpp>
#include <filesystem>
#include <functional>

#include "engine/host_path.h"
#include "engine/plan_sandbox.h"
#include "unit/engine/bench.h"

namespace interlink::engine {
namespace {

using Change = std::function<void(Bench&)>;

runtime::v1::Mount& AddMount(Bench& bench, const std::string& host,
                             const std::string& inside = "/m") {
  auto& mount = *bench.config.add_mounts();
  mount.set_host_path(host);
  mount.set_container_path(inside);
  return mount;
}

}  // namespace

TEST_CASE("What a handler's keys do not allow a container is refused by the key's name") {
  const auto [key, ask, allow] = GENERATE(table<std::string, Change, Change>({
      {"AllowPrivileged",
       [](Bench& bench) {
         bench.security().set_privileged(true);
         bench.pod_config.mutable_linux()->mutable_security_context()->set_privileged(true);
       },
       [](Bench& bench) { bench.policy().allow_privileged = true; }},
      {"AllowHostNamespaces",
       [](Bench& bench) {
         bench.security().mutable_namespace_options()->set_pid(runtime::v1::NODE);
       },
       [](Bench& bench) { bench.policy().allow_host_namespaces = true; }},
      {"AllowDevices", [](Bench& bench) { bench.config.add_devices()->set_host_path("/dev/null"); },
       [](Bench& bench) { bench.policy().allow_devices = true; }},
      {"AllowedHostPaths", [](Bench& bench) { AddMount(bench, bench.At("shared")); },
       [](Bench& bench) { bench.policy().allowed_host_paths = {bench.At("shared")}; }},
  }));
  Bench bench;
  ask(bench);

  const Status refused = bench.Check();

  CHECK(refused.code() == Code::kPermissionDenied);
  CHECK_THAT(refused.message(), Catch::Contains(key));
  allow(bench);
  CHECK(bench.Check().ToString() == "OK");
}

TEST_CASE("What a handler's keys do not allow a sandbox is refused by the key's name") {
  const auto [key, ask] = GENERATE(table<
                                   std::string,
                                   std::function<void(runtime::v1::LinuxSandboxSecurityContext&)>>({
      {"AllowPrivileged", [](auto& security) { security.set_privileged(true); }},
      {"AllowHostNamespaces",
       [](auto&
              security) { security.mutable_namespace_options()->set_network(runtime::v1::NODE); }},
      {"AllowHostNamespaces",
       [](auto& security) { security.mutable_namespace_options()->set_pid(runtime::v1::NODE); }},
      {"AllowHostNamespaces",
       [](auto& security) { security.mutable_namespace_options()->set_ipc(runtime::v1::NODE); }},
  }));
  EngineOptions options;
  runtime::v1::PodSandboxConfig config;
  ask(*config.mutable_linux()->mutable_security_context());

  const auto refused = PlanSandbox(options, {MintSandboxId(), NodeId("n"), "local", config});

  CHECK(refused.status().code() == Code::kPermissionDenied);
  CHECK_THAT(refused.status().message(), Catch::Contains(key));
  options.policies["other"] = {{}, true, true, true};
  CHECK_FALSE(PlanSandbox(options, {MintSandboxId(), NodeId("n"), "local", config}).ok());
  options.policies["local"] = {{}, true, true, true};
  CHECK(PlanSandbox(options, {MintSandboxId(), NodeId("n"), "local", config}).ok());
}

TEST_CASE("A host path counts by where it leads") {
  const test::TemporaryFolder folder;
  namespace fs = std::filesystem;
  for (const char* name : {"allowed/inside", "allowed-not", "elsewhere"}) {
    fs::create_directories(folder.File(name));
  }
  fs::create_symlink(folder.File("elsewhere"), folder.File("allowed/out"));
  fs::create_symlink(folder.File("allowed/inside"), folder.File("elsewhere/in"));
  fs::create_symlink(folder.File("nothing"), folder.File("allowed/dangling"));
  const auto [path, code] = GENERATE(table<std::string, Code>({
      {"allowed", Code::kOk},
      {"allowed/", Code::kOk},
      {"allowed/inside", Code::kOk},
      {"allowed/new/deep", Code::kOk},
      {"elsewhere/in", Code::kOk},
      {"elsewhere/../allowed", Code::kOk},
      {"allowed-not", Code::kPermissionDenied},
      {"allowed/..", Code::kPermissionDenied},
      {"allowed/../elsewhere", Code::kPermissionDenied},
      {"allowed/out", Code::kPermissionDenied},
      {"allowed/out/new", Code::kPermissionDenied},
      {"allowed/new/../../elsewhere", Code::kInvalidArgument},
      {"allowed/dangling", Code::kInvalidArgument},
      {"allowed/dangling/new", Code::kInvalidArgument},
  }));
  INFO(path);

  const auto answer = AllowedHostPath(folder.File(path), {folder.File("allowed")});

  CHECK(answer.status().code() == code);
}

// The runtime resolved the path again, after the check: a link that came in between led anywhere.
TEST_CASE("A checked host path that becomes a link is not opened") {
  const test::TemporaryFolder folder;
  std::filesystem::create_directories(folder.File("elsewhere/deep"));
  std::filesystem::create_directories(folder.File("allowed/deep"));
  REQUIRE(OpenResolved(folder.File("allowed/deep")).ok());
  std::filesystem::rename(folder.File("allowed"), folder.File("away"));
  std::filesystem::create_symlink(folder.File("elsewhere"), folder.File("allowed"));

  CHECK(OpenResolved(folder.File("allowed/deep")).status().code() == Code::kUnavailable);
  CHECK_FALSE(OpenResolved(folder.File("allowed")).ok());
}

TEST_CASE("Nothing is allowed where no path is") {
  CHECK(AllowedHostPath("/etc", {}).status().code() == Code::kPermissionDenied);
  CHECK(AllowedHostPath("etc", {"/"}).status().code() == Code::kInvalidArgument);
  CHECK(AllowedHostPath("/etc", {"/"}).ok());
}

TEST_CASE("kubelet's folder of the pod is allowed on kubelet's own machine only") {
  Bench bench;
  bench.options.kubelet_folder = bench.At("kubelet");
  bench.pod_config.mutable_metadata()->set_uid("uid-1");
  std::filesystem::create_directories(bench.At("kubelet/pods/uid-1/volumes"));
  AddMount(bench, bench.At("kubelet/pods/uid-1/volumes"));
  CHECK(bench.Check().code() == Code::kPermissionDenied);

  bench.options.kubelet_host = true;

  CHECK(bench.Check().ok());
  bench.pod_config.mutable_metadata()->set_uid("..");
  CHECK(bench.Check().code() == Code::kPermissionDenied);
}

TEST_CASE("Fields that are not honoured are refused by their name") {
  const auto [word, ask] = GENERATE(table<std::string, Change>({
      {"seccomp.localhost_ref",
       [](Bench& bench) {
         bench.security().mutable_seccomp()->set_profile_type(
             runtime::v1::SecurityProfile::Localhost);
       }},
      {"namespace_options.pid",
       [](Bench& bench) {
         bench.security().mutable_namespace_options()->set_pid(runtime::v1::TARGET);
       }},
      {"namespace_options.ipc",
       [](Bench& bench) {
         bench.security().mutable_namespace_options()->set_ipc(runtime::v1::TARGET);
       }},
      {"namespace_options.network",
       [](Bench& bench) {
         bench.security().mutable_namespace_options()->set_network(runtime::v1::CONTAINER);
       }},
      {"CDI_devices", [](Bench& bench) { bench.config.add_cdi_devices()->set_name("a/b=c"); }},
      {"memory_swap_limit_in_bytes",
       [](Bench& bench) {
         auto& limits = *bench.config.mutable_linux()->mutable_resources();
         limits.set_memory_limit_in_bytes(1000);
         limits.set_memory_swap_limit_in_bytes(2000);
       }},
  }));
  Bench bench;
  bench.policy() = {{"/"}, true, true, true};
  ask(bench);

  const Status refused = bench.Check();

  CHECK_FALSE(refused.ok());
  CHECK_THAT(refused.message(), Catch::Contains(word));
}

TEST_CASE("A swap limit that means no swap needs no accounting") {
  Bench bench;
  auto& limits = *bench.config.mutable_linux()->mutable_resources();
  limits.set_memory_limit_in_bytes(1000);
  limits.set_memory_swap_limit_in_bytes(1000);
  CHECK(bench.Check().ok());
}

}  // namespace interlink::engine
