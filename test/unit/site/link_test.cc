#include "site_lab.h"

namespace interlink::test {
namespace {

using namespace interlink::v1;  // NOLINT(google-build-using-namespace): enum values

TEST_CASE("a request of another link has no effect") {
  SiteLab lab;
  lab.WaitReady();
  REQUIRE(lab.LinkNode().ok());
  const site::Caller old = lab.caller;
  REQUIRE(lab.LinkNode().ok());
  const SandboxId pod = MintSandboxId();

  const auto late = lab.Wait<SandboxAnswer>([&](auto reply) {
    lab.site->RunSandbox(SiteLab::call(), old, pod, lab.PodBody("a"), {}, reply);
  });

  CHECK(late.status().code() == Code::kAborted);
  CHECK(lab.world.StartsOf(pod.str()) == 0);
}

TEST_CASE("a link from before the site's restart is stale") {
  SiteLab lab;
  lab.WaitReady();
  REQUIRE(lab.LinkNode().ok());

  lab.Restart();

  CHECK(lab.Run(MintSandboxId(), lab.PodBody("a")).status().code() == Code::kAborted);
  REQUIRE(lab.LinkNode().ok());
  CHECK(lab.Run(MintSandboxId(), lab.PodBody("a")).ok());
}

TEST_CASE("the answer to the first link may be lost") {
  SiteLab lab;
  lab.WaitReady();
  REQUIRE(lab.LinkNode().ok());

  lab.secret.clear();

  CHECK(lab.LinkNode().ok());
}

TEST_CASE("the answer to a later link may be lost") {
  SiteLab lab;
  lab.WaitReady();
  REQUIRE(lab.LinkNode().ok());
  REQUIRE(lab.LinkNode().ok());
  const std::string before = lab.secret;
  REQUIRE(lab.LinkNode().ok());

  lab.secret = before;

  CHECK(lab.LinkNode().ok());
}

// It rotated the secret once more, under a secret that the node never got: copied-node for ever.
TEST_CASE("a late duplicate of a link has no effect") {
  SiteLab lab;
  lab.WaitReady();
  REQUIRE(lab.LinkNode().ok());
  const SiteLab::Peer before = lab.KeepPeer();
  REQUIRE(lab.LinkNode().ok());
  const SiteLab::Peer after = lab.KeepPeer();

  lab.SetPeer(before);  // the same counter and secret once more
  CHECK(lab.LinkNode().code() == Code::kAborted);

  lab.SetPeer(after);
  CHECK(lab.Run(MintSandboxId(), lab.PodBody("a")).ok());
  CHECK(lab.LinkNode().ok());
}

TEST_CASE("a restored store whose secret is still known is told so") {
  SiteLab lab;
  lab.WaitReady();
  REQUIRE(lab.LinkNode().ok());
  const SiteLab::Peer backup = lab.KeepPeer();
  lab.node_counter += 7;  // links that never arrived
  REQUIRE(lab.LinkNode().ok());

  lab.Restart();
  lab.SetPeer(backup);
  REQUIRE(lab.LinkNode().ok());

  CHECK(lab.last_link.node_restored());
}

TEST_CASE("another store under the same identity waits for a takeover") {
  SiteLab lab;
  lab.WaitReady();
  REQUIRE(lab.LinkNode().ok());
  REQUIRE(lab.LinkNode().ok());
  const std::string change = GENERATE(as<std::string>{}, "lost", "older", "copied");
  if (change == "lost") {
    lab.node_lineage = MintLineage().str();
    lab.secret.clear();
  } else if (change == "older") {
    lab.secret.clear();
  } else {
    lab.secret = RandomHex(32);
  }

  const Status refused = lab.LinkNode();
  CHECK(refused.code() == Code::kAlreadyExists);
  CHECK(refused.message().find("interlink-api node takeover n1") != std::string::npos);

  REQUIRE(lab.Wait<std::string>(
                 [&](auto reply) { lab.site->Takeover(SiteLab::call(), NodeId("n1"), reply); })
              .ok());
  CHECK(lab.LinkNode().ok());
  // Its lists wait for ours, also when its retries have raised its counter above the known one.
  CHECK(lab.last_link.node_restored());
  REQUIRE(lab.LinkNode().ok());
  CHECK_FALSE(lab.last_link.node_restored());
}

TEST_CASE("a node runs only images that it has pulled itself") {
  SiteLab lab;
  lab.WaitReady();
  REQUIRE(lab.LinkNode().ok());
  const SandboxId pod = MintSandboxId();
  const ContainerId unit = MintContainerId();
  REQUIRE(lab.Run(pod, lab.PodBody("a")).ok());
  REQUIRE(lab.Create(pod, unit, lab.UnitBody("c")).ok());
  lab.images.SetMissing(NodeId("n1"), "sha256:x");

  const auto created = lab.Create(pod, MintContainerId(), lab.UnitBody("d"));

  CHECK(created.status().code() == Code::kNotFound);
  CHECK(created.status().message().find("pull it first") != std::string::npos);
  CHECK(lab.Create(pod, unit, lab.UnitBody("c")).ok());
}

TEST_CASE("a node mounts only images that it has pulled itself") {
  SiteLab lab;
  lab.WaitReady();
  REQUIRE(lab.LinkNode().ok());
  const SandboxId pod = MintSandboxId();
  REQUIRE(lab.Run(pod, lab.PodBody("a")).ok());
  interlink::v1::CreateContainerRequest request;
  REQUIRE(request.ParseFromString(lab.UnitBody("c")));
  auto& mount = *request.mutable_config()->add_mounts();
  mount.set_container_path("/data");
  mount.mutable_image()->set_image("data:1");

  const auto unresolved = lab.Create(pod, MintContainerId(), request.SerializeAsString());
  CHECK(unresolved.status().code() == Code::kInvalidArgument);
  CHECK(unresolved.status().message().find("\"volume_images\"") != std::string::npos);

  (*request.mutable_volume_images())["data:1"] = "sha256:d";
  lab.images.SetMissing(NodeId("n1"), "sha256:d");
  const auto foreign = lab.Create(pod, MintContainerId(), request.SerializeAsString());
  CHECK(foreign.status().code() == Code::kNotFound);
  CHECK(foreign.status().message().rfind("ImageVolumeMountFailed", 0) == 0);

  // Nobody would look whether it is this node's.
  (*request.mutable_volume_images())["data:1"] = "sha256:e";
  (*request.mutable_volume_images())["other:1"] = "sha256:d";
  const auto unnamed = lab.Create(pod, MintContainerId(), request.SerializeAsString());
  CHECK(unnamed.status().code() == Code::kInvalidArgument);
  CHECK(unnamed.status().message().find("\"other:1\", which no mount names") != std::string::npos);

  request.mutable_volume_images()->erase("other:1");
  const ContainerId unit = MintContainerId();
  CHECK(lab.Create(pod, unit, request.SerializeAsString()).ok());
  MutexLock lock(lab.world.mutex);
  CHECK(lab.world.units.at(unit).volume_images.at("data:1") == "sha256:e");
  CHECK(lab.world.prepared == std::set<std::string>{"sha256:x", "sha256:e"});
}

TEST_CASE("another node's sandbox is not found") {
  SiteLab lab;
  lab.WaitReady();
  REQUIRE(lab.LinkNode().ok());
  const SandboxId pod = MintSandboxId();
  REQUIRE(lab.Run(pod, lab.PodBody("a")).ok());

  CHECK(lab.site->GetSandbox(NodeId("n2"), pod).status().code() == Code::kNotFound);
  CHECK(lab.site->ListSandboxes(NodeId("n2")).empty());
}

// Backends know ids alone: n2's remove of n1's ids killed them, and its tombstone took the log.
TEST_CASE("a node cannot touch another node's ids") {
  SiteLab lab;
  lab.WaitReady();
  REQUIRE(lab.LinkNode().ok());
  const SandboxId pod = MintSandboxId();
  const ContainerId unit = MintContainerId();
  lab.RunAll(pod, unit);
  SiteLab::Peer n1 = lab.TakePeer();
  REQUIRE(lab.LinkNode("n2").ok());
  const SandboxId own = MintSandboxId();
  REQUIRE(lab.Run(own, lab.PodBody("own")).ok());

  CHECK(lab.RemoveUnit(pod, unit).status().code() == Code::kNotFound);
  CHECK(lab.RemoveUnit(pod, MintContainerId()).status().code() == Code::kNotFound);
  CHECK(lab.RemoveUnit(own, unit).status().code() == Code::kNotFound);
  CHECK(lab.Create(own, unit, lab.UnitBody("c")).status().code() == Code::kNotFound);
  CHECK(lab.RemovePod(pod).status().code() == Code::kNotFound);
  CHECK(lab.Run(pod, lab.PodBody("b", "v")).status().code() == Code::kNotFound);

  lab.SetPeer(n1);
  CHECK(lab.site->GetContainer(NodeId("n1"), pod, unit)->seen() == SEEN_UP);
  CHECK(lab.StopUnit(pod, unit)->settled);
  MutexLock lock(lab.world.mutex);
  CHECK(lab.world.pods.contains(pod));
}

}  // namespace
}  // namespace interlink::test
