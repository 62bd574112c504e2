// What a site on another machine gets of kubelet's volumes.
#include "interlink/v1/node_store.pb.h"
#include "node_lab.h"

namespace interlink::test {
namespace {

runtime::v1::CreateContainerRequest WithMount(const SandboxId& pod, const std::string& host_path) {
  auto request = NodeLab::Unit(pod, "c");
  auto& mount = *request.mutable_config()->add_mounts();
  mount.set_container_path("/config");
  mount.set_host_path(host_path);
  return request;
}

interlink::v1::CreateContainerRequest BodyOf(NodeLab& lab, const ContainerId& id) {
  interlink::v1::CreateContainerRequest body;
  REQUIRE(body.ParseFromString(lab.site.Bodies(id.str()).front()));
  return body;
}

struct VolumesLab : NodeLab {
  VolumesLab() : NodeLab(false) {
    site.SetKubeletHost(false);
    site.SetTakesContents(true);
    Restart();  // the first start may have linked before that
  }
};

TEST_CASE("a volume of the pod is sent before the container that has it, and only then kept") {
  VolumesLab lab;
  const SandboxId pod = lab.Ready("a");
  const std::string path = "/kubelet/pods/uid-a/etc-hosts";
  lab.volumes.Set(path, "hosts");

  const auto id = lab.Create(WithMount(pod, path));

  REQUIRE(id.ok());
  CHECK(lab.site.Volumes() == std::map<std::string, std::string>{{"sha256:hosts", "hosts"}});
  CHECK(BodyOf(lab, *id).sources().at(path).snapshot() == "sha256:hosts");
  REQUIRE(Eventually([&] {
    interlink::v1::StoredNodeContainer stored;
    const NodeDisk disk = lab.store->Backup();
    return stored.ParseFromString(disk.records.at({node::RecordKind::kContainer, id->str()})) &&
           stored.snapshots().empty();
  }));
}

TEST_CASE("a repeat of a lost creation sends the same volume, whatever kubelet has by now") {
  VolumesLab lab;
  const SandboxId pod = lab.Ready("a");
  const std::string path = "/kubelet/pods/uid-a/etc-hosts";
  lab.volumes.Set(path, "old");
  lab.site.Fail("PutVolume", Unavailable("away"));
  auto creating = lab.BeginCreate(WithMount(pod, path));
  REQUIRE(Eventually([&] { return lab.site.Calls("PutVolume") > 0; }));
  lab.volumes.Set(path, "new");
  lab.Crash();
  lab.site.Fail("PutVolume", {});
  lab.Boot();
  lab.WaitLinked();

  const auto id = lab.Create(WithMount(pod, path));

  REQUIRE(id.ok());
  // What kubelet has by now may have followed: it is told to the container that is there.
  CHECK(lab.site.Volumes().at("sha256:old") == "old");
  CHECK(BodyOf(lab, *id).sources().at(path).snapshot() == "sha256:old");
}

TEST_CASE("what does not travel refuses the container before anything is stored") {
  VolumesLab lab;
  const SandboxId pod = lab.Ready("a");

  const auto id = lab.Create(WithMount(pod, "/kubelet/pods/uid-a/volumes/nfs/x"));

  CHECK(id.status().code() == Code::kUnimplemented);
  CHECK(id.status().message() ==
        "mounts.host_path: \"/kubelet/pods/uid-a/volumes/nfs/x\" does not travel");
  CHECK(lab.site.Calls("CreateContainer") == 0);
}

TEST_CASE("volumes that are too large together are refused") {
  VolumesLab lab;
  const SandboxId pod = lab.Ready("a");
  auto request = NodeLab::Unit(pod, "c");
  for (int i = 0; i < 4; ++i) {
    const std::string path = "/kubelet/pods/uid-a/v" + std::to_string(i);
    lab.volumes.Set(path, std::string(4U << 20U, static_cast<char>('a' + i)));
    auto& mount = *request.mutable_config()->add_mounts();
    mount.set_container_path("/" + std::to_string(i));
    mount.set_host_path(path);
  }

  CHECK(lab.Create(request).status().code() == Code::kResourceExhausted);
}

TEST_CASE("nothing is taken for a site that has the files itself, nor from other folders") {
  const bool kubelet_host = GENERATE(true, false);
  NodeLab lab(false);
  lab.site.SetKubeletHost(kubelet_host);
  lab.site.SetTakesContents(!kubelet_host);
  lab.Restart();
  const SandboxId pod = lab.Ready("a");
  const std::string path = kubelet_host ? "/kubelet/pods/uid-a/x" : "/kubelet/pods/other/x";

  const auto id = lab.Create(WithMount(pod, path));

  REQUIRE(id.ok());
  CHECK(BodyOf(lab, *id).sources().empty());
  CHECK(lab.site.Calls("PutVolume") == 0);
}

std::string AccountSent(NodeLab& lab, const SandboxId& id) {
  interlink::v1::RunSandboxRequest body;
  REQUIRE(body.ParseFromString(lab.site.Bodies(id.str()).front()));
  return body.service_account();
}

TEST_CASE(
    "a site on another machine is told a pod's service account, and a repeat tells the same") {
  VolumesLab lab;
  lab.volumes.SetServiceAccount("uid-a", "runner");
  const SandboxId pod = lab.Ready("a");
  CHECK(AccountSent(lab, pod) == "runner");
  CHECK(AccountSent(lab, lab.Ready("b")).empty());

  lab.volumes.SetServiceAccount("uid-a", "another");
  const auto again = lab.Run(NodeLab::Pod("a"));
  REQUIRE(again.ok());
  CHECK(*again == pod);
  CHECK(AccountSent(lab, pod) == "runner");
}

TEST_CASE("a site of kubelet's own machine is told no service account") {
  NodeLab lab;
  lab.volumes.SetServiceAccount("uid-a", "runner");
  CHECK(AccountSent(lab, lab.Ready("a")).empty());
}

}  // namespace
}  // namespace interlink::test
