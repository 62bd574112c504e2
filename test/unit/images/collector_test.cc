// When the trash is emptied. image_store_test.cc has what comes into it.
#include "images/collector.h"

#include <catch2/catch.hpp>
#include <filesystem>

#include "support/eventually.h"
#include "unit/images/temp_folder.h"

namespace interlink::images {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

struct Trash {
  TempFolder temp;
  NullLog log;
  std::unique_ptr<Collector> collector;

  explicit Trash(Collector::Options options) {
    options.trash = temp / "trash";
    std::filesystem::create_directories(options.trash);
    collector = std::make_unique<Collector>(options, log);
  }
  void Discard(const std::string& name) const {
    std::filesystem::create_directories(temp / (name + "/deep"));
    temp.Write(name + "/deep/file", "x");
    REQUIRE(collector->Discard(temp / name, 1, 3).ok());
  }
  bool Empty() const { return std::filesystem::is_empty(temp / "trash"); }
};

TEST_CASE("What is discarded is gone at once from its place, and counted until it is deleted") {
  const Trash trash({"", hours(1), 5000, hours(1)});

  trash.Discard("layer");

  CHECK_FALSE(std::filesystem::exists(trash.temp / "layer"));
  CHECK_FALSE(trash.Empty());
  CHECK(trash.collector->pending().bytes == 1);
  CHECK(trash.collector->pending().inodes == 3);
}

// It slept for an hour when what came found it idle.
TEST_CASE("What is discarded is deleted after the delay") {
  const Trash trash({"", milliseconds(20), 5000, hours(1)});

  trash.Discard("one");
  CHECK(test::Eventually([&] { return trash.Empty(); }));
  trash.Discard("two");
  CHECK(test::Eventually([&] { return trash.Empty(); }));
}

TEST_CASE("A deletion waits for a pull") {
  const Trash trash({"", Duration::zero(), 5000, hours(1)});
  trash.collector->BeginPull();
  trash.Discard("layer");
  CHECK_FALSE(trash.Empty());

  trash.collector->EndPull();

  CHECK(test::Eventually([&] { return trash.Empty(); }));
  CHECK(test::Eventually([&] { return trash.collector->pending().inodes == 0; }));
}

// A site of many nodes always pulls: its trash grew until the disk was full.
TEST_CASE("A deletion does not wait for pulls for ever") {
  const Trash trash({"", Duration::zero(), 5000, milliseconds(20)});
  trash.collector->BeginPull();

  trash.Discard("one");
  trash.Discard("two");

  CHECK(test::Eventually([&] { return trash.Empty(); }));
}

TEST_CASE("A full disk waits neither for the delay nor for a pull") {
  const Trash trash({"", hours(1), 5000, hours(1)});
  trash.collector->BeginPull();
  trash.Discard("one");
  trash.Discard("two");

  trash.collector->Hurry();

  CHECK(test::Eventually([&] { return trash.Empty(); }));
  trash.Discard("three");
  CHECK_FALSE(trash.Empty());
}

}  // namespace
}  // namespace interlink::images
