// Snapshots of kubelet's volumes as files.
#include "engine/volume_tree.h"

#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>

#include "base/file.h"
#include "engine/mount_contents.h"
#include "interlink/v1/volume.pb.h"
#include "support/temporary_folder.h"

namespace interlink::engine {
namespace {

namespace fs = std::filesystem;
using interlink::v1::VolumeSnapshot;
using test::TemporaryFolder;

void AddFolder(VolumeSnapshot& snapshot, const std::string& path) {
  auto* entry = snapshot.add_entries();
  entry->set_path(path);
  entry->set_folder(true);
  entry->set_mode(0755);
}
void AddFile(VolumeSnapshot& snapshot, const std::string& path, const std::string& bytes,
             uint32_t mode = 0644) {
  auto* entry = snapshot.add_entries();
  entry->set_path(path);
  entry->set_file(bytes);
  entry->set_mode(mode);
}
void AddLink(VolumeSnapshot& snapshot, const std::string& path, const std::string& target) {
  auto* entry = snapshot.add_entries();
  entry->set_path(path);
  entry->set_link(target);
}

// As kubelet lays out a ConfigMap.
VolumeSnapshot ConfigMap(const std::string& version, const std::string& key,
                         const std::string& value) {
  VolumeSnapshot snapshot;
  AddFolder(snapshot, "");
  AddFolder(snapshot, ".." + version);
  AddFile(snapshot, ".." + version + "/" + key, value);
  AddLink(snapshot, "..data", ".." + version);
  AddLink(snapshot, key, "..data/" + key);
  return snapshot;
}

std::string Read(const std::string& path) {
  auto bytes = ReadFile(path);
  INFO(bytes.status().ToString());
  REQUIRE(bytes.ok());
  return *bytes;
}

mode_t ModeOf(const std::string& path) {
  struct stat about {};
  REQUIRE(lstat(path.c_str(), &about) == 0);
  return about.st_mode & 07777;
}

TEST_CASE("a volume is written as it is told, and what is new replaces what was") {
  const TemporaryFolder folder;
  const std::string place = folder.File("v");
  const auto first = ConfigMap("1", "a", "one");
  const auto second = ConfigMap("2", "b", "two");

  REQUIRE(CheckVolumeTree(first).ok());
  REQUIRE(WriteVolumeTree(first, place, false).ok());
  CHECK(Read(place + "/a") == "one");
  CHECK(ModeOf(place + "/..1/a") == 0644);
  REQUIRE(WriteVolumeTree(second, place, false).ok());

  CHECK(Read(place + "/b") == "two");
  CHECK_FALSE(fs::exists(fs::symlink_status(place + "/a")));
  CHECK_FALSE(fs::exists(place + "/..1"));
  CHECK(fs::read_symlink(place + "/..data") == "..2");
}

TEST_CASE("a single file is a volume too") {
  const TemporaryFolder folder;
  VolumeSnapshot snapshot;
  AddFile(snapshot, "", "127.0.0.1 localhost\n", 0600);

  REQUIRE(CheckVolumeTree(snapshot).ok());
  REQUIRE(WriteVolumeTree(snapshot, folder.File("hosts"), false).ok());

  CHECK(Read(folder.File("hosts")) == "127.0.0.1 localhost\n");
  CHECK(ModeOf(folder.File("hosts")) == 0600);
}

TEST_CASE("what is not ours can be replaced by us: it is readable and writable to us") {
  const TemporaryFolder folder;
  VolumeSnapshot snapshot;
  snapshot.add_entries()->set_folder(true);
  AddFile(snapshot, "secret", "s", 0);

  REQUIRE(WriteVolumeTree(snapshot, folder.File("v"), false).ok());

  CHECK(ModeOf(folder.File("v")) == 0700);
  CHECK(ModeOf(folder.File("v/secret")) == 0400);
  CHECK(WriteVolumeTree(snapshot, folder.File("v"), false).ok());
}

TEST_CASE("a tree that leads out of its place is refused") {
  VolumeSnapshot snapshot;
  AddFolder(snapshot, "");
  SECTION("by a path") {
    const std::string path = GENERATE(as<std::string>(), "../x", "/x", "a/../../x", "a//b", ".",
                                      ".interlink-new", "no-folder/x");
    AddFolder(snapshot, "a");
    AddFile(snapshot, path, "x");
  }
  SECTION("by a link") {
    AddLink(snapshot, "x", GENERATE(as<std::string>(), "/etc/passwd", "../x", "a/../../x", ""));
  }
  SECTION("by a file as a folder") {
    AddFile(snapshot, "f", "x");
    AddFile(snapshot, "f/x", "x");
  }
  SECTION("by a link as a folder") {
    AddLink(snapshot, "l", "a");
    AddFile(snapshot, "l/x", "x");
  }
  SECTION("twice the same") {
    AddFile(snapshot, "x", "1");
    AddFile(snapshot, "x", "2");
  }
  CHECK(CheckVolumeTree(snapshot).code() == Code::kInvalidArgument);
}

TEST_CASE("no root, or a root that is a link, is no tree") {
  VolumeSnapshot none;
  VolumeSnapshot link;
  AddLink(link, "", "x");
  CHECK(CheckVolumeTree(none).code() == Code::kInvalidArgument);
  CHECK(CheckVolumeTree(link).code() == Code::kInvalidArgument);
}

// A container may change what it has mounted: nothing of ours may go through its links.
TEST_CASE("a link that a container has put into its volume is not followed") {
  const TemporaryFolder folder;
  const std::string place = folder.File("v");
  REQUIRE(MakeDirectories(folder.File("outside/..2"), 0755).ok());
  REQUIRE(WriteFileAtomically(folder.File("outside/kept"), "kept", 0644).ok());
  REQUIRE(WriteVolumeTree(ConfigMap("1", "a", "one"), place, false).ok());
  SECTION("in the place of the folder that comes") {
    REQUIRE(symlink(folder.File("outside").c_str(), (place + "/..2").c_str()) == 0);
    CHECK_FALSE(WriteVolumeTree(ConfigMap("2", "a", "two"), place, false).ok());
  }
  SECTION("among what goes") {
    REQUIRE(symlink(folder.File("outside").c_str(), (place + "/extra").c_str()) == 0);
    CHECK(WriteVolumeTree(ConfigMap("2", "a", "two"), place, false).ok());
    CHECK_FALSE(fs::exists(fs::symlink_status(place + "/extra")));
  }
  CHECK(Read(folder.File("outside/kept")) == "kept");
  CHECK(fs::is_empty(folder.File("outside/..2")));
}

TEST_CASE("contents stand where they belong, and a pod's folder is one for all") {
  const TemporaryFolder folder;
  const PodFolder pod(folder.File("pod"));
  const ContainerId one(std::string(64, '1'));
  const ContainerId two(std::string(64, '2'));
  MountContents contents;
  const auto empty = std::make_shared<interlink::v1::MountContent>();
  empty->mutable_pod_folder()->set_name("cache");
  empty->mutable_pod_folder()->set_mode(0777);
  const auto log = std::make_shared<interlink::v1::MountContent>();
  log->mutable_termination_log()->set_mode(0666);
  const auto config = std::make_shared<interlink::v1::MountContent>();
  *config->mutable_snapshot() = ConfigMap("1", "a", "one");
  contents["/k/empty"] = empty;
  contents["/k/log"] = log;
  contents["/k/config"] = config;
  REQUIRE(MakeDirectories(pod.Container(one), 0700).ok());
  REQUIRE(MakeDirectories(pod.Container(two), 0700).ok());

  REQUIRE(CheckContents(contents).ok());
  auto of_one = MakeContents(contents, pod, one, false);
  auto of_two = MakeContents(contents, pod, two, false);

  REQUIRE(of_one.ok());
  REQUIRE(of_two.ok());
  CHECK((*of_one)["/k/empty"] == (*of_two)["/k/empty"]);
  CHECK(ModeOf((*of_one)["/k/empty"]) == 0777);
  CHECK((*of_one)["/k/config"] != (*of_two)["/k/config"]);
  CHECK(Read((*of_one)["/k/config"] + "/a") == "one");
  CHECK(ModeOf((*of_one)["/k/log"]) == 0666);
  CHECK(TerminationMessage(pod, one).empty());
  REQUIRE(WriteFileAtomically((*of_one)["/k/log"], std::string(5000, 'x') + "end", 0666).ok());
  CHECK(TerminationMessage(pod, one) == std::string(4093, 'x') + "end");
}

TEST_CASE("contents that are none, or two termination logs, are refused") {
  MountContents contents;
  const auto log = std::make_shared<interlink::v1::MountContent>();
  log->mutable_termination_log();
  contents["/a"] = log;
  const auto wrong = std::make_shared<interlink::v1::MountContent>();
  SECTION("nothing") {}
  SECTION("a name that is a path") { wrong->mutable_pod_folder()->set_name("../x"); }
  SECTION("a second log") { wrong->mutable_termination_log(); }
  contents["/b"] = wrong;
  CHECK(CheckContents(contents).code() == Code::kInvalidArgument);
}

}  // namespace
}  // namespace interlink::engine
