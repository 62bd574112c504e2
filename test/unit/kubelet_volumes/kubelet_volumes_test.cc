#include "kubelet_volumes/kubelet_volumes.h"

#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "base/file.h"
#include "support/eventually.h"
#include "support/temporary_folder.h"
#include "wire/volume_digest.h"

namespace interlink::kubelet_volumes {
namespace {

using interlink::v1::VolumeSnapshot;
using test::TemporaryFolder;

// A kubelet's folder with one pod, "u".
struct Kubelet {
  Kubelet() {
    const std::string map = Pod("volumes/kubernetes.io~configmap/c");
    REQUIRE(MakeDirectories(map + "/..2026", 0755).ok());
    Write(map + "/..2026/key", "value");
    REQUIRE(symlink("..2026", (map + "/..data").c_str()) == 0);
    REQUIRE(symlink("..data/key", (map + "/key").c_str()) == 0);
    REQUIRE(MakeDirectories(Pod("volumes/kubernetes.io~empty-dir/e"), 0755).ok());
    REQUIRE(chmod(Pod("volumes/kubernetes.io~empty-dir/e").c_str(), 02777) == 0);
    REQUIRE(MakeDirectories(Pod("volumes/kubernetes.io~nfs/n"), 0755).ok());
    REQUIRE(MakeDirectories(Pod("containers/main"), 0755).ok());
    Write(Pod("containers/main/1a2b"), "");
    Write(Pod("etc-hosts"), "127.0.0.1 localhost\n");
    REQUIRE(MakeDirectories(Pod("volume-subpaths/c/main"), 0755).ok());
    Write(Pod("volume-subpaths/c/main/0"), "value");
    REQUIRE(MakeDirectories(Pod("volume-subpaths/e/main/0"), 0755).ok());
  }
  std::string Pod(const std::string& path) const { return folder.path() + "/pods/u/" + path; }
  static void Write(const std::string& path, const std::string& bytes) {
    REQUIRE(WriteFileAtomically(path, bytes, 0644).ok());
  }
  Result<node::TakenMount> Take(const std::string& path) const {
    return volumes->Take(Pod(path), "u");
  }

  TemporaryFolder folder;
  std::unique_ptr<node::KubeletVolumes> volumes = Open(folder.path());
};

VolumeSnapshot Parse(const node::TakenMount& taken) {
  VolumeSnapshot snapshot;
  REQUIRE(snapshot.ParseFromString(taken.snapshot));
  return snapshot;
}

TEST_CASE(
    "whether kubelet has a pod is told by its folder, and only where there is one of all pods") {
  const Kubelet kubelet;
  CHECK(kubelet.volumes->HasPod("u") == true);
  CHECK(kubelet.volumes->HasPod("another") == false);
  for (const std::string uid : {"", ".", "..", "u/volumes", "../pods/u"})
    CHECK_FALSE(kubelet.volumes->HasPod(uid).has_value());
  CHECK_FALSE(Open(kubelet.folder.path() + "/none")->HasPod("u").has_value());
}

TEST_CASE("a ConfigMap is taken whole, with kubelet's links, the same each time") {
  const Kubelet kubelet;

  const auto taken = kubelet.Take("volumes/kubernetes.io~configmap/c");

  REQUIRE(taken.ok());
  CHECK(taken->source.snapshot() == wire::VolumeDigest(taken->snapshot));
  const VolumeSnapshot snapshot = Parse(*taken);
  REQUIRE(snapshot.entries_size() == 5);
  CHECK(snapshot.entries(0).path().empty());
  CHECK(snapshot.entries(1).path() == "..2026");
  CHECK(snapshot.entries(2).path() == "..2026/key");
  CHECK(snapshot.entries(2).file() == "value");
  CHECK(snapshot.entries(2).mode() == 0644);
  CHECK(snapshot.entries(3).path() == "..data");
  CHECK(snapshot.entries(3).link() == "..2026");
  CHECK(snapshot.entries(4).link() == "..data/key");
  CHECK(kubelet.Take("volumes/kubernetes.io~configmap/c")->snapshot == taken->snapshot);
}

TEST_CASE("files of kubelet's own, and a part of a ConfigMap, are taken as files") {
  const Kubelet kubelet;

  CHECK(Parse(*kubelet.Take("etc-hosts")).entries(0).file() == "127.0.0.1 localhost\n");
  CHECK(Parse(*kubelet.Take("volume-subpaths/c/main/0")).entries(0).file() == "value");
}

TEST_CASE("an emptyDir is a folder of the pod, and the termination log an empty file") {
  const Kubelet kubelet;

  const auto folder = kubelet.Take("volumes/kubernetes.io~empty-dir/e");
  const auto log = kubelet.Take("containers/main/1a2b");

  REQUIRE(folder.ok());
  CHECK(folder->source.pod_folder().name() == "e");
  CHECK(folder->source.pod_folder().mode() == 02777);
  CHECK(folder->snapshot.empty());
  REQUIRE(log.ok());
  CHECK(log->source.termination_log().mode() == 0644);
}

TEST_CASE("a volume's mark changes when kubelet has exchanged its contents, and only then") {
  const Kubelet kubelet;
  const std::string map = kubelet.Pod("volumes/kubernetes.io~configmap/c");
  const auto mark = [&] { return kubelet.volumes->Mark(map, "u"); };
  const auto before = mark();
  REQUIRE(before.has_value());
  CHECK(mark() == before);

  // As kubelet's AtomicWriter: a new folder, then the link.
  REQUIRE(MakeDirectories(map + "/..2027", 0755).ok());
  Kubelet::Write(map + "/..2027/key", "other");
  CHECK(mark() == before);
  REQUIRE(symlink("..2027", (map + "/..data_tmp").c_str()) == 0);
  REQUIRE(rename((map + "/..data_tmp").c_str(), (map + "/..data").c_str()) == 0);

  REQUIRE(mark().has_value());
  CHECK(mark() != before);
}

// Within one tick of the clock a file can be written twice and look the same.
TEST_CASE("a file that was written just now has another mark each time, an older one has not") {
  const Kubelet kubelet;
  const std::string hosts = kubelet.Pod("etc-hosts");
  const auto mark = [&] { return kubelet.volumes->Mark(hosts, "u"); };

  CHECK(mark() != mark());
  REQUIRE(test::Eventually([&] { return mark() == mark(); }));
  const auto before = mark();
  Kubelet::Write(hosts, "127.0.0.1 localhosT\n");

  CHECK(mark() != before);
}

TEST_CASE("what kubelet does not change in its place, or is not there, has no mark") {
  const Kubelet kubelet;
  const auto mark = [&](const std::string& path, const std::string& uid = "u") {
    return kubelet.volumes->Mark(kubelet.Pod(path), uid);
  };

  CHECK_FALSE(mark("volume-subpaths/c/main/0"));
  CHECK_FALSE(mark("containers/main/1a2b"));
  CHECK_FALSE(mark("volumes/kubernetes.io~empty-dir/e"));
  CHECK_FALSE(mark("volumes/kubernetes.io~configmap/none"));
  CHECK_FALSE(mark("volumes/kubernetes.io~configmap/.."));
  CHECK_FALSE(mark("etc-hosts", "v"));
  CHECK_FALSE(kubelet.volumes->Mark("/etc/hosts", "u"));
}

TEST_CASE("what does not travel is refused by its kind") {
  const Kubelet kubelet;

  const auto nfs = kubelet.Take("volumes/kubernetes.io~nfs/n");
  const auto part = kubelet.Take("volume-subpaths/e/main/0");
  const auto plugin = kubelet.Take("plugins/x");

  CHECK(nfs.status().code() == Code::kUnimplemented);
  CHECK(nfs.status().message().find("(kubernetes.io~nfs) does not travel") != std::string::npos);
  CHECK(part.status().code() == Code::kUnimplemented);
  CHECK(plugin.status().code() == Code::kUnimplemented);
  CHECK(kubelet.Take("volumes/../../x").status().code() == Code::kInvalidArgument);
}

TEST_CASE("only the pod's own folder is the pod's") {
  const Kubelet kubelet;

  CHECK(kubelet.volumes->IsOfPod(kubelet.Pod("etc-hosts"), "u"));
  CHECK_FALSE(kubelet.volumes->IsOfPod(kubelet.Pod("etc-hosts"), "v"));
  CHECK_FALSE(kubelet.volumes->IsOfPod(kubelet.Pod("etc-hosts"), ""));
  CHECK_FALSE(kubelet.volumes->IsOfPod(kubelet.Pod("etc-hosts"), ".."));
  CHECK_FALSE(kubelet.volumes->IsOfPod("/data/pods/u/x", "u"));
}

TEST_CASE("a volume that is too large, or holds what is no file, is refused by name") {
  const Kubelet kubelet;
  const std::string map = kubelet.Pod("volumes/kubernetes.io~configmap/c");
  SECTION("bytes") {
    Kubelet::Write(map + "/..2026/big", std::string(wire::kMaxVolumeBytes, 'x'));
    CHECK(kubelet.Take("volumes/kubernetes.io~configmap/c").status().code() ==
          Code::kResourceExhausted);
  }
  SECTION("a pipe") {
    REQUIRE(mkfifo((map + "/pipe").c_str(), 0644) == 0);
    const auto taken = kubelet.Take("volumes/kubernetes.io~configmap/c");
    CHECK(taken.status().code() == Code::kInvalidArgument);
    CHECK(taken.status().message().find("/pipe\"") != std::string::npos);
  }
}

TEST_CASE(
    "a pod's service account is that of the token that kubelet mounts for it, and no other's") {
  const Kubelet kubelet;
  const auto account = [&] { return kubelet.volumes->ServiceAccountOf("u", "team"); };
  CHECK(account().empty());
  const std::string volume = kubelet.Pod("volumes/kubernetes.io~projected/kube-api-access-x");
  REQUIRE(MakeDirectories(volume + "/..2026", 0755).ok());
  REQUIRE(symlink("..2026", (volume + "/..data").c_str()) == 0);
  REQUIRE(symlink("..data/token", (volume + "/token").c_str()) == 0);
  CHECK(account().empty());
  // Payloads of {"kubernetes.io":{"namespace":"team","pod":{"name":"p","uid":UID},
  // "serviceaccount":{"name":"runner","uid":"s"}}}.
  const auto write = [&](const std::string& token) {
    Kubelet::Write(volume + "/..2026/token", token);
  };
  const std::string bound =
      "eyJrdWJlcm5ldGVzLmlvIjp7Im5hbWVzcGFjZSI6InRlYW0iLCJwb2QiOnsibmFtZSI6InAiLCJ1aWQiOiJ1In0s"
      "InNlcnZpY2VhY2NvdW50Ijp7Im5hbWUiOiJydW5uZXIiLCJ1aWQiOiJzIn19fQ";
  write("e30." + bound + ".c2ln");
  CHECK(account() == "runner");
  CHECK(kubelet.volumes->ServiceAccountOf("u", "other").empty());
  CHECK(kubelet.volumes->ServiceAccountOf("..", "team").empty());
  const std::string text = GENERATE_COPY(
      std::string(""), std::string("a.b"), std::string("e30.e30.c2ln"), "e30." + bound,
      "e30." + bound.substr(1) + ".c2ln", std::string("e30.W10.c2ln"), std::string(20000, 'a'),
      // Of the pod "v".
      std::string("e30.eyJrdWJlcm5ldGVzLmlvIjp7Im5hbWVzcGFjZSI6InRlYW0iLCJwb2QiOnsidWlkIjoidiJ9LCJ"
                  "zZXJ2aWNlYWNjb3VudCI6eyJuYW1lIjoicnVubmVyIn19fQ.c2ln"));
  write(text);
  CHECK(account().empty());
}

}  // namespace
}  // namespace interlink::kubelet_volumes
