// What kubelet changes in volumes of which a site on another machine has snapshots
// (docs/adr/0019).
#include "node_lab.h"
#include "support/warnings.h"

namespace interlink::test {
namespace {

const std::string kToken = "/kubelet/pods/uid-a/volumes/kubernetes.io~projected/token";
const std::string kHosts = "/kubelet/pods/uid-a/etc-hosts";

// It outlives the node, which writes to it to its end.
struct WarningsOfNode {
  Warnings warnings;
};

struct RefreshLab : WarningsOfNode, NodeLab {
  RefreshLab() : NodeLab(false) {
    site.SetKubeletHost(false);
    site.SetTakesContents(true);
    told_to = &warnings;
    Restart();  // the first start may have linked before that
    pod = Ready("a");
    volumes.Set(kToken, "0");
    volumes.Set(kHosts, "hosts");
    auto request = Unit(pod, "c");
    for (const std::string& path : {kToken, kHosts}) {
      auto& mount = *request.mutable_config()->add_mounts();
      mount.set_container_path(path);
      mount.set_host_path(path);
    }
    auto made = Create(request);
    REQUIRE(made.ok());
    unit = *made;
    REQUIRE(StartUnit(unit).ok());
  }
  bool Tells(const std::string& host_path, const std::string& bytes) {
    return Eventually([&] { return site.Told(unit)[host_path] == "sha256:" + bytes; });
  }

  SandboxId pod;
  ContainerId unit;
};

TEST_CASE("a changed volume is told, with bytes that the site lacks, and no others") {
  RefreshLab lab;
  const int puts = lab.site.Calls("PutVolume");

  lab.volumes.Set(kToken, "1");

  REQUIRE(lab.Tells(kToken, "1"));
  CHECK(lab.Tells(kHosts, "hosts"));
  CHECK(lab.site.Volumes().at("sha256:1") == "1");
  CHECK(lab.site.Calls("PutVolume") == puts + 1);
  // The same bytes under a new mark: nothing to tell.
  const int calls = lab.site.Calls("RefreshVolumes");
  lab.volumes.Set(kHosts, "hosts");
  lab.volumes.Set(kToken, "2");
  REQUIRE(lab.Tells(kToken, "2"));
  CHECK(lab.site.Calls("RefreshVolumes") <= calls + 2);
  CHECK(lab.warnings.Count("volume") == 0);
}

TEST_CASE("what changed while this daemon was down is told after its start") {
  RefreshLab lab;
  lab.volumes.Set(kToken, "1");
  REQUIRE(lab.Tells(kToken, "1"));

  lab.Crash();
  lab.volumes.Set(kToken, "2");
  lab.Boot();
  lab.WaitLinked();

  CHECK(lab.Tells(kToken, "2"));
}

TEST_CASE("a volume that cannot be read after a start is not told as it was at the creation") {
  RefreshLab lab;
  lab.volumes.Set(kToken, "1");
  REQUIRE(lab.Tells(kToken, "1"));

  lab.Crash();
  lab.volumes.Fail(kToken, ResourceExhausted("has more than 3.5 MiB"));
  lab.volumes.Set(kHosts, "others");
  lab.Boot();
  lab.WaitLinked();

  REQUIRE(lab.Tells(kHosts, "others"));
  CHECK(lab.site.Told(lab.unit)[kToken] == "sha256:1");
}

TEST_CASE(
    "a site with an older store gets what can be read again, and the rest keeps nothing back") {
  RefreshLab lab;
  lab.volumes.Set(kToken, "1");
  REQUIRE(lab.Tells(kToken, "1"));
  const bool is_readable = GENERATE(true, false);
  if (!is_readable) lab.volumes.Fail(kToken, ResourceExhausted("has more than 3.5 MiB"));

  lab.site.ForgetVolumes();
  lab.Relink();

  REQUIRE(lab.Tells(kHosts, "hosts"));
  if (is_readable) CHECK(lab.Tells(kToken, "1"));
  lab.volumes.Set(kToken, "2");
  CHECK(lab.Tells(kToken, "2"));
}

TEST_CASE("of what changes while the site is away it gets the newest") {
  RefreshLab lab;
  const int puts = lab.site.Calls("PutVolume");
  lab.site.SetDown(true);
  REQUIRE(Eventually([&] { return !lab.node->Summary().reachable.ok(); }));
  lab.volumes.Set(kToken, "1");
  lab.volumes.Set(kToken, "2");

  lab.site.SetDown(false);

  CHECK(lab.Tells(kToken, "2"));
  CHECK(lab.site.Volumes().count("sha256:1") == 0);
  CHECK(lab.site.Calls("PutVolume") == puts + 1);
}

TEST_CASE("a request whose answer is lost is repeated, and a failed one as well") {
  RefreshLab lab;
  lab.site.LoseAnswer("RefreshVolumes");
  lab.volumes.Set(kToken, "1");
  REQUIRE(lab.Tells(kToken, "1"));
  lab.site.Fail("PutVolume", Unavailable("busy"));
  const int puts = lab.site.Calls("PutVolume");
  lab.volumes.Set(kToken, "2");
  REQUIRE(Eventually([&] { return lab.site.Calls("PutVolume") > puts; }));

  lab.site.Fail("PutVolume", {});

  CHECK(lab.Tells(kToken, "2"));
}

TEST_CASE("a volume that has become too large is told to a person once, and the others go on") {
  RefreshLab lab;

  lab.volumes.Fail(kToken, ResourceExhausted("has more than 3.5 MiB"));
  lab.volumes.Set(kHosts, "others");

  REQUIRE(lab.Tells(kHosts, "others"));
  CHECK(lab.site.Told(lab.unit)[kToken] == "sha256:0");
  CHECK(lab.warnings.Count("mounts.host_path \"" + kToken + "\"") == 1);
  lab.volumes.Fail(kToken, ResourceExhausted("has more than 3.5 MiB"));
  lab.volumes.Set(kHosts, "more");
  REQUIRE(lab.Tells(kHosts, "more"));
  CHECK(lab.warnings.Count("mounts.host_path \"" + kToken + "\"") == 1);
  lab.volumes.Set(kToken, "small");
  CHECK(lab.Tells(kToken, "small"));
}

TEST_CASE("volumes that are too large together are told to a person, and go when they fit") {
  RefreshLab lab;

  lab.volumes.Set(kToken, std::string(13U << 20U, 'x'));

  REQUIRE(Eventually([&] { return lab.warnings.Count("13631") > 0; }));
  CHECK(lab.site.Calls("RefreshVolumes") == 0);
  lab.volumes.Set(kToken, "small");
  CHECK(lab.Tells(kToken, "small"));
}

TEST_CASE("a volume that changes without end is told now and then") {
  RefreshLab lab;
  int changes = 0;
  const SteadyTime begun = std::chrono::steady_clock::now();

  REQUIRE(Eventually([&] {
    lab.volumes.Set(kToken, std::to_string(++changes));
    return lab.site.Calls("PutVolume") >= 4;
  }));

  const auto seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun);
  CHECK(changes > 10);
  CHECK(lab.site.Calls("RefreshVolumes") <= 2 * (1 + seconds.count()));
  CHECK(lab.Tells(kToken, std::to_string(changes)));
}

TEST_CASE("nothing is told of a container that was stopped, or whose site has the files itself") {
  RefreshLab lab;
  REQUIRE(lab.StopUnit(lab.unit).ok());
  lab.volumes.Set(kToken, "1");
  const SandboxId other = lab.Ready("b");
  const std::string path = "/kubelet/pods/uid-b/etc-hosts";
  lab.volumes.Set(path, "0");
  auto request = NodeLab::Unit(other, "d");
  request.mutable_config()->add_mounts()->set_host_path(path);
  request.mutable_config()->mutable_mounts(0)->set_container_path("/etc/hosts");
  const auto running = lab.Create(request);
  REQUIRE(running.ok());
  lab.volumes.Set(path, "1");

  REQUIRE(Eventually([&] { return lab.site.Told(*running)[path] == "sha256:1"; }));

  CHECK(lab.site.Calls("RefreshVolumes", lab.unit.str()) == 0);
}

TEST_CASE("a site of a build without this is asked once a link, and a person is told") {
  RefreshLab lab;
  lab.site.Fail("RefreshVolumes", GENERATE(NotFound("no route has this path"),
                                           Unimplemented("no route has this path")));

  lab.volumes.Set(kToken, "1");

  REQUIRE(Eventually([&] { return lab.warnings.Count("no route has this path") == 1; }));
  lab.site.Fail("RefreshVolumes", {});
  lab.Relink();
  CHECK(lab.Tells(kToken, "1"));
}

}  // namespace
}  // namespace interlink::test
