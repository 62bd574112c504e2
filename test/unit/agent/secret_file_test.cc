#include "agent/secret_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "base/file.h"
#include "support/temporary_folder.h"

namespace interlink::agent {
namespace {

TEST_CASE("a file that only its owner may use is read, without its line's end") {
  const test::TemporaryFolder folder;
  const std::string path = folder.File("token");
  REQUIRE(WriteFileAtomically(path, "secret\n", GENERATE(0600, 0400)).ok());

  CHECK(ReadSecretFile(path).value_or("?") == "secret");
}

TEST_CASE("a file that others may use is refused, with what would be right") {
  const test::TemporaryFolder folder;
  const std::string path = folder.File("token");
  const mode_t mode = GENERATE(0640, 0604, 0620, 0602, 0610, 0601, 0666);
  REQUIRE(WriteFileAtomically(path, "secret", 0600).ok());
  REQUIRE(chmod(path.c_str(), mode) == 0);

  const auto read = ReadSecretFile(path);

  CHECK(read.status().code() == Code::kPermissionDenied);
  CHECK(read.status().message().find("0600") != std::string::npos);
}

TEST_CASE("what is no file of one's own is refused") {
  const test::TemporaryFolder folder;
  const std::string path = folder.File("token");

  SECTION("absent") { CHECK(ReadSecretFile(path).status().code() == Code::kNotFound); }
  SECTION("a folder") {
    REQUIRE(mkdir(path.c_str(), 0700) == 0);
    CHECK(ReadSecretFile(path).status().code() == Code::kPermissionDenied);
  }
  SECTION("a pipe, which nobody writes") {
    REQUIRE(mkfifo(path.c_str(), 0600) == 0);
    CHECK(ReadSecretFile(path).status().code() == Code::kPermissionDenied);
  }
  SECTION("empty") {
    REQUIRE(WriteFileAtomically(path, "\n", 0600).ok());
    CHECK(ReadSecretFile(path).status().code() == Code::kInvalidArgument);
  }
  SECTION("another user's") {
    REQUIRE(WriteFileAtomically(path, "secret", 0600).ok());
    if (geteuid() != 0) return;  // only root can give a file away
    REQUIRE(chown(path.c_str(), 12345, 12345) == 0);
    CHECK(ReadSecretFile(path).status().code() == Code::kPermissionDenied);
  }
}

}  // namespace
}  // namespace interlink::agent
