// What kubelet has changed in volumes: ordered, kept, brought to the backend (docs/adr/0019).
#include "interlink/v1/volume.pb.h"
#include "site_lab.h"
#include "support/warnings.h"

namespace interlink::test {
namespace {

using interlink::v1::RefreshVolumesResponse;

// Of the volume with that one letter.
std::string DigestOf(char letter) { return "sha256:" + std::string(64, letter); }

// It outlives the site, which writes to it to its end.
struct KeptWarnings {
  Warnings warnings;
};

struct RefreshLab : KeptWarnings, SiteLab {
  RefreshLab() {
    world.takes_contents = true;
    told_to = &warnings;
    Restart();
    REQUIRE(LinkNode().ok());
    REQUIRE(Run(pod, PodBody("p")).ok());
    interlink::v1::CreateContainerRequest request;
    REQUIRE(request.ParseFromString(UnitBody("c")));
    for (const char* path : {"/k/token", "/k/map"}) {
      request.mutable_config()->add_mounts()->set_host_path(path);
      (*request.mutable_sources())[path].set_snapshot(DigestOf('0'));
    }
    request.mutable_config()->add_mounts()->set_host_path("/k/empty");
    (*request.mutable_sources())["/k/empty"].mutable_pod_folder()->set_name("e");
    Put('0');
    REQUIRE(Create(pod, unit, request.SerializeAsString()).ok());
  }
  void Put(char letter) {
    interlink::v1::VolumeSnapshot snapshot;
    snapshot.add_entries()->set_file(std::string(1, letter));
    REQUIRE(site->PutVolume(call(), caller, DigestOf(letter), snapshot.SerializeAsString()).ok());
  }
  Result<RefreshVolumesResponse> Ask(uint64_t sequence,
                                     const std::map<std::string, std::string>& digests) {
    interlink::v1::RefreshVolumesRequest request;
    request.set_sequence(sequence);
    request.mutable_snapshots()->insert(digests.begin(), digests.end());
    return Wait<RefreshVolumesResponse>(
        [&](auto reply) { site->RefreshVolumes(call(), caller, pod, unit, request, reply); });
  }
  void Refresh(uint64_t sequence, char letter) {
    Put(letter);
    const auto answer = Ask(sequence, {{"/k/token", DigestOf(letter)}});
    INFO(answer.status().ToString());
    REQUIRE(answer.ok());
    REQUIRE(answer->missing().empty());
  }
  std::string In(const std::string& host_path) {
    MutexLock lock(world.mutex);
    return world.contents[unit][host_path]->snapshot().entries(0).file();
  }
  bool Becomes(const std::string& bytes, const std::string& host_path = "/k/token") {
    return Eventually([&] { return In(host_path) == bytes; });
  }
  int Updates() {
    MutexLock lock(world.mutex);
    return world.updates;
  }

  const SandboxId pod{std::string(64, '1')};
  const ContainerId unit{std::string(64, '2')};
};

TEST_CASE("a changed volume comes to a container, started or not, and the others stay") {
  RefreshLab lab;

  lab.Refresh(1, 'a');
  CHECK(lab.Becomes("a"));
  REQUIRE(lab.StartUnit(lab.pod, lab.unit).ok());
  lab.Refresh(2, 'b');
  CHECK(lab.Becomes("b"));

  CHECK(lab.In("/k/map") == "0");
  CHECK(lab.Updates() == 2);
}

TEST_CASE("what the site lacks is answered, and nothing happens until it is there") {
  RefreshLab lab;
  lab.Put('a');

  const auto answer = lab.Ask(1, {{"/k/token", DigestOf('a')}, {"/k/map", DigestOf('b')}});

  REQUIRE(answer.ok());
  REQUIRE(answer->missing_size() == 1);
  CHECK(answer->missing(0) == DigestOf('b'));
  CHECK(lab.Updates() == 0);
  lab.Put('b');
  REQUIRE(lab.Ask(1, {{"/k/token", DigestOf('a')}, {"/k/map", DigestOf('b')}})->missing().empty());
  CHECK(lab.Becomes("a"));
  CHECK(lab.Becomes("b", "/k/map"));
}

TEST_CASE("what is as it was is not brought again, whether its bytes are here or not") {
  RefreshLab lab;
  lab.Refresh(1, 'a');
  REQUIRE(lab.Becomes("a"));
  lab.volumes.KeepOnly({});

  const auto answer = lab.Ask(2, {{"/k/token", DigestOf('a')}, {"/k/map", DigestOf('0')}});

  REQUIRE(answer.ok());
  CHECK(answer->missing().empty());
  lab.Refresh(3, 'b');
  REQUIRE(lab.Becomes("b"));
  CHECK(lab.Updates() == 2);
}

// Every order in which the requests of one link can arrive, each of them once more at the end.
TEST_CASE("an older change never replaces a newer one") {
  std::vector<int> order = {1, 2, 3};
  const int turns = GENERATE(range(0, 6));
  for (int i = 0; i < turns; ++i) std::next_permutation(order.begin(), order.end());
  RefreshLab lab;

  for (int round = 0; round < 2; ++round) {
    for (const int sequence : order)
      lab.Refresh(static_cast<uint64_t>(sequence), static_cast<char>('a' + sequence));
  }

  CHECK(lab.Becomes("d"));
  lab.Refresh(2, 'c');
  lab.Refresh(4, 'e');
  CHECK(lab.Becomes("e"));
}

TEST_CASE("a new link numbers anew, and the old one is not heard") {
  RefreshLab lab;
  lab.Refresh(9, 'a');
  REQUIRE(lab.Becomes("a"));
  const auto old = lab.caller;

  REQUIRE(lab.LinkNode().ok());
  lab.Refresh(1, 'b');
  CHECK(lab.Becomes("b"));
  lab.caller = old;

  CHECK(lab.Ask(10, {{"/k/token", DigestOf('a')}}).status().code() == Code::kAborted);
}

TEST_CASE("a change that was taken is brought after a crash of the site, once the backend can") {
  RefreshLab lab;
  lab.world.Fail("UpdateContents", Unavailable("no agent"));
  lab.Refresh(1, 'a');
  REQUIRE(Eventually([&] { return lab.Updates() > 0; }));
  lab.Refresh(2, 'b');

  lab.Restart();
  lab.world.Fail("UpdateContents", {});

  CHECK(lab.Becomes("b"));
  // Let go of by the site's start but for what a container waits for.
  CHECK_FALSE(lab.volumes.Has(NodeId("n1"), DigestOf('a')));
}

TEST_CASE("what a container waits for and is lost is asked for by the next link") {
  RefreshLab lab;
  lab.world.Fail("UpdateContents", Unavailable("no agent"));
  lab.Refresh(1, 'a');
  lab.volumes.KeepOnly({});
  lab.Restart();
  lab.world.Fail("UpdateContents", {});
  REQUIRE(lab.LinkNode().ok());

  const auto answer = lab.Ask(1, {{"/k/token", DigestOf('a')}});

  REQUIRE(answer.ok());
  CHECK(answer->missing_size() == 1);
  lab.Put('a');
  CHECK(lab.Becomes("a"));
}

TEST_CASE("a way back is brought as well when nobody knows what the backend has") {
  RefreshLab lab;
  lab.Refresh(1, 'a');
  REQUIRE(lab.Becomes("a"));
  lab.world.Fail("UpdateContents", Unavailable("lost the answer"));
  const int before = lab.Updates();
  lab.Refresh(2, 'b');
  REQUIRE(Eventually([&] { return lab.Updates() > before; }));
  {
    MutexLock lock(lab.world.mutex);  // it was carried out
    auto content = std::make_shared<interlink::v1::MountContent>();
    content->mutable_snapshot()->add_entries()->set_file("b");
    lab.world.contents[lab.unit]["/k/token"] = content;
  }
  lab.Refresh(3, 'a');
  lab.world.Fail("UpdateContents", {});

  CHECK(lab.Becomes("a"));
}

TEST_CASE(
    "a change that is refused for ever is told to a person by its field, and the next one goes") {
  RefreshLab lab;
  lab.world.Fail("UpdateContents", InvalidArgument("has become a folder"));

  lab.Refresh(1, 'a');

  REQUIRE(Eventually([&] { return lab.warnings.Count("mounts.host_path \"/k/token\"") > 0; }));
  CHECK(lab.warnings.Count("has become a folder") == 1);
  lab.world.Fail("UpdateContents", {});
  lab.Refresh(2, 'b');
  CHECK(lab.Becomes("b"));
  CHECK(lab.Updates() == 2);
}

TEST_CASE("only snapshots of a container that has not ended are refreshed") {
  RefreshLab lab;
  lab.Put('a');

  CHECK(lab.Ask(1, {{"/k/empty", DigestOf('a')}}).status().code() == Code::kInvalidArgument);
  CHECK(lab.Ask(1, {{"/other", DigestOf('a')}}).status().code() == Code::kInvalidArgument);
  CHECK(lab.Ask(0, {{"/k/token", DigestOf('a')}}).status().code() == Code::kInvalidArgument);
  REQUIRE(lab.StopUnit(lab.pod, lab.unit).ok());
  CHECK(lab.Ask(1, {{"/k/token", DigestOf('a')}}).status().code() == Code::kFailedPrecondition);
  REQUIRE(lab.RemovePod(lab.pod).ok());
  CHECK(lab.Updates() == 0);
}

TEST_CASE("a refresh of a container that is not the node's is not found") {
  RefreshLab lab;
  REQUIRE(lab.RemovePod(lab.pod).ok());
  const auto mine = lab.TakePeer();
  REQUIRE(lab.LinkNode("n2").ok());

  CHECK(lab.Ask(1, {{"/k/token", DigestOf('0')}}).status().code() == Code::kNotFound);
}

}  // namespace
}  // namespace interlink::test
