#include "site_volumes/volume_files.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <cerrno>
#include <filesystem>
#include <future>

#include "support/eventually.h"
#include "support/manual_clock.h"
#include "support/temporary_folder.h"

namespace {

// The disk as a test wants it.
std::atomic<bool> stalled = false;  // nothing that is written becomes durable
std::atomic<int> writes = 0;        // that have come so far
std::atomic<bool> folder_fails = false;

}  // namespace

// In the place of libc's, for this program.
extern "C" int fdatasync(int fd) {
  ++writes;
  while (stalled) ::poll(nullptr, 0, 2);
  return static_cast<int>(::syscall(SYS_fdatasync, fd));
}
extern "C" int fsync(int fd) {
  if (!folder_fails) return static_cast<int>(::syscall(SYS_fsync, fd));
  errno = EIO;
  return -1;
}

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

// Put held the lock while it wrote: on a disk that stalled, those who only looked waited as well,
// and with them the heartbeats of all nodes.
TEST_CASE("while a volume is being written it is looked for, and is not there yet") {
  Lab lab;
  const std::string bytes(60, 'x');
  stalled = true;
  const int before = writes;
  const auto put = [&](const std::string& digest) {
    return std::async(std::launch::async,
                      [&, digest] { return lab.volumes->Put(kOne, digest, bytes); });
  };
  auto first = put(kA);
  const bool writing = test::Eventually([&] { return writes > before; });

  auto looks = std::async(std::launch::async, [&] { return lab.volumes->Has(kOne, kA); });
  auto other = put(kB);
  auto again = put(kA);
  const auto limit = std::chrono::seconds(10);
  const bool seen = looks.wait_for(limit) == std::future_status::ready;
  const bool counted = other.wait_for(limit) == std::future_status::ready;
  stalled = false;

  CHECK(writing);
  CHECK(seen);
  CHECK(counted);
  CHECK_FALSE(looks.get());
  CHECK(other.get().code() == Code::kResourceExhausted);
  CHECK(first.get().ok());
  CHECK(again.get().ok());
  CHECK(lab.volumes->Has(kOne, kA));
  CHECK(writes == before + 1);
}

// It was in its place, but was never taken for held: whoever wanted it sent it for ever.
TEST_CASE("a volume whose write failed at last is there when it is sent again") {
  Lab lab;
  folder_fails = true;
  const Status failed = lab.volumes->Put(kOne, kA, "bytes");
  const Status again = lab.volumes->Put(kOne, kA, "bytes");
  folder_fails = false;
  CHECK_FALSE(failed.ok());
  CHECK_FALSE(again.ok());
  CHECK_FALSE(lab.volumes->Has(kOne, kA));

  CHECK(lab.volumes->Put(kOne, kA, "bytes").ok());

  CHECK(lab.volumes->Has(kOne, kA));
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
