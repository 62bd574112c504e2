// Contents of mounts: kept, checked, handed to the backend, let go of.
#include "interlink/v1/volume.pb.h"
#include "site_lab.h"

namespace interlink::test {
namespace {

const std::string kDigest = "sha256:" + std::string(64, 'a');

std::string Snapshot(const std::string& bytes) {
  interlink::v1::VolumeSnapshot snapshot;
  snapshot.add_entries()->set_file(bytes);
  return snapshot.SerializeAsString();
}

std::string BodyWith(const SiteLab& lab, const std::string& mount, const std::string& source,
                     const std::string& digest = kDigest) {
  interlink::v1::CreateContainerRequest request;
  REQUIRE(request.ParseFromString(lab.UnitBody("c")));
  request.mutable_config()->add_mounts()->set_host_path(mount);
  (*request.mutable_sources())[source].set_snapshot(digest);
  return request.SerializeAsString();
}

struct VolumesLab : SiteLab {
  explicit VolumesLab(bool takes = true) {
    world.takes_contents = takes;
    Restart();
    REQUIRE(LinkNode().ok());
    REQUIRE(Run(pod, PodBody("p")).ok());
  }
  Status Put(const std::string& digest, const std::string& bytes) {
    return site->PutVolume(call(), caller, digest, bytes);
  }
  const SandboxId pod{std::string(64, '1')};
  const ContainerId unit{std::string(64, '2')};
};

TEST_CASE("a backend gets what was sent for a mount") {
  VolumesLab lab;
  REQUIRE(lab.Put(kDigest, Snapshot("hosts")).ok());

  const auto created = lab.Create(lab.pod, lab.unit, BodyWith(lab, "/k", "/k"));

  REQUIRE(created.ok());
  CHECK(created->record.seen() == interlink::v1::SEEN_CREATED);
  MutexLock lock(lab.world.mutex);
  const auto& contents = lab.world.contents.at(lab.unit);
  REQUIRE(contents.size() == 1);
  CHECK(contents.at("/k")->snapshot().entries(0).file() == "hosts");
}

TEST_CASE("what was not sent, or is of no mount, is refused before anything is stored") {
  VolumesLab lab;
  REQUIRE(lab.Put(kDigest, Snapshot("hosts")).ok());

  const auto absent =
      lab.Create(lab.pod, lab.unit, BodyWith(lab, "/k", "/k", "sha256:" + std::string(64, 'b')));
  const auto stray = lab.Create(lab.pod, lab.unit, BodyWith(lab, "/k", "/other"));

  CHECK(absent.status().code() == Code::kFailedPrecondition);
  CHECK(absent.status().message().find("send it first") != std::string::npos);
  CHECK(stray.status().code() == Code::kInvalidArgument);
  CHECK(lab.site->GetContainer(NodeId("n1"), lab.pod, lab.unit).status().code() == Code::kNotFound);
}

TEST_CASE("a handler that takes none refuses contents by name") {
  VolumesLab lab(false);
  REQUIRE(lab.Put(kDigest, Snapshot("hosts")).ok());

  const auto created = lab.Create(lab.pod, lab.unit, BodyWith(lab, "/k", "/k"));

  CHECK(created.status().code() == Code::kInvalidArgument);
  CHECK(created.status().message().find("\"sources\"") != std::string::npos);
}

TEST_CASE("a volume of an ended link is refused") {
  VolumesLab lab;
  ++lab.caller.link;

  CHECK(lab.Put(kDigest, Snapshot("x")).code() == Code::kAborted);
}

// Only what a creation waits for is kept: the fake lets go at once of the rest.
TEST_CASE("a volume goes when its container is there") {
  VolumesLab lab;
  REQUIRE(lab.Put(kDigest, Snapshot("hosts")).ok());
  REQUIRE(lab.Create(lab.pod, lab.unit, BodyWith(lab, "/k", "/k")).ok());

  lab.missing_plugin = GENERATE(false, true);
  lab.Restart();

  CHECK(Eventually([&] { return !lab.volumes.Has(NodeId("n1"), kDigest); }));
}

}  // namespace
}  // namespace interlink::test
