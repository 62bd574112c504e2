#include "base/trash.h"

#include <sys/mount.h>

#include <catch2/catch.hpp>
#include <filesystem>

#include "base/file.h"
#include "support/eventually.h"
#include "support/small_disk.h"
#include "support/temporary_folder.h"

namespace interlink {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

struct Bench {
  test::TemporaryFolder folder;
  NullLog log;
  std::unique_ptr<Trash> trash;

  explicit Bench(Trash::Options options) {
    options.folder = folder.File("trash");
    std::filesystem::create_directories(options.folder);
    trash = std::make_unique<Trash>(options, log);
  }
  void Discard(const std::string& name) const {
    std::filesystem::create_directories(folder.File(name + "/deep"));
    REQUIRE(WriteFileAtomically(folder.File(name + "/deep/file"), "x", 0600).ok());
    REQUIRE(trash->Discard(folder.File(name), 1, 3).ok());
  }
  bool Empty() const { return std::filesystem::is_empty(folder.File("trash")); }
};

TEST_CASE("What is discarded is gone at once from its place, and counted until it is deleted") {
  const Bench bench({"", hours(1), 5000, hours(1)});

  bench.Discard("layer");

  CHECK_FALSE(std::filesystem::exists(bench.folder.File("layer")));
  CHECK_FALSE(bench.Empty());
  CHECK(bench.trash->pending().bytes == 1);
  CHECK(bench.trash->pending().inodes == 3);
}

// It slept for an hour when what came found it idle.
TEST_CASE("What is discarded is deleted after the delay") {
  const Bench bench({"", milliseconds(20), 5000, hours(1)});

  bench.Discard("one");
  CHECK(test::Eventually([&] { return bench.Empty(); }));
  bench.Discard("two");
  CHECK(test::Eventually([&] { return bench.Empty(); }));
}

TEST_CASE("A deletion waits while it is put off") {
  const Bench bench({"", Duration::zero(), 5000, hours(1)});
  bench.trash->Pause();
  bench.Discard("layer");
  CHECK_FALSE(bench.Empty());

  bench.trash->Resume();

  CHECK(test::Eventually([&] { return bench.Empty(); }));
  CHECK(test::Eventually([&] { return bench.trash->pending().inodes == 0; }));
}

// A site of many nodes always pulls: the trash grew until the disk was full.
TEST_CASE("A deletion is not put off for ever") {
  const Bench bench({"", Duration::zero(), 5000, milliseconds(20)});
  bench.trash->Pause();

  bench.Discard("one");
  bench.Discard("two");

  CHECK(test::Eventually([&] { return bench.Empty(); }));
}

TEST_CASE("A full disk waits neither for the delay nor for a pause") {
  const Bench bench({"", hours(1), 5000, hours(1)});
  bench.trash->Pause();
  bench.Discard("one");
  bench.Discard("two");

  bench.trash->Hurry();

  CHECK(test::Eventually([&] { return bench.Empty(); }));
  bench.Discard("three");
  CHECK_FALSE(bench.Empty());
}

TEST_CASE("The end does not wait for what is being deleted, and the next start goes on with it") {
  Bench bench({"", hours(1), 1, hours(1)});  // a file each 100 ms
  std::filesystem::create_directories(bench.folder.File("many"));
  for (int i = 0; i < 1000; ++i)
    std::filesystem::create_directory(bench.folder.File("many/" + std::to_string(i)));
  REQUIRE(bench.trash->Discard(bench.folder.File("many"), 0, 0).ok());
  bench.trash->Hurry();

  bench.trash.reset();
  CHECK_FALSE(bench.Empty());

  bench.trash = std::make_unique<Trash>(Trash::Options{bench.folder.File("trash")}, bench.log);
  CHECK(test::Eventually([&] { return bench.Empty(); }));
}

TEST_CASE("What is not there need not be discarded") {
  const Bench bench({"", hours(1), 5000, hours(1)});

  CHECK(bench.trash->Discard(bench.folder.File("absent"), 1, 1).ok());
  CHECK(bench.trash->pending().inodes == 0);
}

// An item that cannot go held up, or lost, those behind it.
TEST_CASE("What cannot be deleted is tried again, and the rest goes meanwhile") {
  const test::TemporaryFolder folder;
  const std::string& top = folder.path();
  const bool left = test::RunOnSmallDisk(top, "4m", [&top] {
    Trash::Options options;
    options.folder = top + "/trash";
    options.again = milliseconds(20);
    NullLog log;
    Trash trash(options, log);
    const auto discard = [&](const std::string& name) {
      test::Expect(trash.Discard(top + "/" + name, 1, 1).ok(), "discard " + name);
    };
    const auto empty = [&top] { return std::filesystem::is_empty(top + "/trash"); };
    std::filesystem::create_directories(top + "/held/mount");
    std::filesystem::create_directories(top + "/held/other");
    test::Expect(mount("held", (top + "/held/mount").c_str(), "tmpfs", 0, "size=64k") == 0,
                 "mount");
    discard("held");
    const std::string held = std::filesystem::directory_iterator(top + "/trash")->path();
    std::filesystem::create_directories(top + "/next");

    discard("next");

    test::Expect(test::Eventually([&] { return trash.pending().inodes == 1; }), "the next goes");
    test::Expect(!std::filesystem::exists(held + "/other"), "what is beside it goes");
    test::Expect(std::filesystem::exists(held + "/mount"), "the mount stays");
    test::Expect(test::Eventually([&] { return umount2((held + "/mount").c_str(), 0) == 0; }),
                 "unmount");
    test::Expect(test::Eventually(empty), "it is tried again");
    test::Expect(test::Eventually([&] { return trash.pending().inodes == 0; }), "nothing is left");
  });
  CHECK(left);
}

TEST_CASE("What cannot be moved stays whole, and the trash is made anew") {
  const test::TemporaryFolder folder;
  const std::string& top = folder.path();
  const bool left = test::RunOnSmallDisk(top, "4m", [&top] {
    std::filesystem::create_directories(top + "/other");
    std::filesystem::create_directories(top + "/trash");
    test::Expect(mount("other", (top + "/other").c_str(), "tmpfs", 0, "size=64k") == 0, "mount");
    std::filesystem::create_directories(top + "/other/layer/deep");
    NullLog log;
    Trash trash({top + "/trash", hours(1)}, log);

    test::Expect(!trash.Discard(top + "/other/layer", 1, 1).ok(), "it is on another file system");

    test::Expect(std::filesystem::exists(top + "/other/layer/deep"), "it is whole");
    test::Expect(trash.pending().inodes == 0, "nothing is pending");
    test::Expect(RemoveTree(top + "/trash").ok(), "an operator removes the trash");
    std::filesystem::create_directories(top + "/one");
    test::Expect(trash.Discard(top + "/one", 1, 1).ok(), "the trash is made again");
    test::Expect(!std::filesystem::exists(top + "/one"), "it is in the trash");
    test::Expect(trash.pending().inodes == 1, "it is pending");
  });
  CHECK(left);
}

}  // namespace
}  // namespace interlink
