#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <fstream>
#include <thread>

#include "images/layer_path.h"
#include "images/unpack_layer.h"
#include "support/small_disk.h"
#include "unit/images/tar_builder.h"
#include "unit/images/temp_folder.h"

namespace interlink::images {
namespace {

// One layer's folder, and the unpacking into it.
struct LayerBench {
  TempFolder temp;
  UnpackRequest request;
  Call call = Call::WithTimeout(std::chrono::minutes(1));

  Result<UnpackedLayer> Unpack(const std::string& blob, const std::string& tar,
                               const std::string& name = "layer") {
    request.blob_path = temp.Write("blob", blob);
    request.target = temp / name;
    request.diff_id = Digest::Of(tar);
    ::mkdir(request.target.c_str(), 0755);
    return UnpackLayer(call, request);
  }
  Result<UnpackedLayer> Unpack(const std::string& tar) { return Unpack(tar, tar); }
  std::string At(const std::string& path) const { return temp.path() + "/layer/" + path; }
  struct stat Stat(const std::string& path) const {
    struct stat about {};
    REQUIRE(::lstat(At(path).c_str(), &about) == 0);
    return about;
  }
};

bool IsWhiteout(const struct stat& about) {
  return S_ISCHR(about.st_mode) && about.st_rdev == makedev(0, 0);
}

std::string Attribute(const std::string& path, const char* name) {
  char value[64] = {};
  const ssize_t size = ::lgetxattr(path.c_str(), name, value, sizeof(value));
  return size < 0 ? "" : std::string(value, static_cast<size_t>(size));
}

void Fill(TarBuilder& tar) {
  tar.Folder("./").Folder("bin", 0750).File("bin/tool", "hello", 04755);
  tar.Add({"bin/link", AE_IFREG, 0, "", "", "./bin/tool"});
  tar.Add({"etc", AE_IFLNK, 0777, "", "/usr/etc", ""});
  tar.Add({"owned", AE_IFREG, 0640, "x", "", "", 1234, 5678});
}

// Writes into the first header and makes its checksum right again.
void Patch(std::string& tar, size_t offset, const std::string& value) {
  tar.replace(offset, value.size(), value);
  tar.replace(148, 8, "        ");
  unsigned sum = 0;
  for (size_t i = 0; i < 512; ++i) sum += static_cast<unsigned char>(tar[i]);
  char field[8];
  snprintf(field, sizeof(field), "%06o", sum);
  tar.replace(148, 8, std::string(field, 7) + ' ');
}

TEST_CASE("Layers are unpacked whatever their packing") {
  const auto packing = GENERATE(Packing::kPlain, Packing::kGzip, Packing::kZstd);
  TarBuilder plain;
  TarBuilder packed(packing);
  Fill(plain);
  Fill(packed);
  LayerBench bench;

  const auto unpacked = bench.Unpack(packed.Finish(), plain.Finish());

  REQUIRE(unpacked.status().ToString() == "OK");
  CHECK(Slurp(bench.At("bin/tool")) == "hello");
  CHECK((bench.Stat("bin/tool").st_mode & 07777U) == 04755);
  CHECK(bench.Stat("bin/link").st_ino == bench.Stat("bin/tool").st_ino);
  CHECK((bench.Stat("bin").st_mode & 07777U) == 0750);
  CHECK(bench.Stat("bin").st_mtime == 1'000'000'000);
  CHECK(S_ISLNK(bench.Stat("etc").st_mode));
  CHECK(bench.Stat("owned").st_uid == 1234);
  CHECK(bench.Stat("owned").st_gid == 5678);
  CHECK(unpacked->bytes == 6);
}

// A layer first implied a folder (by a whiteout in it), then put a link in its place: the mode that
// the folder had to get went through the link, to any path of the machine, as root.
TEST_CASE("An implied folder that becomes a link leaves what it leads to alone") {
  LayerBench bench;
  const std::string outside = bench.temp / "outside";
  REQUIRE(::mkdir(outside.c_str(), 0700) == 0);
  TarBuilder tar;
  tar.File("a/.wh..wh..opq", "").Add({"a", AE_IFLNK, 0777, "", outside, ""});

  const auto unpacked = bench.Unpack(tar.Finish());

  REQUIRE(unpacked.status().ToString() == "OK");
  CHECK(S_ISLNK(bench.Stat("a").st_mode));
  struct stat about {};
  REQUIRE(::stat(outside.c_str(), &about) == 0);
  CHECK((about.st_mode & 07777U) == 0700);
}

TEST_CASE("Entries that leave the layer or go through its links are refused by name") {
  const auto [entry, word] = GENERATE(table<TarEntry, std::string>({
      {{"../evil", AE_IFREG, 0644, "x", "", ""}, "leaves its root"},
      {{"a/../../evil", AE_IFREG, 0644, "x", "", ""}, "leaves its root"},
      {{"link/evil", AE_IFREG, 0644, "x", "", ""}, "link/evil"},
      {{"link/deeper/evil", AE_IFREG, 0644, "x", "", ""}, "link/deeper/evil"},
      {{"file/evil", AE_IFREG, 0644, "x", "", ""}, "file/evil"},
      {{"hard", AE_IFREG, 0644, "", "", "../evil"}, "leaves its root"},
      {{"hard", AE_IFREG, 0644, "", "", "/etc/passwd"}, "not in this layer"},
      {{"hard", AE_IFREG, 0644, "", "", "link/passwd"}, "not in this layer"},
      {{".wh...", AE_IFREG, 0644, "", "", ""}, "leaves its root"},
      {{"a/.wh..", AE_IFREG, 0644, "", "", ""}, "leaves its root"},
      {{"link/.wh.passwd", AE_IFREG, 0644, "", "", ""}, "link/.wh.passwd"},
      {{"link/.wh..wh..opq", AE_IFREG, 0644, "", "", ""}, "link/.wh..wh..opq"},
      {{"./", AE_IFLNK, 0777, "", "/etc", ""}, "root"},
  }));
  LayerBench bench;
  const std::string outside = bench.temp / "outside";
  REQUIRE(::mkdir(outside.c_str(), 0755) == 0);
  bench.temp.Write("outside/passwd", "untouched");
  TarBuilder tar;
  tar.Add({"link", AE_IFLNK, 0777, "", outside, ""}).File("file", "y").Add(entry);

  const auto unpacked = bench.Unpack(tar.Finish());

  REQUIRE_FALSE(unpacked.ok());
  CHECK(unpacked.status().code() == Code::kInvalidArgument);
  CHECK_THAT(unpacked.status().message(), Catch::Contains(word));
  CHECK(::access((bench.temp / "evil").c_str(), F_OK) != 0);
  CHECK(::access((outside + "/evil").c_str(), F_OK) != 0);
  CHECK(Slurp(outside + "/passwd") == "untouched");
}

TEST_CASE("Absolute names mean names below the layer's root") {
  LayerBench bench;
  TarBuilder tar;
  tar.Folder("/abs").File("/abs/file", "in").Add({"/abs/again", AE_IFREG, 0, "", "", "/abs/file"});

  REQUIRE(bench.Unpack(tar.Finish()).status().ToString() == "OK");
  CHECK(Slurp(bench.At("abs/again")) == "in");
}

TEST_CASE("A link that is replaced by a file does not write through itself") {
  LayerBench bench;
  const std::string outside = bench.temp.Write("victim", "untouched");
  TarBuilder tar;
  tar.Add({"x", AE_IFLNK, 0777, "", outside, ""}).File("x", "mine");

  REQUIRE(bench.Unpack(tar.Finish()).status().ToString() == "OK");
  CHECK(Slurp(outside) == "untouched");
  CHECK(S_ISREG(bench.Stat("x").st_mode));
}

TEST_CASE("A hard link never changes what it links to") {
  LayerBench bench;
  TarBuilder tar;
  tar.File("a", "contents").Add({"b", AE_IFREG, 0644, "", "", "a"});

  REQUIRE(bench.Unpack(tar.Finish()).status().ToString() == "OK");
  CHECK(Slurp(bench.At("a")) == "contents");
}

TEST_CASE("Whiteouts become what overlayfs understands") {
  LayerBench bench;
  TarBuilder tar;
  tar.File(".wh.gone", "").Folder("kept").File("kept/.wh..wh..opq", "");
  tar.File("deep/er/.wh.file", "").File("own", "x").File(".wh.own", "");
  tar.Folder("renewed").File(".wh.renewed", "").File(".wh.later", "").Folder("later");
  tar.File(".wh..wh.plnk", "note");

  REQUIRE(bench.Unpack(tar.Finish()).status().ToString() == "OK");
  CHECK(IsWhiteout(bench.Stat("gone")));
  CHECK(Attribute(bench.At("kept"), "trusted.overlay.opaque") == "y");
  CHECK(::access(bench.At("kept/.wh..wh..opq").c_str(), F_OK) != 0);
  CHECK(IsWhiteout(bench.Stat("deep/er/file")));
  CHECK(S_ISREG(bench.Stat("own").st_mode));
  CHECK(Attribute(bench.At("renewed"), "trusted.overlay.opaque") == "y");
  CHECK(S_ISDIR(bench.Stat("later").st_mode));
  CHECK(Attribute(bench.At("later"), "trusted.overlay.opaque") == "y");
  CHECK(::access(bench.At(".wh..wh.plnk").c_str(), F_OK) != 0);
}

TEST_CASE("A layer that hides everything below it says so") {
  LayerBench bench;
  TarBuilder tar;
  tar.File(".wh..wh..opq", "").File("only", "x");

  const auto unpacked = bench.Unpack(tar.Finish());

  REQUIRE(unpacked.ok());
  CHECK(unpacked->root_opaque);
}

TEST_CASE("Folders that a layer does not describe look as in the layers below") {
  LayerBench bench;
  TarBuilder bottom;
  bottom.Add({"var", AE_IFDIR, 01777, "", "", "", 7, 8}).Folder("var/spool", 0700);
  bottom.Folder("gone", 0711).Folder("opaque").Folder("opaque/in", 0700);
  TarBuilder middle;
  middle.File(".wh.gone", "").Folder("opaque").File("opaque/.wh..wh..opq", "");
  const std::string first = bottom.Finish();
  const std::string second = middle.Finish();
  REQUIRE(bench.Unpack(first, first, "bottom").ok());
  bench.request.lowers = {bench.temp / "bottom"};
  REQUIRE(bench.Unpack(second, second, "middle").ok());
  bench.request.lowers = {bench.temp / "bottom", bench.temp / "middle"};
  TarBuilder top;
  top.File("var/spool/mail", "x").File("gone/new", "y").File("opaque/in/z", "z");

  const auto unpacked = bench.Unpack(top.Finish());

  REQUIRE(unpacked.status().ToString() == "OK");
  CHECK((bench.Stat("var").st_mode & 07777U) == 01777);
  CHECK(bench.Stat("var").st_uid == 7);
  CHECK(bench.Stat("var").st_gid == 8);
  CHECK((bench.Stat("var/spool").st_mode & 07777U) == 0700);
  CHECK((bench.Stat("gone").st_mode & 07777U) == 0755);
  CHECK((bench.Stat("opaque/in").st_mode & 07777U) == 0755);
  CHECK(unpacked->implied.size() == 5);
}

TEST_CASE("Capabilities are kept, what steers the overlay is not") {
  LayerBench bench;
  TarBuilder tar;
  const std::string capability(
      "\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
      "\x00\x00\x00\x00",
      20);
  TarEntry file{"ping", AE_IFREG, 0755, "x", "", ""};
  file.attributes = {{"security.capability", capability}, {"user.note", "n"}};
  TarEntry folder{"trick", AE_IFDIR, 0755, "", "", ""};
  folder.attributes = {{"trusted.overlay.opaque", "y"},
                       {"trusted.overlay.redirect", "/x"},
                       {"user.overlay.opaque", "y"}};
  tar.Add(file).Add(folder);

  REQUIRE(bench.Unpack(tar.Finish()).status().ToString() == "OK");
  CHECK(Attribute(bench.At("ping"), "security.capability") == capability);
  CHECK(Attribute(bench.At("ping"), "user.note") == "n");
  CHECK(Attribute(bench.At("trick"), "trusted.overlay.opaque").empty());
  CHECK(Attribute(bench.At("trick"), "trusted.overlay.redirect").empty());
  CHECK(Attribute(bench.At("trick"), "user.overlay.opaque").empty());
}

TEST_CASE("Names are bytes") {
  const std::string name = GENERATE(as<std::string>(), "caf\xc3\xa9",
                                    "cafe\xcc\x81",  // decomposed: must not be composed
                                    "\xe6\x97\xa5\xe6\x9c\xac", "\xff\xfe raw");
  LayerBench bench;
  // GNU tar's way: raw bytes in the plain header.
  std::string tar = TarBuilder().File("NAME", "x").Finish();
  Patch(tar, 0, std::string(4, '\0'));
  Patch(tar, 0, name);

  REQUIRE(bench.Unpack(tar).status().ToString() == "OK");
  CHECK(Slurp(bench.At(name)) == "x");
}

TEST_CASE("A tar without its end is taken, a cut entry is not") {
  LayerBench bench;
  TarBuilder whole;
  whole.File("a", "first").File("b", std::string(700, 'b'));
  const std::string tar = whole.Finish();
  const size_t data_end = 512 + 512 + 512 + 700;

  SECTION("without the end mark") {
    REQUIRE(bench.Unpack(tar.substr(0, data_end + 324)).status().ToString() == "OK");
    CHECK(Slurp(bench.At("b")) == std::string(700, 'b'));
  }
  SECTION("without the padding either") {
    REQUIRE(bench.Unpack(tar.substr(0, data_end)).status().ToString() == "OK");
    CHECK(Slurp(bench.At("b")) == std::string(700, 'b'));
  }
  SECTION("inside the last entry's bytes") {
    const size_t cut = GENERATE(1U, 100U, 600U);
    const auto unpacked = bench.Unpack(tar.substr(0, data_end - cut));
    REQUIRE_FALSE(unpacked.ok());
    CHECK(unpacked.status().code() == Code::kDataLoss);
  }
  SECTION("inside a header") {
    const auto unpacked = bench.Unpack(tar.substr(0, 1024 + 100));
    REQUIRE_FALSE(unpacked.ok());
    CHECK(unpacked.status().code() == Code::kDataLoss);
  }
}

TEST_CASE("A layer in many compressed pieces is one layer") {
  // As pigz and eStargz write them.
  const auto packing = GENERATE(Packing::kGzip, Packing::kZstd);
  const std::string tar =
      TarBuilder().File("a", std::string(3000, 'a')).File("b", std::string(3000, 'b')).Finish();
  std::string blob;
  for (size_t begin = 0; begin < tar.size(); begin += 2000)
    blob += Compress(tar.substr(begin, 2000), packing);
  LayerBench bench;

  REQUIRE(bench.Unpack(blob, tar).status().ToString() == "OK");
  CHECK(Slurp(bench.At("b")) == std::string(3000, 'b'));
}

TEST_CASE("Bytes that hash to something else are refused") {
  LayerBench bench;

  const auto unpacked = bench.Unpack(TarBuilder().File("a", "x").Finish(), "something else");

  REQUIRE_FALSE(unpacked.ok());
  CHECK(unpacked.status().code() == Code::kDataLoss);
}

TEST_CASE("Damaged compression is refused") {
  TarBuilder packed(Packing::kGzip);
  packed.File("a", std::string(100'000, 'x'));
  std::string blob = packed.Finish();
  blob.resize(blob.size() / 2);
  LayerBench bench;

  CHECK(bench.Unpack(blob, "x").status().code() == Code::kDataLoss);
}

TEST_CASE("Bombs end at their limit") {
  LayerBench bench;
  bench.request.limits.max_bytes = 4U << 20U;

  SECTION("more bytes than allowed") {
    TarBuilder packed(Packing::kZstd);
    packed.File("zeros", std::string(8U << 20U, '\0'));
    CHECK(bench.Unpack(packed.Finish(), "x").status().code() == Code::kResourceExhausted);
  }
  SECTION("a ratio that no layer has") {
    bench.request.limits.max_bytes = 1U << 30U;
    bench.request.limits.ratio_counts_from = 1U << 20U;
    TarBuilder packed(Packing::kZstd);
    packed.File("zeros", std::string(32U << 20U, '\0'));
    CHECK(bench.Unpack(packed.Finish(), "x").status().code() == Code::kResourceExhausted);
  }
  SECTION("a size that only the header claims") {
    std::string tar = TarBuilder().File("huge", "x").Finish();
    Patch(tar, 124, "77777777777");  // size, octal
    CHECK(bench.Unpack(tar).status().code() == Code::kResourceExhausted);
  }
  SECTION("more entries than allowed") {
    bench.request.limits.max_entries = 3;
    TarBuilder tar;
    for (const char* name : {"a", "b", "c", "d"}) tar.File(name, "");
    CHECK(bench.Unpack(tar.Finish()).status().code() == Code::kResourceExhausted);
  }
}

TEST_CASE("Device nodes are made by root") {
  LayerBench bench;
  TarBuilder tar;
  tar.Add({"null", AE_IFCHR, 0666, "", "", "", 0, 0, makedev(1, 3)});

  const auto unpacked = bench.Unpack(tar.Finish());

  if (::geteuid() == 0) {
    REQUIRE(unpacked.status().ToString() == "OK");
    CHECK(bench.Stat("null").st_rdev == makedev(1, 3));
  } else {
    CHECK_THAT(unpacked.status().message(), Catch::Contains("null"));
  }
}

// Some images have files and folders without any right; a site that was no root could not copy them
// for its jobs, nor delete them.
TEST_CASE("What an ordinary user unpacks its owner can read") {
  LayerBench bench;
  TarBuilder tar;
  tar.Folder("closed", 0).File("closed/shadow", "secret", 0).File("program", "x", 0755);
  tar.Add({"hard", AE_IFREG, 0, "", "", "closed/shadow"}).Add({"link", AE_IFLNK, 0777, "", "x"});
  const std::string bytes = tar.Finish();
  REQUIRE(::chmod(bench.temp.path().c_str(), 0777) == 0);

  std::string end;
  std::jthread([&] {
    // Of this thread alone, without the wrapper that would take all threads along.
    if (::geteuid() == 0) ::syscall(SYS_setresuid, 12345, 12345, 12345);
    bench.request.blob_path = bench.temp.path() + "/blob";
    bench.request.target = bench.temp.path() + "/layer";
    bench.request.diff_id = Digest::Of(bytes);
    ::mkdir(bench.request.target.c_str(), 0755);
    std::ofstream(bench.request.blob_path) << bytes;
    end = UnpackLayer(bench.call, bench.request).status().ToString();
  }).join();

  REQUIRE(end == "OK");
  CHECK((bench.Stat("closed").st_mode & 07777U) == 0700);
  CHECK((bench.Stat("closed/shadow").st_mode & 07777U) == 0400);
  CHECK((bench.Stat("program").st_mode & 07777U) == 0755);
  CHECK(bench.Stat("hard").st_ino == bench.Stat("closed/shadow").st_ino);
}

TEST_CASE("A cancelled unpacking ends") {
  LayerBench bench;
  bench.call.Cancel();

  CHECK(bench.Unpack(TarBuilder().File("a", "x").Finish()).status().code() == Code::kCancelled);
}

TEST_CASE("An empty layer is a layer") {
  LayerBench bench;

  CHECK(bench.Unpack(TarBuilder().Finish()).status().ToString() == "OK");
  CHECK(bench.Unpack("", "").status().ToString() == "OK");
}

TEST_CASE("Names of entries become paths or are refused") {
  CHECK(EntryPath("./a//b/").value_or("?") == "a/b");
  CHECK(EntryPath("/").value_or("?").empty());
  CHECK_FALSE(EntryPath("..").ok());
  CHECK_FALSE(EntryPath("a/..").ok());
  CHECK_FALSE(EntryPath(std::string(300, 'a')).ok());
  std::string deep;
  for (int i = 0; i < 300; ++i) deep += "d/";
  CHECK_FALSE(EntryPath(deep).ok());
  CHECK(QuotedEntry("a\n\"") == "entry \"a\\x0a\\x22\"");
}

// 32 MiB that a blob of a few KiB holds: the room for the blob says nothing about them.
TEST_CASE("Unpacking leaves free what is to stay free") {
  const TempFolder temp;
  const bool left = test::RunOnSmallDisk(temp.path(), "48m", [&] {
    TarBuilder plain;
    TarBuilder packed(Packing::kGzip);
    for (TarBuilder* tar : {&plain, &packed})
      tar->File("small", "x").File("big", std::string(32U << 20U, 'x'));
    UnpackRequest request;
    request.blob_path = temp.Write("blob", packed.Finish());
    request.diff_id = Digest::Of(plain.Finish());
    request.keep_free = 20U << 20U;
    request.target = temp / "layer";
    ::mkdir(request.target.c_str(), 0755);

    const Status end = UnpackLayer(Call::WithTimeout(std::chrono::minutes(1)), request).status();

    test::Expect(end.code() == Code::kResourceExhausted, end.ToString());
    const auto room = std::filesystem::space(temp.path());
    test::Expect(room.available >= request.keep_free, std::to_string(room.available));
    test::Expect(room.available < request.keep_free + (3U << 20U), std::to_string(room.available));
    request.keep_free = 0;
    request.target = temp / "again";
    test::Expect(RemoveTree(temp / "layer").ok(), "remove the first");
    ::mkdir(request.target.c_str(), 0755);
    const Status fits = UnpackLayer(Call::WithTimeout(std::chrono::minutes(1)), request).status();
    test::Expect(fits.ok(), fits.ToString());
  });
  CHECK(left);
}

}  // namespace
}  // namespace interlink::images
