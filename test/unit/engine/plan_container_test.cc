#include <algorithm>
#include <catch2/catch.hpp>

#include "unit/engine/bench.h"

namespace interlink::engine {
namespace {

using nlohmann::json;

bool Contains(const json& list, const std::string& word) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

unsigned FolderMode(const std::string& path) {
  struct stat about {};
  return stat(path.c_str(), &about) == 0 ? about.st_mode & 07777U : 0;
}

class Umask {
 public:
  explicit Umask(mode_t mask) : before_(umask(mask)) {}
  ~Umask() { umask(before_); }

 private:
  const mode_t before_;
};

}  // namespace

// Our own unit has UMask=0077: a container whose user was not root could not enter its volume.
TEST_CASE("A host folder that is made for a mount can be entered, whatever our umask is") {
  Bench bench;
  bench.policy().allowed_host_paths = {bench.At("shared")};
  auto& mount = *bench.config.add_mounts();
  mount.set_container_path("/m");
  mount.set_host_path(bench.At("shared/one/two"));
  const Umask strict(0077);

  CHECK(bench.Plan().status().ToString() == "OK");

  CHECK(FolderMode(bench.At("shared/one")) == 0755);
  CHECK(FolderMode(bench.At("shared/one/two")) == 0755);
}

// A pod with readonly_paths ["/x"] had a writable /proc/sys: its own paths came in the place of the
// standard ones, and no key of the site had allowed it.
TEST_CASE("Paths that a container masks come on top of the standard ones") {
  Bench bench;
  bench.security().add_masked_paths("/proc/keys");
  bench.security().add_masked_paths("/secret");
  bench.security().add_readonly_paths("/x");

  const json spec = bench.Spec();

  const json& masked = spec["linux"]["maskedPaths"];
  CHECK(Contains(masked, "/proc/kcore"));
  CHECK(Contains(masked, "/secret"));
  CHECK(std::count(masked.begin(), masked.end(), "/proc/keys") == 1);
  CHECK(Contains(spec["linux"]["readonlyPaths"], "/proc/sys"));
  CHECK(Contains(spec["linux"]["readonlyPaths"], "/x"));
}

TEST_CASE("Where privileged is allowed, a container's own masked paths replace the standard ones") {
  Bench bench;
  bench.policy().allow_privileged = true;
  bench.security().add_masked_paths("/secret");

  const json spec = bench.Spec();

  CHECK(spec["linux"]["maskedPaths"] == json::array({"/secret"}));
  CHECK(Contains(spec["linux"]["readonlyPaths"], "/proc/sys"));
}

// add_capabilities ["SYS_ADMIN"], or ["ALL"], made a container root of the machine, and no key of
// the site had allowed it.
TEST_CASE("Capabilities that reach beyond the pod need AllowPrivileged") {
  Bench bench;
  auto& asked = *bench.security().mutable_capabilities();
  SECTION("by name") { asked.add_add_capabilities("SYS_ADMIN"); }
  SECTION("all") { asked.add_add_capabilities("ALL"); }
  SECTION("ambient") { asked.add_add_ambient_capabilities("CAP_SYS_PTRACE"); }
  SECTION("over the network that is the machine's") {
    bench.pod.own_network = false;
    asked.add_add_capabilities("NET_ADMIN");
  }

  const Status refused = bench.Check();

  CHECK(refused.code() == Code::kPermissionDenied);
  CHECK_THAT(refused.message(), Catch::Contains("CAP_") && Catch::Contains("AllowPrivileged"));
  bench.policy().allow_privileged = true;
  CHECK(bench.Check().ok());
}

TEST_CASE("Capabilities over what is the pod's own need no key") {
  Bench bench;
  auto& asked = *bench.security().mutable_capabilities();
  for (const char* name : {"NET_ADMIN", "NET_BROADCAST", "IPC_LOCK", "CHOWN", "NET_RAW"}) {
    asked.add_add_capabilities(name);
  }
  asked.add_drop_capabilities("ALL");

  CHECK(bench.Check().ToString() == "OK");
  const json spec = bench.Spec();
  CHECK(spec["process"]["capabilities"]["bounding"].size() == 5);
}

}  // namespace interlink::engine
