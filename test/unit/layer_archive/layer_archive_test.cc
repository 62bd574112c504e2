// A layer's folder, written as an archive and read again: the same, file by file.
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

#include <catch2/catch.hpp>
#include <fstream>

#include "layer_archive/read_layer.h"
#include "layer_archive/write_layer.h"
#include "support/temporary_folder.h"
#include "tree_facts.h"

namespace interlink::test {
namespace {

namespace fs = std::filesystem;
using layer_archive::LayerOwners;

Call Soon() { return Call::WithTimeout(std::chrono::minutes(1)); }

Result<std::string> Written(const std::string& folder) {
  std::string bytes;
  RETURN_IF_ERROR(layer_archive::WriteLayer(Soon(), folder, [&](std::string_view some) {
    bytes += some;
    return Status();
  }));
  return bytes;
}

Status Read(const std::string& bytes, const std::string& to, LayerOwners owners) {
  size_t at = 0;
  // In odd portions, as from a network.
  const auto source = [&](char* buffer, size_t size) -> Result<size_t> {
    const size_t count = std::min({size, bytes.size() - at, size_t{777}});
    std::copy_n(bytes.data() + at, count, buffer);
    at += count;
    return count;
  };
  return layer_archive::ReadLayer(Soon(), source, to, owners);
}

void Put(const std::string& path, const std::string& bytes, mode_t mode = 0644) {
  fs::create_directories(fs::path(path).parent_path());
  std::ofstream(path, std::ios::binary) << bytes;
  REQUIRE(chmod(path.c_str(), mode) == 0);
}

void PutAt(const std::string& path, off_t at, const std::string& bytes, off_t size) {
  const UniqueFd file(open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
  REQUIRE(file);
  REQUIRE(pwrite(file.get(), bytes.data(), bytes.size(), at) == static_cast<ssize_t>(bytes.size()));
  REQUIRE(ftruncate(file.get(), size) == 0);
}

void Mark(const std::string& path, const std::string& name, const std::string& value) {
  INFO(path << " " << name);
  REQUIRE(lsetxattr(path.c_str(), name.c_str(), value.data(), value.size(), 0) == 0);
}

void SetTime(const std::string& path, time_t seconds, long nanos) {
  const timespec times[2] = {{seconds, nanos}, {seconds, nanos}};
  REQUIRE(utimensat(AT_FDCWD, path.c_str(), times, AT_SYMLINK_NOFOLLOW) == 0);
}

void MakeNames(const std::string& in) {
  for (const std::string name : {"plain", "with space", "two\nlines", "-dash", "..dots",
                                 "back\\slash", "quote\"", "a=b", "caf\xC3\xA9", "e\xCC\x81",
                                 "\xC3\xA9", "latin\xE9", "\xFF\xFE", "end", ".wh.file", "layer"}) {
    Put(in + "/" + name, "I am " + name);
  }
  Put(in + "/" + std::string(255, 'n'), "long");
  std::string deep = in;
  for (int i = 0; i < 12; ++i) deep += "/" + std::string(60, static_cast<char>('a' + i));
  Put(deep + "/\xE9", "deep");
}

void MakeHoles(const std::string& in) {
  constexpr off_t kMib = 1 << 20;
  PutAt(in + "/hole-first", 3 * kMib, "data", 3 * kMib + 4);
  PutAt(in + "/hole-last", 0, "data", 5 * kMib);
  PutAt(in + "/hole-middle", 0, "begin", 5);
  PutAt(in + "/hole-middle", 4 * kMib, "end", 4 * kMib + 3);
  PutAt(in + "/hole-everywhere", 0, "", 7 * kMib + 1);
  PutAt(in + "/huge", off_t{8} << 30, "far", (off_t{8} << 30) + 3);
  for (off_t i = 0; i < 200; ++i) {
    PutAt(in + "/many-holes", i * 2 * 65536, "x" + std::to_string(i), 200 * 2 * 65536);
  }
}

void MakeLinks(const std::string& in) {
  Put(in + "/first", "shared");
  Mark(in + "/first", "user.of", "all");
  fs::create_directory(in + "/below");
  fs::create_hard_link(in + "/first", in + "/second");
  fs::create_hard_link(in + "/first", in + "/below/third");
  REQUIRE(mkfifo((in + "/fifo").c_str(), 0640) == 0);
  REQUIRE(link((in + "/fifo").c_str(), (in + "/below/fifo").c_str()) == 0);
  for (const std::string target : {"first", "/etc/passwd", "../../..", "nowhere", "latin\xE9"}) {
    const std::string path = in + "/to " + std::to_string(target.size());
    REQUIRE(symlink(target.c_str(), path.c_str()) == 0);
    SetTime(path, 1'500'000'000, 7);
  }
  REQUIRE(symlink(std::string(4000, 't').c_str(), (in + "/to far").c_str()) == 0);
  REQUIRE(link((in + "/to 7").c_str(), (in + "/below/same link").c_str()) == 0);
}

void MakeAttributes(const std::string& in) {
  Put(in + "/marked", "x");
  Mark(in + "/marked", "user.binary", std::string("a\0\n\xFF=b", 6));
  Mark(in + "/marked", "user.empty", "");
  Mark(in + "/marked", "user.odd=na%me \xE9", "value");
  Mark(in + "/marked", "user.long", std::string(1500, 'v'));
  Mark(in, "user.overlay.opaque", "y");
}

// Everything that a layer may be made of. What only root can make is there with root.
void MakeTree(const std::string& root) {
  for (const char* name : {"names", "holes", "links", "attributes", "modes", "times"}) {
    fs::create_directories(root + "/" + name);
  }
  MakeNames(root + "/names");
  MakeHoles(root + "/holes");
  MakeLinks(root + "/links");
  MakeAttributes(root + "/attributes");
  std::string noise(300'001, '\0');
  for (size_t i = 0; i < noise.size(); ++i) noise[i] = static_cast<char>(i * i >> 3U);
  Put(root + "/noise", noise);
  Put(root + "/nothing", "");
  for (const mode_t mode : {0400U, 0755U, 04755U, 02711U, 0666U}) {
    Put(root + "/modes/" + std::to_string(mode), "x", mode);
  }
  Put(root + "/modes/closed/in", "x");
  REQUIRE(chmod((root + "/modes/closed").c_str(), 0555) == 0);
  fs::create_directory(root + "/modes/open");
  REQUIRE(chmod((root + "/modes/open").c_str(), 03777) == 0);
  for (const time_t seconds :
       {time_t{0}, time_t{-1000}, time_t{1'000'000'000}, time_t{7'000'000'000}}) {
    Put(root + "/times/" + std::to_string(seconds), "x");
    SetTime(root + "/times/" + std::to_string(seconds), seconds, 123'456'789);
  }
  REQUIRE(mknod((root + "/gone").c_str(), S_IFCHR, makedev(0, 0)) == 0);
  REQUIRE(link((root + "/gone").c_str(), (root + "/links/gone").c_str()) == 0);
  SetTime(root + "/times", 1'234'567'890, 1);
  SetTime(root, 1'234'567'891, 2);
}

void MakeWhatOnlyRootCan(const std::string& root) {
  Put(root + "/owned/of 1234", "x", 04711);
  REQUIRE(chown((root + "/owned/of 1234").c_str(), 1234, 5678) == 0);
  REQUIRE(chmod((root + "/owned/of 1234").c_str(), 04711) == 0);
  Put(root + "/owned/of many", "x");
  REQUIRE(chown((root + "/owned/of many").c_str(), 4'000'000'000, 3'000'000'000) == 0);
  REQUIRE(chown((root + "/owned").c_str(), 99, 98) == 0);
  Put(root + "/owned/closed", "secret", 0);
  // cap_net_raw, effective: version 2 of the kernel's form.
  const std::string capability(
      "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00"
      "\x00\x00\x00\x00\x00\x00\x00\x00",
      20);
  Put(root + "/owned/able", "x", 0755);
  Mark(root + "/owned/able", "security.capability", capability);
  REQUIRE(symlink("x", (root + "/owned/link").c_str()) == 0);
  REQUIRE(lchown((root + "/owned/link").c_str(), 7, 8) == 0);
}

// A whiteout has no links, no time and no mode of its own.
Facts WithPlainWhiteouts(Facts facts) {
  for (auto& [path, fact] : facts) {
    if (!S_ISCHR(fact.about.st_mode)) continue;
    fact = Fact{};
    fact.about.st_mode = S_IFCHR;
  }
  return facts;
}

TEST_CASE("a layer of root comes out as it went in") {
  if (geteuid() != 0) return;
  TemporaryFolder folder;
  MakeTree(folder.File("a"));
  MakeWhatOnlyRootCan(folder.File("a"));
  REQUIRE(chmod(folder.File("a").c_str(), 0711) == 0);
  SetTime(folder.File("a"), 1'234'567'891, 2);
  const auto bytes = Written(folder.File("a"));
  INFO(bytes.status().ToString());
  REQUIRE(bytes.ok());

  const Status read = Read(*bytes, folder.File("b"), LayerOwners::kKept);

  INFO(read.ToString());
  REQUIRE(read.ok());
  const Facts before = WithPlainWhiteouts(FactsOf(folder.File("a")));
  CHECK(before.size() > 70);
  CHECK(Difference(before, WithPlainWhiteouts(FactsOf(folder.File("b")))).empty());
  // What is sent is about what it takes, not what files say that they hold.
  CHECK(bytes->size() < 20'000'000);
  const auto measured = layer_archive::MeasureLayer(Soon(), folder.File("a"));
  REQUIRE(measured.ok());
  CHECK(*measured > bytes->size() / 2);
  CHECK(*measured < bytes->size() * 2);
}

TEST_CASE("a layer for one user is all his, readable, and gives no rights") {
  TemporaryFolder folder;
  MakeTree(folder.File("a"));
  if (geteuid() == 0) MakeWhatOnlyRootCan(folder.File("a"));
  SetTime(folder.File("a"), 1'234'567'891, 2);
  const auto bytes = Written(folder.File("a"));
  INFO(bytes.status().ToString());
  REQUIRE(bytes.ok());

  const Status read = Read(*bytes, folder.File("b"), LayerOwners::kOne);

  INFO(read.ToString());
  REQUIRE(read.ok());
  Facts expected = WithPlainWhiteouts(FactsOf(folder.File("a")));
  for (auto& [path, fact] : expected) {
    if (S_ISCHR(fact.about.st_mode)) continue;
    auto& mode = fact.about.st_mode;
    if (S_ISDIR(mode)) mode = (mode & ~mode_t{S_ISUID}) | 0500;
    if (S_ISREG(mode) || S_ISFIFO(mode)) mode = (mode & ~mode_t{07000}) | 0400;
    fact.about.st_uid = geteuid();
    fact.about.st_gid = getegid();
    const size_t capability = fact.more.find(" [security.capability");
    if (capability == 0) fact.more = fact.more.substr(fact.more.find(']') + 1);
  }
  CHECK(Difference(expected, WithPlainWhiteouts(FactsOf(folder.File("b")))).empty());
}

TEST_CASE("devices and sockets stay behind, links are not followed") {
  TemporaryFolder folder;
  fs::create_directories(folder.File("a/in"));
  Put(folder.File("outside"), "not of the layer");
  REQUIRE(symlink(folder.File("outside").c_str(), folder.File("a/link").c_str()) == 0);
  REQUIRE(symlink("/etc", folder.File("a/folder").c_str()) == 0);
  if (geteuid() == 0) {
    REQUIRE(mknod(folder.File("a/null").c_str(), S_IFCHR | 0666, makedev(1, 3)) == 0);
    REQUIRE(mknod(folder.File("a/disk").c_str(), S_IFBLK | 0666, makedev(8, 0)) == 0);
  }
  const UniqueFd listener(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  folder.File("a/socket").copy(address.sun_path, sizeof address.sun_path - 1);
  REQUIRE(bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);

  const auto bytes = Written(folder.File("a"));
  REQUIRE(bytes.ok());
  REQUIRE(Read(*bytes, folder.File("b"), LayerOwners::kOne).ok());

  const Facts read = FactsOf(folder.File("b"));
  REQUIRE(read.size() == 4);
  CHECK(S_ISLNK(read.at("link").about.st_mode));
  CHECK(S_ISLNK(read.at("folder").about.st_mode));
  CHECK(S_ISDIR(read.at("in").about.st_mode));
  CHECK(bytes->find("not of the layer") == std::string::npos);
}

TEST_CASE("a layer that is no folder is not written") {
  TemporaryFolder folder;
  Put(folder.File("file"), "x");
  fs::create_directory(folder.File("real"));
  fs::create_symlink(folder.File("real"), folder.File("link"));

  CHECK(Written(folder.File("absent")).status().code() == Code::kNotFound);
  CHECK_FALSE(Written(folder.File("file")).ok());
  CHECK_FALSE(Written(folder.File("link")).ok());
  CHECK(Written(folder.File("real")).ok());
}

// The image store moves a layer away and then deletes it: half of one must not become a whole one.
TEST_CASE("a layer that is moved away while it is written has no end") {
  TemporaryFolder folder;
  Put(folder.File("a/large"), std::string(2 << 20, 'x'));
  Put(folder.File("a/other"), std::string(2 << 20, 'y'));
  std::string bytes;
  const Status written =
      layer_archive::WriteLayer(Soon(), folder.File("a"), [&](std::string_view some) {
        if (bytes.empty()) fs::rename(folder.File("a"), folder.File("trash"));
        bytes += some;
        return Status();
      });

  CHECK(written.code() == Code::kNotFound);
  CHECK(Read(bytes, folder.File("b"), LayerOwners::kOne).code() == Code::kDataLoss);
}

TEST_CASE("writing ends with the sink's error, or when nobody waits") {
  TemporaryFolder folder;
  Put(folder.File("a/large"), std::string(4 << 20, 'x'));
  int asked = 0;
  const Status full = layer_archive::WriteLayer(Soon(), folder.File("a"), [&](std::string_view) {
    return ++asked == 2 ? Unavailable("the line is cut") : Status();
  });
  CHECK(full.code() == Code::kUnavailable);
  CHECK(full.message() == "the line is cut");
  CHECK(asked == 2);

  const Call call = Soon();
  const Status cancelled = layer_archive::WriteLayer(call, folder.File("a"), [&](std::string_view) {
    call.Cancel();
    return Status();
  });
  CHECK(cancelled.code() == Code::kCancelled);
}

}  // namespace
}  // namespace interlink::test
