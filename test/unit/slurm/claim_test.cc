// The claim's file: absent, garbled, in a folder that is not there.
#include "slurm/claim.h"

#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>

#include "base/file.h"
#include "support/small_disk.h"
#include "support/temporary_folder.h"

namespace interlink::slurm {

TEST_CASE("A pod without a claim is nobody's") {
  test::TemporaryFolder folder;
  const auto claim = ReadClaim(folder.path());
  REQUIRE(claim.ok());
  CHECK_FALSE(claim->has_value());
}

TEST_CASE("A pod folder that cannot be seen is an error, not nobody's pod") {
  test::TemporaryFolder folder;
  CHECK_FALSE(ReadClaim(folder.File("absent")).ok());
  CHECK_FALSE(TakeClaim(folder.File("absent")).ok());
}

TEST_CASE("A garbled claim is an error and stays as it is") {
  test::TemporaryFolder folder;
  const std::string text =
      GENERATE("", "nonce=a\n", "job=1\n", "nonce=a\njob=x\n", "nonce=a\njob=1", "rubbish\n");
  REQUIRE(WriteFileAtomically(folder.File("claim"), text, 0600).ok());

  CHECK(ReadClaim(folder.path()).status().code() == Code::kDataLoss);
  CHECK(TakeClaim(folder.path()).status().code() == Code::kDataLoss);

  CHECK(ReadFile(folder.File("claim")).value() == text);
}

TEST_CASE("Keys of a newer script are no hindrance") {
  test::TemporaryFolder folder;
  REQUIRE(WriteFileAtomically(folder.File("claim"), "nonce=a\njob=7\nrestarts=1\nnew=x=y\n", 0600)
              .ok());
  const auto claim = ReadClaim(folder.path());
  REQUIRE(claim.ok());
  REQUIRE(claim->has_value());
  CHECK((*claim)->job == 7);
  CHECK((*claim)->restarts == 1);
}

TEST_CASE("The site's claim leaves one file") {
  test::TemporaryFolder folder;
  REQUIRE(TakeClaim(folder.path()).ok());
  REQUIRE(TakeClaim(folder.path()).ok());
  size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path())) {
    ++files;
    CHECK(entry.path().filename() == "claim");
  }
  CHECK(files == 1);
}

TEST_CASE("A prepared claim is taken on a full disk, and was nobody's before") {
  test::TemporaryFolder folder;
  CHECK(test::RunOnSmallDisk(folder.path(), "256k", [&] {
    test::Expect(PrepareClaim(folder.path()).ok(), "prepared");
    test::FillDisk(folder.File("fill"));
    const auto before = ReadClaim(folder.path());
    test::Expect(before.ok() && !before->has_value(), "nobody's");
    const auto taken = TakeClaim(folder.path());
    test::Expect(taken.ok() && taken->IsSite(), "taken: " + taken.status().ToString());
    const auto again = TakeClaim(folder.path());
    test::Expect(again.ok() && again->nonce == taken->nonce, "the same");
  }));
}

TEST_CASE("A prepared claim of the site does not take a job's") {
  test::TemporaryFolder folder;
  REQUIRE(PrepareClaim(folder.path()).ok());
  REQUIRE(WriteFileAtomically(folder.File("claim"), "nonce=a\njob=7\nrestarts=0\n", 0600).ok());
  const auto claim = TakeClaim(folder.path());
  REQUIRE(claim.ok());
  CHECK_FALSE(claim->IsSite());
  CHECK(claim->job == 7);
}

}  // namespace interlink::slurm
