#include "site_volumes/volume_files.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <filesystem>

#include "support/manual_clock.h"
#include "support/temporary_folder.h"

namespace interlink::site_volumes {
namespace {

const NodeId kOne("node-1");
const NodeId kTwo("node/../2");
const std::string kA = "sha256:" + std::string(64, 'a');
const std::string kB = "sha256:" + std::string(64, 'b');

struct Lab {
  std::unique_ptr<site::Volumes> OpenAgain() {
    auto made = Open({.folder = folder.File("volumes"), .bytes_per_node = 100}, log, clock);
    REQUIRE(made.ok());
    return *std::move(made);
  }
  test::TemporaryFolder folder;
  NullLog log;
  SystemClock clock;
  std::unique_ptr<site::Volumes> volumes = OpenAgain();
};

TEST_CASE("a volume is its node's alone, and is there after a restart") {
  Lab lab;

  REQUIRE(lab.volumes->Put(kOne, kA, "bytes").ok());
  REQUIRE(lab.volumes->Put(kOne, kA, "bytes").ok());
  REQUIRE(lab.volumes->Put(kTwo, kB, "others").ok());

  CHECK(lab.volumes->Get(kOne, kA).value() == "bytes");
  CHECK(lab.volumes->Get(kTwo, kA).status().code() == Code::kNotFound);
  CHECK_FALSE(lab.volumes->Has(kTwo, kA));
  lab.volumes = lab.OpenAgain();
  CHECK(lab.volumes->Has(kOne, kA));
  CHECK(lab.volumes->Get(kTwo, kB).value() == "others");
  for (const auto& file :
       std::filesystem::recursive_directory_iterator(lab.folder.File("volumes"))) {
    struct stat about {};
    REQUIRE(stat(file.path().c_str(), &about) == 0);
    CHECK((about.st_mode & 077) == 0);
  }
}

TEST_CASE("a node has a bound, and what it has already counts") {
  Lab lab;
  REQUIRE(lab.volumes->Put(kOne, kA, std::string(60, 'x')).ok());

  CHECK(lab.volumes->Put(kOne, kB, std::string(41, 'x')).code() == Code::kResourceExhausted);
  CHECK(lab.volumes->Put(kTwo, kB, std::string(41, 'x')).ok());
  CHECK(lab.volumes->Put(kOne, kB, std::string(40, 'x')).ok());
}

TEST_CASE("what nobody waits for goes an hour after it was sent last") {
  Lab lab;
  REQUIRE(lab.volumes->Put(kOne, kA, "a").ok());
  REQUIRE(lab.volumes->Put(kOne, kB, "b").ok());
  const auto age = [&](const std::string& hex) {
    for (const auto& file :
         std::filesystem::recursive_directory_iterator(lab.folder.File("volumes"))) {
      if (file.path().filename() != hex) continue;
      const timespec old[2] = {{1'000'000, 0}, {1'000'000, 0}};
      REQUIRE(utimensat(AT_FDCWD, file.path().c_str(), old, 0) == 0);
    }
  };

  lab.volumes->KeepOnly({});
  CHECK(lab.volumes->Has(kOne, kA));
  age(std::string(64, 'a'));
  age(std::string(64, 'b'));
  lab.volumes->KeepOnly({{kOne, {kB}}});

  CHECK_FALSE(lab.volumes->Has(kOne, kA));
  CHECK(lab.volumes->Has(kOne, kB));
  age(std::string(64, 'b'));
  REQUIRE(lab.volumes->Put(kOne, kB, "b").ok());
  lab.volumes->KeepOnly({});
  CHECK(lab.volumes->Has(kOne, kB));
}

TEST_CASE("what is no digest, or no name of a node that fits a file's, is refused") {
  Lab lab;
  const std::string digest =
      GENERATE(as<std::string>(), "", "sha256:", "sha512:aa", "sha256:../../x", "x");

  CHECK(lab.volumes->Put(kOne, digest, "x").code() == Code::kInvalidArgument);
  CHECK(lab.volumes->Get(kOne, digest).status().code() == Code::kInvalidArgument);
  CHECK_FALSE(lab.volumes->Has(kOne, digest));
  CHECK(lab.volumes->Put(NodeId(std::string(200, 'n')), kA, "x").code() == Code::kInvalidArgument);
}

}  // namespace
}  // namespace interlink::site_volumes
