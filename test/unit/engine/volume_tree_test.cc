// Snapshots of kubelet's volumes as files.
#include "engine/volume_tree.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <filesystem>
#include <optional>
#include <thread>

#include "base/file.h"
#include "base/unique_fd.h"
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

// The bytes of "a" and of "b" by one look at "..data"; nothing: that version went meanwhile, as
// kubelet's do.
std::optional<std::pair<std::string, std::string>> ReadOneVersion(const std::string& place) {
  const UniqueFd version(open((place + "/..data").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!version) return {};
  const auto read_one = [&](const char* name) {
    const UniqueFd file(openat(version.get(), name, O_RDONLY | O_CLOEXEC));
    std::string bytes(64, '\0');
    const ssize_t size = file ? read(file.get(), bytes.data(), bytes.size()) : -1;
    bytes.resize(size > 0 ? static_cast<size_t>(size) : 0);
    return size < 0 ? std::nullopt : std::optional(bytes);
  };
  const auto a = read_one("a");
  const auto b = read_one("b");
  if (!a || !b) return {};
  return std::pair(*a, *b);
}

TEST_CASE("a reader of a volume that is exchanged sees one version of it or the next") {
  const TemporaryFolder folder;
  const std::string place = folder.File("v");
  const auto version = [](int number) {
    const std::string value = std::to_string(number);
    auto snapshot = ConfigMap(value, "a", value);
    AddFile(snapshot, ".." + value + "/b", value);
    return snapshot;
  };
  REQUIRE(WriteVolumeTree(version(0), place, false).ok());
  std::atomic<bool> over = false;
  std::atomic<int> reads = 0;
  std::string mixed;
  std::jthread reader([&] {
    int last = 0;
    while (!over) {
      const auto seen = ReadOneVersion(place);
      if (!seen) continue;
      const int number = seen->first.empty() ? -1 : std::stoi(seen->first);
      if (seen->first != seen->second || number < last) mixed = seen->first + "," + seen->second;
      last = number;
      ++reads;
    }
  });

  for (int i = 1; i < 200 || reads < 200; ++i) {
    REQUIRE(ExchangeVolumeTree(version(i), place, false).ok());
  }
  over = true;
  reader.join();

  CHECK(mixed.empty());
}

TEST_CASE("a file that is mounted by itself changes in its place, also where it is read-only") {
  const TemporaryFolder folder;
  const std::string place = folder.File("hosts");
  VolumeSnapshot first;
  AddFile(first, "", "127.0.0.1 a-long-name\n", 0444);
  VolumeSnapshot second;
  AddFile(second, "", "127.0.0.1 b\n", 0400);
  REQUIRE(WriteVolumeTree(first, place, false).ok());
  const UniqueFd mounted(open(place.c_str(), O_RDONLY | O_CLOEXEC));

  REQUIRE(ExchangeVolumeTree(second, place, false).ok());

  std::string seen(64, '\0');
  const ssize_t size = pread(mounted.get(), seen.data(), seen.size(), 0);
  REQUIRE(size > 0);
  CHECK(seen.substr(0, static_cast<size_t>(size)) == "127.0.0.1 b\n");
  CHECK(ModeOf(place) == 0400);
}

TEST_CASE("a volume that was a folder does not become a file, nor the other way round") {
  const TemporaryFolder folder;
  VolumeSnapshot file;
  AddFile(file, "", "x");
  const auto map = ConfigMap("1", "a", "one");
  REQUIRE(WriteVolumeTree(map, folder.File("map"), false).ok());
  REQUIRE(WriteVolumeTree(file, folder.File("file"), false).ok());

  CHECK(ExchangeVolumeTree(file, folder.File("map"), false).code() == Code::kInvalidArgument);
  CHECK(ExchangeVolumeTree(map, folder.File("file"), false).code() == Code::kInvalidArgument);
  CHECK(ExchangeVolumeTree(map, folder.File("none"), false).code() == Code::kNotFound);
  CHECK(Read(folder.File("map/a")) == "one");
  CHECK(Read(folder.File("file")) == "x");
}

TEST_CASE("only what was made of a snapshot is exchanged") {
  const TemporaryFolder folder;
  const PodFolder pod(folder.File("pod"));
  const ContainerId one(std::string(64, '1'));
  const auto content = [](const VolumeSnapshot& snapshot) {
    const auto made = std::make_shared<interlink::v1::MountContent>();
    *made->mutable_snapshot() = snapshot;
    return made;
  };
  const auto log = std::make_shared<interlink::v1::MountContent>();
  log->mutable_termination_log()->set_mode(0666);
  const MountContents made = {{"/k/log", log}, {"/k/map", content(ConfigMap("1", "a", "one"))}};
  REQUIRE(MakeDirectories(pod.Container(one), 0700).ok());
  auto places = MakeContents(made, pod, one, false);
  REQUIRE(places.ok());
  const auto names = SnapshotNames(made, *places);
  const std::string contents = pod.Contents(one);
  REQUIRE(names.size() == 1);

  const auto newer = content(ConfigMap("2", "a", "two"));
  CHECK(ExchangeContents({{"/k/map", newer}}, names, contents, false).ok());
  CHECK(Read((*places)["/k/map"] + "/a") == "two");
  CHECK(ExchangeContents({{"/k/log", newer}}, names, contents, false).code() ==
        Code::kInvalidArgument);
  CHECK(ExchangeContents({{"/k/map", log}}, names, contents, false).code() ==
        Code::kInvalidArgument);
  // As a restart reads it.
  ContainerRecord record;
  record.id = one;
  record.contents = names;
  REQUIRE(Save(pod, record).ok());
  CHECK(LoadContainer(pod, one)->contents == names);
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
