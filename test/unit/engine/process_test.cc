// Who runs what in a container: command, environment, user, signals, seccomp.
#include <catch2/catch.hpp>

#include "engine/cni_config.h"
#include "engine/command.h"
#include "engine/users.h"
#include "unit/engine/bench.h"

namespace interlink::engine {
namespace {

using nlohmann::json;
using Words = std::vector<std::string>;

constexpr const char* kPasswd = "root:x:0:0::/root:/bin/sh\nalice:x:1000:100::/:/bin/sh\n";
constexpr const char* kGroup = "root:x:0:\nusers:x:100:\nextra:x:500:bob,alice\n";

}  // namespace

TEST_CASE("Command and args replace the image's as Kubernetes says") {
  const auto [command, args, merged] = GENERATE(table<Words, Words, Words>({
      {{}, {}, {"entry", "cmd"}},
      {{}, {"a"}, {"entry", "a"}},
      {{"c"}, {}, {"c"}},
      {{"c"}, {"a"}, {"c", "a"}},
  }));
  sdk::ImageConfig image;
  image.entrypoint = {"entry"};
  image.cmd = {"cmd"};

  const auto found = MergeCommand(image, command, args);

  REQUIRE(found.ok());
  CHECK(*found == merged);
}

TEST_CASE("A container without any command is refused") {
  CHECK(MergeCommand({}, {}, {}).status().code() == Code::kInvalidArgument);
  CHECK(MergeCommand({}, {std::string("a\0b", 3)}, {}).status().code() == Code::kInvalidArgument);
}

TEST_CASE("The pod's environment goes over the image's") {
  EnvironmentRequest request;
  request.image = {"PATH=/image", "A=image", "B=image"};
  request.pod = {{"A", "pod"}, {"HOSTNAME", "mine"}};
  request.hostname = "host";

  const auto merged = MergeEnvironment(request);

  REQUIRE(merged.ok());
  CHECK(*merged == Words{"PATH=/image", "A=pod", "B=image", "HOSTNAME=mine"});
  request.pod = {{"A=B", "x"}};
  CHECK(MergeEnvironment(request).status().code() == Code::kInvalidArgument);
}

TEST_CASE("The image's stop signal counts unless the pod names one") {
  Bench bench;
  bench.image.stop_signal = "SIGUSR1";
  REQUIRE(bench.Plan().ok());
  CHECK(bench.record.stop_signal == 10);

  bench.config.set_stop_signal(runtime::v1::SIGNAL_SIGRTMINPLUS3);
  REQUIRE(bench.Plan().ok());
  CHECK(bench.record.stop_signal == 37);
}

TEST_CASE("A user is found in the image's own files") {
  UserRequest request;
  SECTION("by name") { request.run_as_username = "alice"; }
  SECTION("by number") { request.run_as_user = 1000; }
  SECTION("as the image says") { request.image_user = "alice"; }

  const auto user = ResolveUser(request, kPasswd, kGroup);

  REQUIRE(user.ok());
  CHECK(user->uid == 1000);
  CHECK(user->gid == 100);
  CHECK(user->groups == std::vector<uint32_t>{100, 500});
}

TEST_CASE("Strict groups are those that were asked for") {
  UserRequest request;
  request.run_as_user = 1000;
  request.run_as_group = 7;
  request.supplemental_groups = {8};
  request.strict = true;

  const auto user = ResolveUser(request, kPasswd, kGroup);

  REQUIRE(user.ok());
  CHECK(user->gid == 7);
  CHECK(user->groups == std::vector<uint32_t>{7, 8});
}

TEST_CASE("Merged groups are those that were asked for, then the image's") {
  UserRequest request;
  request.run_as_user = 1000;
  request.run_as_group = 7;
  request.supplemental_groups = {8, 500};

  const auto user = ResolveUser(request, kPasswd, kGroup);

  REQUIRE(user.ok());
  CHECK(user->gid == 7);
  CHECK(user->groups == std::vector<uint32_t>{7, 8, 500});
}

// What a node shows as ContainerStatus.user comes from the record: it must be the process's.
TEST_CASE("The user that is recorded is the one that the process gets") {
  Bench bench;
  const auto policy = GENERATE(runtime::v1::Merge, runtime::v1::Strict);
  REQUIRE(WriteFileAtomically(bench.At("root/etc/passwd"), kPasswd, 0644).ok());
  REQUIRE(WriteFileAtomically(bench.At("root/etc/group"), kGroup, 0644).ok());
  bench.security().mutable_run_as_user()->set_value(1000);
  bench.security().add_supplemental_groups(1234);
  bench.security().set_supplemental_groups_policy(policy);

  const nlohmann::json user = bench.Spec()["process"]["user"];

  CHECK(user["uid"] == bench.record.user.uid);
  CHECK(user["gid"] == bench.record.user.gid);
  CHECK(user["additionalGids"] == bench.record.user.groups);
  const bool merged = policy == runtime::v1::Merge;
  CHECK(bench.record.user.groups ==
        (merged ? std::vector<uint32_t>{100, 1234, 500} : std::vector<uint32_t>{100, 1234}));
}

TEST_CASE("Users that cannot be are refused") {
  UserRequest request;
  SECTION("unknown") { request.run_as_username = "mallory"; }
  SECTION("negative") { request.run_as_user = -1; }
  SECTION("the kernel's no id") { request.run_as_user = 4294967295; }
  SECTION("a group alone") { request.run_as_group = 1; }
  SECTION("an unknown group of the image") { request.image_user = "alice:nobodies"; }

  CHECK(ResolveUser(request, kPasswd, kGroup).status().code() == Code::kInvalidArgument);
}

TEST_CASE("Seccomp filters unless the pod is unconfined") {
  Bench bench;
  CHECK_FALSE(bench.Spec()["linux"].contains("seccomp"));
  bench.security().mutable_seccomp()->set_profile_type(runtime::v1::SecurityProfile::Unconfined);
  CHECK_FALSE(bench.Spec()["linux"].contains("seccomp"));

  bench.security().mutable_seccomp()->set_profile_type(
      runtime::v1::SecurityProfile::RuntimeDefault);

  const json filter = bench.Spec()["linux"]["seccomp"];
  CHECK(filter["defaultAction"] == "SCMP_ACT_ERRNO");
}

TEST_CASE("A privileged container has no filter and nothing masked") {
  Bench bench;
  bench.security().set_privileged(true);
  bench.security().mutable_seccomp()->set_profile_type(
      runtime::v1::SecurityProfile::RuntimeDefault);

  const json spec = bench.Spec();

  CHECK_FALSE(spec["linux"].contains("seccomp"));
  CHECK_FALSE(spec["linux"].contains("maskedPaths"));
}

// "/data/" of the image and "/data" of the pod were two mounts, and the image's was on top.
TEST_CASE("A pod's mount replaces the image's volume of that place, however it is spelt") {
  Bench bench;
  bench.policy().allowed_host_paths = {bench.At("shared")};
  bench.image.volumes = {"/data/", "/"};
  bench.security().set_readonly_rootfs(true);
  auto& mount = *bench.config.add_mounts();
  mount.set_host_path(bench.At("shared"));
  mount.set_container_path("/data");

  const json spec = bench.Spec();

  Words sources;
  for (const json& item : spec["mounts"]) {
    const std::string destination = item["destination"];
    CHECK(destination != "/");
    if (destination.rfind("/data", 0) == 0) sources.push_back(item["source"]);
  }
  REQUIRE(bench.host_mounts.size() == 1);
  CHECK(sources == Words{bench.host_mounts.front().place});
}

TEST_CASE("Users files of an image that are no plain files are refused unopened") {
  Bench bench;
  REQUIRE(mkfifo(bench.At("root/etc/passwd").c_str(), 0600) == 0);

  const auto planned = bench.Plan();

  CHECK(planned.status().code() == Code::kInvalidArgument);
  CHECK_THAT(planned.status().message(), Catch::Contains("/etc/passwd"));
}

TEST_CASE("Host ports collide on one address, and where one is taken on all") {
  const HostPort any{80, 1, "tcp", ""};
  const HostPort one{80, 2, "tcp", "10.0.0.1"};
  CHECK(Collide(any, one));
  CHECK(Collide(one, {80, 3, "tcp", "0.0.0.0"}));
  CHECK(Collide(one, one));
  CHECK_FALSE(Collide(one, {80, 2, "tcp", "10.0.0.2"}));
  CHECK_FALSE(Collide(any, {80, 1, "udp", ""}));
  CHECK_FALSE(Collide(any, {81, 1, "tcp", ""}));
}

}  // namespace interlink::engine
