// Layers that the site brings: whole or not at all, whatever is lost on the way.
#include "agent/layer_folder.h"

#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "layer_archive/verdict.h"
#include "layer_archive/write_layer.h"
#include "support/eventually.h"
#include "support/temporary_folder.h"

namespace interlink::agent {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;
using test::Eventually;

constexpr const char* kName = "v1-7-1.5";

struct LayerLab {
  LayerLab() {
    fs::create_directories(folder.File("site/etc"));
    std::ofstream(folder.File("site/etc/file")) << std::string(1 << 20, 'x');
    options.folder = folder.File("layers");
    Open();
  }
  void Open() {
    auto opened = LayerFolder::Open(options, log);
    INFO(opened.status().ToString());
    REQUIRE(opened.ok());
    layers = *std::move(opened);
  }
  static Status Send(int end, const std::string& bytes) {
    for (size_t at = 0; at < bytes.size();) {
      const ssize_t count = send(end, bytes.data() + at, bytes.size() - at, MSG_NOSIGNAL);
      if (count < 0) return Unavailable("the agent takes no more");
      at += static_cast<size_t>(count);
    }
    return {};
  }
  std::string Archive() const {
    std::string bytes;
    REQUIRE(layer_archive::WriteLayer(Soon(), folder.File("site"), [&](std::string_view some) {
              bytes += some;
              return Status();
            }).ok());
    return bytes;
  }
  static Call Soon() { return Call::WithTimeout(std::chrono::seconds(30)); }
  // What the agent says of what was sent.
  static Status Verdict(int end) {
    std::string line;
    char byte = 0;
    while (read(end, &byte, 1) == 1) line += byte;
    const auto verdict = layer_archive::ParseVerdict(line);
    return verdict.ok() ? verdict->status : verdict.status();
  }
  Status Bring(const std::string& name, const std::string& bytes) {
    auto end = layers->Put(name);
    if (!end.ok()) return end.status();
    const Status sent = Send(end->get(), bytes);
    shutdown(end->get(), SHUT_WR);
    const Status verdict = Verdict(end->get());
    return verdict.ok() ? sent : verdict;
  }
  std::vector<std::string> Names() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(options.folder)) {
      names.push_back(entry.path().filename());
    }
    return names;
  }
  bool IsEmpty() const {
    return Eventually([&] { return Names().empty(); });
  }

  test::TemporaryFolder folder;
  NullLog log;
  LayerFolder::Options options;
  std::unique_ptr<LayerFolder> layers;
};

TEST_CASE("a layer that was brought is there, once, and outlives the agent") {
  LayerLab lab;
  CHECK(lab.layers->PathOf(kName).status().code() == Code::kUnavailable);

  const Status brought = lab.Bring(kName, lab.Archive());

  INFO(brought.ToString());
  REQUIRE(brought.ok());
  const auto path = lab.layers->PathOf(kName);
  REQUIRE(path.ok());
  CHECK(*path == lab.options.folder + "/" + kName);
  CHECK(fs::file_size(*path + "/etc/file") == 1 << 20);
  CHECK(lab.Names() == std::vector<std::string>{kName});
  CHECK(lab.layers->Put(kName).status().code() == Code::kAlreadyExists);
  lab.layers.reset();
  lab.Open();
  CHECK(lab.layers->PathOf(kName).ok());
}

TEST_CASE("a layer that is cut off leaves nothing, and may come again") {
  LayerLab lab;
  const std::string bytes = lab.Archive();

  for (const size_t size :
       {size_t{0}, size_t{1}, size_t{512}, bytes.size() / 2, bytes.size() - 2048}) {
    INFO(size);
    CHECK(lab.Bring(kName, bytes.substr(0, size)).code() == Code::kDataLoss);
    CHECK(lab.IsEmpty());
  }
  CHECK(lab.Bring(kName, bytes).ok());
}

TEST_CASE(
    "a layer beyond the limits, or that must not be, is refused in words and leaves nothing") {
  LayerLab lab;
  lab.options.limits.max_bytes = 1000;
  lab.Open();
  const Status large = lab.Bring(kName, lab.Archive());
  CHECK(large.code() == Code::kResourceExhausted);
  CHECK(large.message().find("larger than 1000 bytes") != std::string::npos);
  CHECK(lab.IsEmpty());
  CHECK(lab.Bring(kName, "what is no archive").code() == Code::kDataLoss);
  CHECK(lab.IsEmpty());
}

TEST_CASE("on a full disk a layer is refused in words and leaves nothing") {
  if (geteuid() != 0) return;
  LayerLab lab;
  fs::create_directory(lab.folder.File("small"));
  const std::string small = lab.folder.File("small");
  REQUIRE(mount("tmpfs", small.c_str(), "tmpfs", 0, "size=256k") == 0);
  lab.options.folder = small + "/layers";
  lab.Open();

  const Status full = lab.Bring(kName, lab.Archive());

  CHECK(full.code() == Code::kResourceExhausted);
  CHECK(full.message().find("No space left on device") != std::string::npos);
  CHECK(lab.IsEmpty());
  lab.layers.reset();
  CHECK(umount(small.c_str()) == 0);
}

TEST_CASE("what a killed agent has left of a layer goes") {
  LayerLab lab;
  REQUIRE(lab.Bring(kName, lab.Archive()).ok());
  lab.layers.reset();
  const std::string left = lab.options.folder + "/tmp-0123456789abcdef";
  fs::create_directories(left + "/closed/in");
  fs::permissions(left + "/closed", fs::perms::none);

  lab.Open();

  CHECK(Eventually([&] { return lab.Names() == std::vector<std::string>{kName}; }));
}

TEST_CASE("only a name that a site gives is one") {
  LayerLab lab;
  for (const std::string& name :
       std::vector<std::string>{"", ".", "..", "a/b", "/etc", "../x", "tmp-1", ".hidden", "Upper",
                                "a b", "a\n", std::string(129, 'x')}) {
    INFO(name);
    CHECK(lab.layers->Put(name).status().code() == Code::kInvalidArgument);
    CHECK(lab.layers->PathOf(name).status().code() == Code::kInvalidArgument);
  }
  std::ofstream(lab.options.folder + "/file") << "no folder";
  fs::create_directory_symlink("/etc", lab.options.folder + "/link");
  CHECK(lab.layers->PathOf("file").status().code() == Code::kUnavailable);
  CHECK(lab.layers->PathOf("link").status().code() == Code::kUnavailable);
}

TEST_CASE("a site that sends a layer anew ends what is left of the first try") {
  LayerLab lab;
  const std::string bytes = lab.Archive();
  const auto first = lab.layers->Put(kName);
  REQUIRE(first.ok());
  REQUIRE(lab.Send(first->get(), bytes.substr(0, 1000)).ok());

  CHECK(lab.Bring(kName, bytes).ok());

  char byte = 0;
  CHECK(Eventually([&] { return recv(first->get(), &byte, 1, MSG_DONTWAIT) <= 0; }));
  CHECK(Eventually([&] { return lab.Names() == std::vector<std::string>{kName}; }));
}

TEST_CASE("so many layers come at once, and no more") {
  LayerLab lab;
  lab.options.max_arrivals = 2;
  lab.Open();
  auto first = lab.layers->Put("a");
  const auto second = lab.layers->Put("b");
  REQUIRE(first.ok());
  REQUIRE(second.ok());

  CHECK(lab.layers->Put("c").status().code() == Code::kResourceExhausted);
  first->Reset();

  CHECK(Eventually([&] { return lab.layers->Put("c").ok(); }));
}

TEST_CASE("a site that says nothing more is not waited for, nor at the end") {
  LayerLab lab;
  lab.options.quiet = milliseconds(50);
  lab.Open();
  const auto end = lab.layers->Put(kName);
  REQUIRE(end.ok());
  CHECK(lab.Verdict(end->get()).code() == Code::kUnavailable);

  lab.options.quiet = std::chrono::hours(1);
  lab.Open();
  const auto other = lab.layers->Put(kName);
  REQUIRE(other.ok());
  lab.layers.reset();  // a wait for the hour would end the test by its limit
  char byte = 0;
  while (read(other->get(), &byte, 1) == 1) {
  }
  CHECK(lab.IsEmpty());
}

}  // namespace
}  // namespace interlink::agent
