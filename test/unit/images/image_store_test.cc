#include "images/image_store.h"

#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <barrier>
#include <catch2/catch.hpp>
#include <filesystem>
#include <thread>

#include "support/eventually.h"
#include "unit/images/fake_registry.h"
#include "unit/images/tar_builder.h"
#include "unit/images/temp_folder.h"

namespace interlink::images {
namespace {

const NodeId kNode("node-1");
const NodeId kOther("node-2");
const std::string kHost = "r.io:443";

std::string Tar(const std::string& path, const std::string& data) {
  return TarBuilder().File(path, data).Finish();
}

struct StoreBench {
  TempFolder temp;
  FakeRegistry fake;
  NullLog log;
  Options options;
  std::unique_ptr<ImageStore> store;

  StoreBench() {
    options.root = temp / "store";
    options.delete_delay = Duration::zero();
    Reopen();
  }
  void Reopen() {
    store.reset();
    auto opened = ImageStore::Open(options, fake.Transport(), log);
    REQUIRE(opened.status().ToString() == "OK");
    store = *std::move(opened);
  }
  Result<site::Image> Pull(const std::string& name, const NodeId& node = kNode,
                           const runtime::v1::AuthConfig& auth = {},
                           const Call& call = Call::WithTimeout(std::chrono::minutes(1))) {
    ASSIGN_OR_RETURN(site::Pulled pulled, PullWhole(name, node, auth, call));
    return std::move(pulled.image);
  }
  Result<site::Pulled> PullWhole(const std::string& name, const NodeId& node = kNode,
                                 const runtime::v1::AuthConfig& auth = {},
                                 const Call& call = Call::WithTimeout(std::chrono::minutes(1))) {
    runtime::v1::ImageSpec spec;
    spec.set_image(name);
    return store->Pull(call, node, spec, auth, nullptr);
  }
  size_t Layers() const {
    size_t count = 0;
    for ([[maybe_unused]] const auto& entry :
         std::filesystem::directory_iterator(options.root + "/layers"))
      ++count;
    return count;
  }
  bool Empty(const std::string& folder) const {
    return std::filesystem::is_empty(options.root + "/" + folder);
  }
};

std::vector<std::string> Tags(const site::Image& image) {
  return {image.image.repo_tags().begin(), image.image.repo_tags().end()};
}

TEST_CASE("A pulled image is found by its tag, digest, id and the id's beginning") {
  StoreBench bench;
  const FakeImage made =
      bench.fake.PutImage(kHost, "app", "1", {Tar("a", "x"), Tar("b", "y")}, R"("User":"7:8")");

  const auto pulled = bench.Pull("r.io/app:1");

  REQUIRE(pulled.status().ToString() == "OK");
  CHECK(pulled->image.id() == made.id);
  CHECK(Tags(*pulled) == std::vector<std::string>{"r.io/app:1"});
  CHECK(pulled->image.repo_digests(0) == "r.io/app@" + made.manifest);
  CHECK(pulled->image.uid().value() == 7);
  CHECK(pulled->image.size() > 0);
  const std::string name = GENERATE_COPY(as<std::string>(), "r.io/app:1",
                                         "r.io/app@" + made.manifest, "r.io/app:9@" + made.manifest,
                                         made.id, made.id.substr(7), made.id.substr(7, 9));
  const auto found = bench.store->Find(kNode, name);
  REQUIRE(found.ok());
  REQUIRE(found->size() == 1);
  CHECK(found->front().image.SerializeAsString() == pulled->image.SerializeAsString());
  CHECK(bench.store->Find(kOther, name)->empty());
}

TEST_CASE("An image that is not there is nothing, whatever it is called") {
  StoreBench bench;
  const std::string name = GENERATE(as<std::string>(), "r.io/app:1", std::string(64, '0'), "UPPER",
                                    "../x", "sha256:", "");

  CHECK(bench.store->Find(kNode, name)->empty());
  CHECK(bench.store->Remove(kNode, name).value_or("?").empty());
  CHECK(bench.store->Remove(kNode, name).value_or("?").empty());
}

TEST_CASE("A pull by digest has no tag") {
  StoreBench bench;
  const FakeImage made = bench.fake.PutImage(kHost, "app", "1", {Tar("a", "x")});

  const auto pulled = bench.Pull("r.io/app:1@" + made.manifest);

  REQUIRE(pulled.ok());
  CHECK(Tags(*pulled).empty());
  CHECK(pulled->image.repo_digests_size() == 1);
}

TEST_CASE("An index is resolved, and its own digest is the name's") {
  StoreBench bench;
  const FakeImage made = bench.fake.PutImage(kHost, "app", "child", {Tar("a", "x")});
  const std::string index =
      R"({"schemaVersion":2,"manifests":[)" +
      FakeRegistry::Describe("application/vnd.oci.image.manifest.v1+json", made.manifest, 1) + "]}";
  bench.fake.Put(kHost + "/v2/app/manifests/all",
                 {200, {{"content-type", "application/vnd.oci.image.index.v1+json"}}, index});

  const auto pulled = bench.Pull("r.io/app:all");

  REQUIRE(pulled.status().ToString() == "OK");
  CHECK(pulled->image.id() == made.id);
  CHECK(pulled->image.repo_digests(0) == "r.io/app@" + Digest::Of(index).str());
}

TEST_CASE("Names of one image gather, and removing by one removes all") {
  StoreBench bench;
  const std::vector<std::string> tars = {Tar("a", "x")};
  const FakeImage made = bench.fake.PutImage(kHost, "app", "1", tars);
  bench.fake.PutImage(kHost, "app", "2", tars);
  bench.fake.PutImage("k.io:443", "app", "1", tars);

  REQUIRE(bench.Pull("r.io/app:1").status().ToString() == "OK");
  REQUIRE(bench.Pull("r.io/app:2").status().ToString() == "OK");
  REQUIRE(bench.Pull("k.io/app:1").status().ToString() == "OK");

  REQUIRE(bench.store->List(kNode).size() == 1);
  CHECK(Tags(bench.store->List(kNode).front()) ==
        std::vector<std::string>{"k.io/app:1", "r.io/app:1", "r.io/app:2"});
  CHECK(bench.fake.Count("/blobs/" + made.blobs[0]) == 1);
  CHECK(bench.store->Remove(kNode, "r.io/app:2").value_or("") == made.id);
  CHECK(bench.store->List(kNode).empty());
}

TEST_CASE("A tag that moves leaves the old image its digest") {
  StoreBench bench;
  const FakeImage old = bench.fake.PutImage(kHost, "app", "1", {Tar("a", "old")});
  const auto first = bench.PullWhole("r.io/app:1");
  REQUIRE(first.status().ToString() == "OK");
  CHECK(first->losers.empty());
  const FakeImage fresh = bench.fake.PutImage(kHost, "app", "1", {Tar("a", "new")});
  const auto second = bench.PullWhole("r.io/app:1");
  REQUIRE(second.status().ToString() == "OK");
  CHECK(second->losers == std::vector<std::string>{old.id});
  bench.Reopen();

  CHECK(bench.store->Find(kNode, "r.io/app:1")->front().image.id() == fresh.id);
  CHECK(Tags(bench.store->Find(kNode, old.id)->front()).empty());
  CHECK(bench.store->Find(kNode, "r.io/app@" + old.manifest)->size() == 1);
}

TEST_CASE("Bytes go with the last reference and holder") {
  StoreBench bench;
  const std::string shared = Tar("shared", "s");
  const FakeImage one = bench.fake.PutImage(kHost, "one", "1", {shared, Tar("a", "1")});
  bench.fake.PutImage(kHost, "two", "1", {shared, Tar("b", "2")});
  REQUIRE(bench.Pull("r.io/one:1").status().ToString() == "OK");
  REQUIRE(bench.Pull("r.io/one:1", kOther).status().ToString() == "OK");
  REQUIRE(bench.Pull("r.io/two:1").status().ToString() == "OK");
  CHECK(bench.Layers() == 3);
  const ContainerId holder = MintContainerId();
  const auto held = bench.store->Hold(holder, one.id);
  REQUIRE(held.status().ToString() == "OK");

  bench.store->Remove(kNode, one.id).ok();
  bench.store->Remove(kOther, one.id).ok();
  CHECK(bench.Layers() == 3);
  CHECK(Slurp(held->layers[1] + "/a") == "1");
  CHECK(bench.store->Usage()->used_bytes().value() > 0);

  bench.store->Release(holder);
  CHECK(bench.Layers() == 2);
  CHECK(bench.store->Hold(MintContainerId(), one.id).status().code() == Code::kNotFound);

  bench.store->Remove(kNode, "r.io/two:1").ok();
  CHECK(bench.Layers() == 0);
  CHECK(test::Eventually([&] { return bench.Empty("trash"); }));
  CHECK(test::Eventually([&] { return bench.store->Usage()->used_bytes().value() == 0; }));
}

// overlayfs takes no folder twice: such an image could be pulled and never be run.
TEST_CASE("A layer that an image has twice is given once, where it lies highest") {
  StoreBench bench;
  const std::string twice = Tar("a", "x");
  const FakeImage made = bench.fake.PutImage(kHost, "app", "1", {twice, Tar("b", "y"), twice});
  REQUIRE(bench.Pull("r.io/app:1").status().ToString() == "OK");

  const auto held = bench.store->Hold(MintContainerId(), made.id);

  REQUIRE(held.ok());
  REQUIRE(held->layers.size() == 2);
  CHECK(Slurp(held->layers[0] + "/b") == "y");
  CHECK(Slurp(held->layers[1] + "/a") == "x");
}

// The image was forgotten, its layers went, and the next start found an image without its layers:
// the store did not open any more.
TEST_CASE("An image whose folder cannot be discarded does not keep the store from opening") {
  if (geteuid() != 0) return;  // only root can hold a folder like that
  StoreBench bench;
  const FakeImage made = bench.fake.PutImage(kHost, "app", "1", {Tar("a", "x")});
  REQUIRE(bench.Pull("r.io/app:1").status().ToString() == "OK");
  const std::string folder = bench.options.root + "/images/" + made.id.substr(7);
  REQUIRE(mount(folder.c_str(), folder.c_str(), nullptr, MS_BIND, nullptr) == 0);

  CHECK(bench.store->Remove(kNode, made.id).ok());

  CHECK(bench.store->List(kNode).empty());
  bench.store.reset();
  auto opened = ImageStore::Open(bench.options, bench.fake.Transport(), bench.log);
  CHECK(umount(folder.c_str()) == 0);
  REQUIRE(opened.status().ToString() == "OK");
  opened->reset();
  bench.Reopen();
  CHECK(bench.Empty("images"));
  CHECK(bench.Layers() == 0);
}

TEST_CASE("References and holds survive a restart") {
  StoreBench bench;
  const FakeImage made = bench.fake.PutImage(kHost, "app", "1", {Tar("a", "x")}, R"("Cmd":["c"])");
  REQUIRE(bench.Pull("r.io/app:1").status().ToString() == "OK");
  const std::string before = bench.store->List(kNode).front().image.SerializeAsString();
  const ContainerId holder = MintContainerId();
  const ContainerId stranger = MintContainerId();
  REQUIRE(bench.store->Hold(holder, made.id).ok());
  REQUIRE(bench.store->Hold(stranger, made.id).ok());

  bench.Reopen();

  CHECK(bench.store->List(kNode).front().image.SerializeAsString() == before);
  bench.store->Remove(kNode, made.id).ok();
  bench.store->KeepHolders({holder});
  bench.Reopen();
  const auto held = bench.store->Hold(holder, made.id);
  REQUIRE(held.ok());
  CHECK(held->config.cmd == std::vector<std::string>{"c"});
  CHECK(bench.store->Hold(holder, made.id).ok());
  bench.store->Release(holder);
  bench.store->Release(holder);
  CHECK(bench.Layers() == 0);
}

// Whoever copies an image's layers holds it under a name that no list of containers has.
TEST_CASE("What is held by this process stays, whoever is said to be living") {
  StoreBench bench;
  const FakeImage made = bench.fake.PutImage(kHost, "app", "1", {Tar("a", "x")});
  REQUIRE(bench.Pull("r.io/app:1").status().ToString() == "OK");
  const ContainerId again = MintContainerId();
  const ContainerId fresh = MintContainerId();
  REQUIRE(bench.store->Hold(again, made.id).ok());
  bench.Reopen();
  REQUIRE(bench.store->Hold(again, made.id).ok());
  REQUIRE(bench.store->Hold(fresh, made.id).ok());
  bench.store->Remove(kNode, made.id).ok();

  bench.store->KeepHolders({});

  CHECK(bench.Layers() == 1);
  bench.store->Release(again);
  CHECK(bench.Layers() == 1);
  bench.store->Release(fresh);
  CHECK(bench.Layers() == 0);
  CHECK(bench.Empty("holds"));
}

TEST_CASE("A hold and a release in the same moment leave no file of a hold that nobody knows") {
  StoreBench bench;
  const FakeImage made = bench.fake.PutImage(kHost, "app", "1", {Tar("a", "x")});
  REQUIRE(bench.Pull("r.io/app:1").status().ToString() == "OK");
  const std::vector<ContainerId> holders = [] {
    std::vector<ContainerId> ids;
    for (int i = 0; i < 200; ++i) ids.push_back(MintContainerId());
    return ids;
  }();
  std::atomic<int> failed = 0;
  std::barrier together(3);

  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] {
      for (const ContainerId& holder : holders) {
        together.arrive_and_wait();
        failed += bench.store->Hold(holder, made.id).ok() ? 0 : 1;
        bench.store->Release(holder);
      }
    });
  }
  for (auto& thread : threads) thread.join();

  CHECK(failed == 0);
  CHECK(bench.Empty("holds"));
}

// A container holds its own image and those of its image volumes.
TEST_CASE("A holder may hold several images, and lets all go at once") {
  StoreBench bench;
  const FakeImage one = bench.fake.PutImage(kHost, "one", "1", {Tar("a", "1")});
  const FakeImage two = bench.fake.PutImage(kHost, "two", "1", {Tar("b", "2")});
  REQUIRE(bench.Pull("r.io/one:1").status().ToString() == "OK");
  REQUIRE(bench.Pull("r.io/two:1").status().ToString() == "OK");
  const ContainerId holder = MintContainerId();
  const ContainerId other = MintContainerId();
  REQUIRE(bench.store->Hold(holder, one.id).ok());
  REQUIRE(bench.store->Hold(holder, two.id).ok());
  REQUIRE(bench.store->Hold(other, two.id).ok());
  CHECK(bench.store->Hold(holder, two.id).ok());
  bench.store->Remove(kNode, one.id).ok();
  bench.store->Remove(kNode, two.id).ok();

  bench.Reopen();

  CHECK(bench.Layers() == 2);
  CHECK(Slurp(bench.store->Hold(holder, two.id)->layers[0] + "/b") == "2");
  bench.store->Release(holder);
  CHECK(bench.Layers() == 1);
  CHECK(bench.store->Hold(MintContainerId(), one.id).status().code() == Code::kNotFound);
  bench.store->KeepHolders({holder});
  CHECK(bench.Layers() == 0);
  CHECK(bench.Empty("holds"));
  bench.Reopen();
  CHECK(bench.Layers() == 0);
}

TEST_CASE("A second process is refused") {
  StoreBench bench;

  const auto second = ImageStore::Open(bench.options, bench.fake.Transport(), bench.log);

  CHECK(second.status().code() == Code::kFailedPrecondition);
}

TEST_CASE("A record of another version or a damaged one stops the start and is named") {
  StoreBench bench;
  const FakeImage made = bench.fake.PutImage(kHost, "app", "1", {Tar("a", "x")});
  REQUIRE(bench.Pull("r.io/app:1").status().ToString() == "OK");
  bench.store.reset();
  const std::string path = bench.options.root + "/images/" + made.id.substr(7) + "/image.json";
  const auto [bytes, code] =
      GENERATE(table<std::string, Code>({{R"({"version":2})", Code::kFailedPrecondition},
                                         {"", Code::kDataLoss},
                                         {"{}", Code::kDataLoss}}));
  std::ofstream(path) << bytes;

  const auto opened = ImageStore::Open(bench.options, bench.fake.Transport(), bench.log);

  CHECK(opened.status().code() == code);
  CHECK_THAT(opened.status().message(), Catch::Contains(path));
}

TEST_CASE("What a killed process left behind is swept") {
  StoreBench bench;
  bench.store.reset();
  const std::string root = bench.options.root;
  std::filesystem::create_directories(root + "/temp/layer-1/fs/deep/er");
  std::ofstream(root + "/temp/blob-1") << "half";
  std::filesystem::create_directories(root + "/images/" + std::string(64, 'a'));
  std::filesystem::create_directories(root + "/trash/old/x");
  std::ofstream(root + "/holds/" + std::string(64, 'b') + ".tmp-123") << "{";

  bench.Reopen();

  CHECK(bench.Empty("temp"));
  CHECK(bench.Empty("images"));
  CHECK(bench.Empty("holds"));
  CHECK(test::Eventually([&] { return bench.Empty("trash"); }));
}

TEST_CASE("Concurrent pulls download and unpack each layer once") {
  StoreBench bench;
  const FakeImage made =
      bench.fake.PutImage(kHost, "app", "1", {Tar("a", std::string(100'000, 'x')), Tar("b", "y")});
  std::vector<std::jthread> threads;
  std::vector<Status> results(8, InternalError("not run"));

  for (size_t i = 0; i < results.size(); ++i) {
    threads.emplace_back([&, i] {
      results[i] = bench.Pull("r.io/app:1", NodeId("n" + std::to_string(i % 3))).status();
    });
  }
  threads.clear();

  for (const Status& result : results) CHECK(result.ToString() == "OK");
  CHECK(bench.Layers() == 2);
  CHECK(bench.fake.Count("/blobs/" + made.blobs[0]) == 1);
  CHECK(bench.fake.Count("/blobs/" + made.blobs[1]) == 1);
  CHECK(bench.store->List(NodeId("n2")).size() == 1);
}

// Blocks the download of one blob until it is let go or its call is cancelled.
struct Gate {
  Mutex mutex;
  CondVar changed;
  bool open = false;
  int waiting = 0;
  int cancelled = 0;

  Status Pass(const Call& call) {
    const auto registration = call.OnCancel([this] { changed.NotifyAll(); });
    MutexLock lock(mutex);
    ++waiting;
    changed.WaitFor(mutex, std::chrono::seconds(30), [&] { return open || call.cancelled(); });
    if (!call.cancelled()) return {};
    ++cancelled;
    return CancelledError("cancelled");
  }
  int Waiting() {
    MutexLock lock(mutex);
    return waiting;
  }
  void Open() {
    MutexLock lock(mutex);
    open = true;
    changed.NotifyAll();
  }
};

TEST_CASE("A cancelled pull goes on while another caller waits for it, and ends when none does") {
  StoreBench bench;
  const FakeImage made = bench.fake.PutImage(kHost, "app", "1", {Tar("a", "x")});
  Gate gate;
  bench.fake.before = [&](const Call& call, const TransportRequest& request) -> Status {
    const bool whole = HeaderOf(request, "Range").empty();
    return whole && request.url.target.find(made.blobs[0]) != std::string::npos ? gate.Pass(call)
                                                                                : Status();
  };
  const Call first = Call::WithTimeout(std::chrono::minutes(1));
  Status first_result;
  Status second_result = InternalError("not run");
  std::jthread one([&] { first_result = bench.Pull("r.io/app:1", kNode, {}, first).status(); });
  REQUIRE(test::Eventually([&] { return gate.Waiting() == 1; }));

  SECTION("another waits") {
    const int before = static_cast<int>(bench.fake.requests().size());
    std::jthread two([&] { second_result = bench.Pull("r.io/app:1", kOther).status(); });
    // manifest, config, and the proof that its credentials may read the blob
    REQUIRE(test::Eventually(
        [&] { return static_cast<int>(bench.fake.requests().size()) == before + 3; }));
    first.Cancel();
    one.join();
    gate.Open();
    two.join();
    CHECK(first_result.code() == Code::kCancelled);
    CHECK(second_result.ToString() == "OK");
    CHECK(bench.fake.Count("/blobs/" + made.blobs[0]) == 1);
    CHECK(bench.store->List(kNode).empty());
  }
  SECTION("nobody waits") {
    first.Cancel();
    one.join();
    CHECK(first_result.code() == Code::kCancelled);
    CHECK(test::Eventually([&] {
      MutexLock lock(gate.mutex);
      return gate.cancelled == 1;
    }));
    CHECK(test::Eventually([&] { return bench.Empty("temp"); }));
  }
}

TEST_CASE("Layers that are here are not given to who may not read them") {
  StoreBench bench;
  const std::string secret = Tar("secret", "s");
  const FakeImage hidden = bench.fake.PutImage(kHost, "private", "1", {secret});
  REQUIRE(bench.Pull("r.io/private:1").status().ToString() == "OK");

  SECTION("a manifest that names a blob of another repository") {
    bench.fake.PutImage(kHost, "mine", "1", {secret});
    bench.fake.Put(kHost + "/v2/mine/blobs/" + hidden.blobs[0], {404, {}, ""});
    const auto pulled = bench.Pull("r.io/mine:1", kOther);
    CHECK(pulled.status().code() == Code::kNotFound);
  }
  SECTION("a config that names a diff id whose bytes are not sent") {
    const std::string junk = Tar("junk", "j");
    const std::string config =
        R"({"rootfs":{"type":"layers","diff_ids":[")" + Digest::Of(secret).str() + R"("]}})";
    const std::string manifest = R"({"schemaVersion":2,"config":)" +
                                 FakeRegistry::Describe("application/vnd.oci.image.config.v1+json",
                                                        Digest::Of(config).str(), config.size()) +
                                 R"(,"layers":[)" +
                                 FakeRegistry::Describe("application/vnd.oci.image.layer.v1.tar",
                                                        Digest::Of(junk).str(), junk.size()) +
                                 "]}";
    const std::string base = kHost + "/v2/mine";
    bench.fake.Put(base + "/blobs/" + Digest::Of(config).str(), {200, {}, config});
    bench.fake.Put(base + "/blobs/" + Digest::Of(junk).str(), {200, {}, junk});
    bench.fake.Put(
        base + "/manifests/1",
        {200, {{"content-type", "application/vnd.oci.image.manifest.v1+json"}}, manifest});
    const auto pulled = bench.Pull("r.io/mine:1", kOther);
    CHECK(pulled.status().code() == Code::kDataLoss);
  }
  CHECK(bench.store->List(kOther).empty());
}

TEST_CASE("Equal layers above different ones get the folders of each") {
  StoreBench bench;
  const std::string top = Tar("dir/file", "x");
  const FakeImage one =
      bench.fake.PutImage(kHost, "one", "1", {TarBuilder().Folder("dir", 0700).Finish(), top});
  const FakeImage two =
      bench.fake.PutImage(kHost, "two", "1", {TarBuilder().Folder("dir", 0711).Finish(), top});
  REQUIRE(bench.Pull("r.io/one:1").status().ToString() == "OK");
  REQUIRE(bench.Pull("r.io/two:1").status().ToString() == "OK");

  const auto first = bench.store->Hold(MintContainerId(), one.id);
  const auto second = bench.store->Hold(MintContainerId(), two.id);

  struct stat about {};
  REQUIRE(::stat((first->layers[1] + "/dir").c_str(), &about) == 0);
  CHECK((about.st_mode & 07777U) == 0700);
  REQUIRE(::stat((second->layers[1] + "/dir").c_str(), &about) == 0);
  CHECK((about.st_mode & 07777U) == 0711);
}

TEST_CASE("An evil layer is refused by name and leaves nothing") {
  StoreBench bench;
  const std::string evil = TarBuilder().File("../../x", "y").Finish();
  bench.fake.PutImage(kHost, "app", "1", {Tar("a", "x"), evil});

  const auto pulled = bench.Pull("r.io/app:1");

  CHECK(pulled.status().code() == Code::kInvalidArgument);
  CHECK_THAT(pulled.status().message(), Catch::Contains("layer " + Digest::Of(evil).str()) &&
                                            Catch::Contains("entry \"../../x\" leaves its root"));
  CHECK(bench.Empty("temp"));
  CHECK(bench.Empty("images"));
  CHECK(bench.store->List(kNode).empty());
}

TEST_CASE("What cannot be pulled says why in kubelet's words") {
  StoreBench bench;
  bench.options.allowed_registries = {"r.io"};
  bench.options.max_image_bytes = 100'000;
  bench.Reopen();

  SECTION("a registry out of reach") {
    bench.fake.before = [](const Call&, const TransportRequest&) { return Unavailable("refused"); };
    const Status status = bench.Pull("r.io/app:1").status();
    CHECK(status.code() == Code::kUnavailable);
    CHECK(status.message().rfind("RegistryUnavailable: ", 0) == 0);
  }
  SECTION("an unknown name") {
    const Status status = bench.Pull("r.io/app:1").status();
    CHECK(status.code() == Code::kNotFound);
    CHECK_THAT(status.message(), Catch::Contains("manifest unknown"));
  }
  SECTION("a registry that is not allowed") {
    CHECK(bench.Pull("evil.io/app").status().code() == Code::kPermissionDenied);
    CHECK(bench.fake.requests().empty());
  }
  SECTION("an image that is too large") {
    bench.fake.PutImage(kHost, "app", "1", {Tar("a", std::string(200'000, 'x'))});
    CHECK(bench.Pull("r.io/app:1").status().code() == Code::kResourceExhausted);
  }
  SECTION("no room on the disk") {
    bench.options.keep_free_bytes = uint64_t{1} << 62U;
    bench.Reopen();
    bench.fake.PutImage(kHost, "app", "1", {Tar("a", "x")});
    CHECK(bench.Pull("r.io/app:1").status().code() == Code::kResourceExhausted);
  }
  SECTION("a caller that has gone") {
    bench.fake.PutImage(kHost, "app", "1", {Tar("a", "x")});
    const Call call = Call::WithTimeout(std::chrono::minutes(1));
    call.Cancel();
    CHECK(bench.Pull("r.io/app:1", kNode, {}, call).status().code() == Code::kCancelled);
  }
}

// What the trash holds is room for the next try.
TEST_CASE("A pull that finds no room empties the trash") {
  StoreBench bench;
  bench.options.delete_delay = std::chrono::hours(1);
  bench.Reopen();
  bench.fake.PutImage(kHost, "old", "1", {Tar("a", "x")});
  bench.fake.PutImage(kHost, "new", "1", {Tar("b", std::string(200'000, 'x'))});
  REQUIRE(bench.Pull("r.io/old:1").ok());
  REQUIRE(bench.store->Remove(kNode, "r.io/old:1").ok());
  REQUIRE_FALSE(bench.Empty("trash"));
  bench.options.max_image_bytes = 100'000;
  bench.options.keep_free_bytes = uint64_t{1} << 62U;
  bench.Reopen();
  REQUIRE_FALSE(bench.Empty("trash"));

  CHECK(bench.Pull("r.io/new:1").status().code() == Code::kResourceExhausted);

  CHECK(test::Eventually([&] { return bench.Empty("trash"); }));
}

TEST_CASE("Many removers at once all succeed and the image is gone for each") {
  StoreBench bench;
  const FakeImage made = bench.fake.PutImage(kHost, "app", "1", {Tar("a", "x")});
  REQUIRE(bench.Pull("r.io/app:1").status().ToString() == "OK");
  std::vector<std::jthread> threads;
  std::atomic<int> good{0};

  for (int i = 0; i < 5; ++i) {
    threads.emplace_back([&] {
      if (bench.store->Remove(kNode, made.id).ok() && bench.store->Find(kNode, made.id)->empty())
        ++good;
    });
  }
  threads.clear();

  CHECK(good == 5);
}

TEST_CASE("Pulls, removes and holds at once never lose a layer that is held") {
  StoreBench bench;
  const std::string shared = Tar("shared", "s");
  for (const char* name : {"a", "b", "c"})
    bench.fake.PutImage(kHost, name, "1", {shared, Tar(name, name)});
  std::vector<std::jthread> threads;
  std::atomic<int> lost{0};

  for (int t = 0; t < 6; ++t) {
    threads.emplace_back([&, t] {
      const std::string name = std::string("r.io/") + "abc"[t % 3] + ":1";
      const NodeId node("n" + std::to_string(t));
      for (int i = 0; i < 15; ++i) {
        const auto pulled = bench.Pull(name, node);
        if (!pulled.ok()) {
          ++lost;
          continue;
        }
        const ContainerId holder = MintContainerId();
        const auto held = bench.store->Hold(holder, pulled->image.id());
        bench.store->Remove(node, name).ok();
        if (!held.ok() || Slurp(held->layers[0] + "/shared") != "s") ++lost;
        bench.store->Release(holder);
      }
    });
  }
  threads.clear();

  CHECK(lost == 0);
  CHECK(bench.store->List(NodeId("n0")).empty());
}

}  // namespace
}  // namespace interlink::images
