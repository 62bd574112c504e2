// What a mount may ask for, and what the runtime is told.
#include "engine/mount_rules.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "unit/engine/bench.h"

namespace interlink::engine {
namespace {

using runtime::v1::Mount;
using runtime::v1::MountPropagation;
using runtime::v1::PROPAGATION_BIDIRECTIONAL;
using runtime::v1::PROPAGATION_HOST_TO_CONTAINER;
using runtime::v1::PROPAGATION_PRIVATE;

using Asked = std::vector<MountPropagation>;

Mount Bind(MountPropagation propagation, bool readonly = false, bool recursive = false) {
  Mount mount;
  mount.set_container_path("/m");
  mount.set_host_path("/h");
  mount.set_propagation(propagation);
  mount.set_readonly(readonly);
  mount.set_recursive_read_only(recursive);
  return mount;
}

}  // namespace

TEST_CASE("Fields of a mount that contradict each other are refused by their names") {
  const auto [mount, privileged, word] = GENERATE(table<Mount, bool, std::string>({
      {Bind(PROPAGATION_PRIVATE), false, ""},
      {Bind(PROPAGATION_HOST_TO_CONTAINER), false, ""},
      {Bind(PROPAGATION_BIDIRECTIONAL), true, ""},
      {Bind(PROPAGATION_BIDIRECTIONAL), false, "needs a privileged container"},
      {Bind(PROPAGATION_BIDIRECTIONAL, true), true, ""},
      {Bind(PROPAGATION_PRIVATE, true, true), false, ""},
      {Bind(PROPAGATION_PRIVATE, false, true), false, "recursive_read_only needs readonly"},
      {Bind(PROPAGATION_HOST_TO_CONTAINER, true, true), false,
       "recursive_read_only needs PROPAGATION_PRIVATE"},
      {Bind(PROPAGATION_BIDIRECTIONAL, true, true), true,
       "recursive_read_only needs PROPAGATION_PRIVATE"},
  }));

  const Status status = CheckMountRules(mount, privileged);

  CHECK(status.code() == (word.empty() ? Code::kOk : Code::kInvalidArgument));
  CHECK_THAT(status.message(), Catch::Contains(word));
}

TEST_CASE("A mount without a source, or with a part of another kind, is refused") {
  Mount mount;
  mount.set_container_path("/m");
  mount.mutable_image();
  CHECK_THAT(CheckMountRules(mount, true).message(),
             Catch::Contains("neither host_path nor image is set"));
  mount.set_host_path("/h");
  CHECK(CheckMountRules(mount, true).ok());
  mount.set_image_sub_path("s");
  const Status refused = CheckMountRules(mount, true);
  CHECK(refused.code() == Code::kInvalidArgument);
  CHECK_THAT(refused.message(), Catch::Contains("image_sub_path is set without image"));
}

TEST_CASE("A mount's propagation becomes its options") {
  using Options = std::vector<std::string>;
  CHECK(BindOptions(Bind(PROPAGATION_PRIVATE)) == Options{"rbind", "rprivate", "rw"});
  CHECK(BindOptions(Bind(PROPAGATION_PRIVATE, true)) == Options{"rbind", "rprivate", "ro"});
  CHECK(BindOptions(Bind(PROPAGATION_HOST_TO_CONTAINER)) == Options{"rbind", "rslave", "rw"});
  CHECK(BindOptions(Bind(PROPAGATION_BIDIRECTIONAL, true)) == Options{"rbind", "rshared", "ro"});
}

// With the runtime's own choice, private, no mount of the container could be a peer or a slave.
TEST_CASE("The root's propagation follows the most connected mount") {
  const auto [asked, expected] = GENERATE(table<Asked, std::string>({
      {Asked{}, ""},
      {Asked{PROPAGATION_PRIVATE}, ""},
      {Asked{PROPAGATION_PRIVATE, PROPAGATION_HOST_TO_CONTAINER}, "rslave"},
      {Asked{PROPAGATION_BIDIRECTIONAL, PROPAGATION_HOST_TO_CONTAINER}, "rshared"},
  }));
  runtime::v1::ContainerConfig config;
  for (const MountPropagation propagation : asked) *config.add_mounts() = Bind(propagation);

  CHECK(RootPropagation(config) == expected);
}

TEST_CASE("The config tells the runtime no root propagation where no mount is connected") {
  Bench bench;
  CHECK_FALSE(bench.Spec()["linux"].contains("rootfsPropagation"));
}

TEST_CASE("A mount's neighbours are read from the kernel's table by its number") {
  const std::string table =
      "22 1 254:0 / / rw,relatime - ext4 /dev/root rw\n"
      "136 22 0:40 /a /mnt/x rw,nosuid shared:12 - tmpfs tmpfs rw\n"
      "36 22 0:41 / /mnt/y\\040z rw shared:3 master:12 propagate_from:2 - tmpfs shared:9 rw\n"
      "37 22 0:42 / /mnt/slave rw master:12 - tmpfs none rw\n"
      "x broken\n"
      "38 22 0:43 / /last rw - tmpfs shared:1 rw";

  const auto root = FindMount(table, 22);
  const auto shared = FindMount(table, 136);
  const auto both = FindMount(table, 36);
  const auto slave = FindMount(table, 37);
  const auto last = FindMount(table, 38);

  REQUIRE((root && shared && both && slave && last));
  CHECK((!root->shared && !root->slave && root->mount_point == "/"));
  CHECK((shared->shared && !shared->slave && shared->mount_point == "/mnt/x"));
  CHECK((both->shared && both->slave && both->mount_point == "/mnt/y\\040z"));
  CHECK((!slave->shared && slave->slave));
  CHECK((!last->shared && !last->slave));
  CHECK_FALSE(FindMount(table, 13));
  CHECK_FALSE(FindMount("", 22));
}

TEST_CASE("A recursive read-only mount needs a kernel that can make one") {
  Bench bench;
  bench.policy().allowed_host_paths = {bench.At("shared")};
  auto& mount = *bench.config.add_mounts();
  mount.set_container_path("/m");
  mount.set_host_path(bench.At("shared"));
  mount.set_readonly(true);
  mount.set_recursive_read_only(true);
  CHECK(bench.Check().ToString() == "OK");
  REQUIRE(bench.Plan().ok());
  REQUIRE(bench.host_mounts.size() == 1);
  CHECK(bench.host_mounts[0].read_only);

  bench.recursive_read_only = false;

  // The word that kubelet looks for stands first.
  CHECK(bench.Check().message().rfind("RROUnsupported", 0) == 0);
  CHECK(bench.Check().code() == Code::kUnimplemented);
  mount.set_recursive_read_only(false);
  CHECK(bench.Check().ok());
}

TEST_CASE("Each handler tells whether this machine has recursive read-only mounts") {
  EngineOptions options;
  options.handlers = {"a", "b"};
  for (const bool has : {false, true}) {
    const auto description = DescribeEngine(options, {.recursive_read_only = has});
    REQUIRE(description.handlers.size() == 2);
    for (const auto& handler : description.handlers) {
      CHECK(handler.recursive_read_only_mounts == has);
    }
  }
}

}  // namespace interlink::engine
