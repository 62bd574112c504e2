// Archives that WriteLayer does not make: nothing of them gets out of the folder, and none is taken
// for a layer.
#include <sys/sysmacros.h>

#include <catch2/catch.hpp>
#include <optional>

#include "layer_archive/read_layer.h"
#include "layer_archive/write_layer.h"
#include "support/temporary_folder.h"
#include "tree_facts.h"
#include "unit/images/tar_builder.h"

namespace interlink::test {
namespace {

namespace fs = std::filesystem;
using images::TarBuilder;
using images::TarEntry;
using layer_archive::LayerOwners;

Call WithinAMinute() { return Call::WithTimeout(std::chrono::minutes(1)); }

Status ReadHostile(const std::string& bytes, const std::string& to,
                   LayerOwners owners = LayerOwners::kOne,
                   const layer_archive::ReadLimits& limits = {}) {
  size_t at = 0;
  const auto source = [&](char* buffer, size_t size) -> Result<size_t> {
    const size_t count = std::min(size, bytes.size() - at);
    std::copy_n(bytes.data() + at, count, buffer);
    at += count;
    return count;
  };
  return layer_archive::ReadLayer(WithinAMinute(), source, to, owners, limits);
}

// A layer of these entries, with its root and its end.
std::string LayerOf(const std::vector<TarEntry>& entries, const std::string& end = "") {
  TarBuilder tar;
  tar.Folder("layer");
  for (const TarEntry& entry : entries) tar.Add(entry);
  const std::string right = "1 " + std::to_string(entries.size() + 1) + "\n";
  return tar.File("end", end.empty() ? right : end).Finish();
}

TarEntry Folder(const std::string& path) { return {path, AE_IFDIR, 0755, "", "", ""}; }
TarEntry File(const std::string& path) { return {path, AE_IFREG, 0644, "x", "", ""}; }
TarEntry Link(const std::string& path, const std::string& target) {
  return {path, AE_IFLNK, 0777, "", target, ""};
}
TarEntry HardLink(const std::string& path, const std::string& target) {
  return {path, AE_IFREG, 0644, "", "", target};
}
TarEntry Node(const std::string& path, mode_t type, dev_t device) {
  TarEntry entry{path, type, 0666, "", "", ""};
  entry.device = device;
  return entry;
}
TarEntry Marked(const std::string& path, const std::string& attribute) {
  TarEntry entry = File(path);
  entry.attributes = {{attribute, "y"}};
  return entry;
}

// A folder with something beside the layer that must stay as it is.
struct Bench {
  Bench() {
    std::ofstream(folder.File("victim")) << "mine";
    before = FactsOf(folder.path());
  }
  // What reading it answers; nothing was made but below `to`.
  Status Refused(const std::string& bytes, LayerOwners owners = LayerOwners::kOne) {
    const Status read = ReadHostile(bytes, folder.File("to"), owners);
    fs::remove_all(folder.File("to"));
    Facts now = FactsOf(folder.path());
    now[""] = before[""];
    CHECK(Difference(before, now).empty());
    return read;
  }

  TemporaryFolder folder;
  Facts before;
};

TEST_CASE("the archives of this test are read but for what is wrong with them") {
  TemporaryFolder folder;
  const std::string bytes =
      LayerOf({Folder("layer/a"), File("layer/a/b"), Link("layer/a/l", "/etc"),
               HardLink("layer/a/h", "layer/a/b"), Node("layer/a/gone", AE_IFCHR, makedev(0, 0)),
               Marked("layer/a/m", "user.x"), File("layer/c")});

  const Status read = ReadHostile(bytes, folder.File("to"));

  INFO(read.ToString());
  REQUIRE(read.ok());
  CHECK(FactsOf(folder.File("to")).size() == 8);
}

TEST_CASE("an entry that must not be is refused by its name, and nothing leaves the folder") {
  Bench bench;
  const std::string victim = bench.folder.File("victim");
  const std::vector<std::pair<std::string, std::vector<TarEntry>>> cases = {
      {"..", {File("layer/../victim")}},
      {".. in the middle", {Folder("layer/a"), File("layer/a/../../victim")}},
      {"..alone", {Folder("layer/..")}},
      {"absolute", {File(victim)}},
      {"not in the layer", {File("other/x")}},
      {"like the root", {File("layers/x")}},
      {"twice a slash", {File("layer//x")}},
      {"a dot", {File("layer/./x")}},
      {"through a link", {Link("layer/l", bench.folder.path()), File("layer/l/victim")}},
      {"a folder through a link", {Link("layer/l", bench.folder.path()), Folder("layer/l/new")}},
      {"over a link", {Link("layer/l", victim), File("layer/l")}},
      {"a folder over a link", {Link("layer/l", bench.folder.path()), Folder("layer/l")}},
      {"linked to the outside", {HardLink("layer/h", victim)}},
      {"linked to ..", {HardLink("layer/h", "layer/../victim")}},
      {"linked through a link",
       {Link("layer/l", bench.folder.path()), HardLink("layer/h", "layer/l/victim")}},
      {"linked to a folder", {Folder("layer/a"), HardLink("layer/h", "layer/a")}},
      {"linked to the root", {HardLink("layer/h", "layer")}},
      {"linked to nothing", {HardLink("layer/h", "layer/absent")}},
      {"linked over a file", {File("layer/a"), File("layer/b"), HardLink("layer/b", "layer/a")}},
      {"a device", {Node("layer/null", AE_IFCHR, makedev(1, 3))}},
      {"a disk", {Node("layer/disk", AE_IFBLK, makedev(8, 0))}},
      {"a disk 0:0", {Node("layer/disk", AE_IFBLK, makedev(0, 0))}},
      {"twice a file", {File("layer/a"), File("layer/a")}},
      {"twice a folder", {Folder("layer/a"), File("layer/b"), Folder("layer/a")}},
      {"a file below a file", {File("layer/a"), File("layer/a/b")}},
      {"behind its folder", {Folder("layer/a"), File("layer/b"), File("layer/a/c")}},
      {"without its folder", {File("layer/a/b")}},
      {"a second root", {Folder("layer")}},
      {"a mark of the overlay", {Marked("layer/a", "trusted.overlay.redirect")}},
      {"a label", {Marked("layer/a", "security.selinux")}},
      {"too long a name", {File("layer/" + std::string(256, 'x'))}},
      {"a link to nothing", {Link("layer/l", "")}}};
  for (const LayerOwners owners : {LayerOwners::kOne, LayerOwners::kKept}) {
    if (owners == LayerOwners::kKept && geteuid() != 0) continue;
    for (const auto& [name, entries] : cases) {
      INFO(name);
      const Status refused = bench.Refused(LayerOf(entries), owners);
      INFO(refused.ToString());
      CHECK(refused.code() == Code::kInvalidArgument);
    }
  }
}

TEST_CASE("too deep a folder is refused") {
  Bench bench;
  std::vector<TarEntry> entries;
  std::string path = "layer";
  for (int i = 0; i < 300; ++i) entries.push_back(Folder(path += "/d"));
  CHECK(bench.Refused(LayerOf(entries)).code() == Code::kInvalidArgument);
}

TEST_CASE("a layer whose root is no folder, or is not first, is refused") {
  Bench bench;
  for (const TarEntry& first :
       {File("layer"), Link("layer", bench.folder.path()), File("layer/x")}) {
    TarBuilder tar;
    tar.Add(first).File("layer/victim", "x").File("end", "1 2\n");
    CHECK(bench.Refused(tar.Finish()).code() == Code::kInvalidArgument);
  }
}

TEST_CASE("beyond its limits a layer is not unpacked") {
  TemporaryFolder folder;
  std::vector<TarEntry> many;
  for (int i = 0; i < 20; ++i) many.push_back(File("layer/" + std::to_string(i)));
  const std::string bytes = LayerOf(many);
  CHECK(ReadHostile(bytes, folder.File("a"), LayerOwners::kOne, {20, 21}).ok());
  CHECK(ReadHostile(bytes, folder.File("b"), LayerOwners::kOne, {20, 20}).code() ==
        Code::kResourceExhausted);
  CHECK(ReadHostile(bytes, folder.File("c"), LayerOwners::kOne, {19, 21}).code() ==
        Code::kResourceExhausted);
  CHECK(FactsOf(folder.File("c")).size() == 20);
}

// A few bytes of an archive may say a file of any size.
TEST_CASE("a hole counts as what it says that it holds") {
  TemporaryFolder folder;
  fs::create_directory(folder.File("layer"));
  std::ofstream(folder.File("layer/bomb")) << "x";
  fs::resize_file(folder.File("layer/bomb"), 1ULL << 40U);
  std::string bytes;
  REQUIRE(
      layer_archive::WriteLayer(WithinAMinute(), folder.File("layer"), [&](std::string_view some) {
        bytes += some;
        return Status();
      }).ok());
  CHECK(bytes.size() < 20'000);

  const Status refused = ReadHostile(bytes, folder.File("to"));

  CHECK(refused.code() == Code::kResourceExhausted);
  CHECK(refused.message().find("bomb") != std::string::npos);
}

TEST_CASE("an archive that is cut anywhere is no layer") {
  TemporaryFolder folder;
  fs::create_directories(folder.File("layer/a"));
  // Zeros, as the end of an archive has: a cut between entries looks like an end.
  std::ofstream(folder.File("layer/a/zeros")) << std::string(2048, '\0');
  std::ofstream(folder.File("layer/z")) << "last";
  std::string bytes;
  REQUIRE(
      layer_archive::WriteLayer(WithinAMinute(), folder.File("layer"), [&](std::string_view some) {
        bytes += some;
        return Status();
      }).ok());
  // Behind the last entry are zeros that nobody needs.
  const size_t end = bytes.rfind("1 4\n") + 4;
  REQUIRE(end > 4);

  for (size_t size = 0; size < end; size += size % 512 == 0 ? 1 : 511) {
    INFO(size);
    const std::string to = folder.File("to-" + std::to_string(size));
    CHECK(ReadHostile(bytes.substr(0, size), to).code() == Code::kDataLoss);
  }
  CHECK(ReadHostile(bytes, folder.File("whole")).ok());
}

TEST_CASE("an end that does not fit is damage") {
  TemporaryFolder folder;
  int number = 0;
  const std::vector<std::string> ends = {"1 1\n", "1 3\n", "2 2\n",      "1 2",
                                         "",      "x",     "1 2\n1 2\n", std::string(5000, '1')};
  for (const std::string& end : ends) {
    INFO(end);
    const std::string to = folder.File(std::to_string(++number));
    TarBuilder tar;
    tar.Folder("layer").File("layer/a", "x").File("end", end);
    CHECK(ReadHostile(tar.Finish(), to).code() == Code::kDataLoss);
  }
  TarBuilder empty;
  CHECK(ReadHostile(empty.File("end", "1 0\n").Finish(), folder.File("none")).code() ==
        Code::kDataLoss);
  TarBuilder behind;
  behind.Folder("layer").File("end", "1 1\n").File("layer/late", "x");
  CHECK(ReadHostile(behind.Finish(), folder.File("behind")).code() == Code::kInvalidArgument);
  CHECK(ReadHostile("no archive at all", folder.File("words")).code() == Code::kDataLoss);
  CHECK(ReadHostile(std::string(1 << 20, '\0'), folder.File("zeros")).code() == Code::kDataLoss);
}

TEST_CASE("what the source says is told, and a folder that is there is not touched") {
  TemporaryFolder folder;
  const auto lost = [](char*, size_t) -> Result<size_t> { return Unavailable("the line is cut"); };
  const Status told =
      layer_archive::ReadLayer(WithinAMinute(), lost, folder.File("a"), LayerOwners::kOne);
  CHECK(told.code() == Code::kUnavailable);
  CHECK(told.message() == "the line is cut");

  fs::create_directory(folder.File("there"));
  CHECK_FALSE(ReadHostile(LayerOf({File("layer/a")}), folder.File("there")).ok());
  CHECK(fs::is_empty(folder.File("there")));
}

}  // namespace
}  // namespace interlink::test
