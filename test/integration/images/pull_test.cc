#include <signal.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <thread>

#include "images/image_store.h"
#include "images/net_transport.h"
#include "registries.h"
#include "support/eventually.h"

namespace interlink::images {
namespace {

const NodeId kNode("node-1");
const std::string kScripts = IMAGES_SCRIPTS;
const std::string kSupport = IMAGES_SUPPORT;

Result<std::unique_ptr<ImageStore>> OpenStore(const Options& options) {
  static NullLog log;
  ASSIGN_OR_RETURN(auto transport, MakeNetTransport(""));
  return ImageStore::Open(options, std::move(transport), log);
}

Result<site::Image> PullFrom(ImageStore& store, const std::string& name,
                             const runtime::v1::AuthConfig& auth = {},
                             const Call& call = Call::WithTimeout(std::chrono::minutes(1)),
                             std::function<void(uint64_t)> progress = nullptr) {
  runtime::v1::ImageSpec spec;
  spec.set_image(name);
  ASSIGN_OR_RETURN(site::Pulled pulled, store.Pull(call, kNode, spec, auth, std::move(progress)));
  return std::move(pulled.image);
}

// A registry with the images of push.py, and a store whose registry.k8s.io is mirrored by it.
struct Lab {
  TempFolder temp;
  Server registry;
  Options options;
  std::unique_ptr<ImageStore> store;

  Lab() {
    registry = StartRegistry(temp, temp / "storage");
    RunScript(kScripts + "/push.py", {registry.address});
    options.root = temp / "store";
    options.delete_delay = Duration::zero();
    options.mirrors["registry.k8s.io"] = {"http://" + registry.address};
  }
  void Open() {
    store.reset();
    auto opened = OpenStore(options);
    REQUIRE(opened.status().ToString() == "OK");
    store = *std::move(opened);
  }
  Result<site::Image> Pull(const std::string& name, const runtime::v1::AuthConfig& auth = {}) {
    return PullFrom(*store, name, auth);
  }
};

TEST_CASE("An image comes from a real registry, through a mirror, under its own name") {
  Lab lab;
  lab.Open();

  const auto pulled = lab.Pull("registry.k8s.io/lab/app:1");

  REQUIRE(pulled.status().ToString() == "OK");
  CHECK(pulled->image.repo_tags(0) == "registry.k8s.io/lab/app:1");
  CHECK(pulled->image.username() == "www-data");
  const auto held = lab.store->Hold(MintContainerId(), pulled->image.id());
  REQUIRE(held.ok());
  CHECK(held->config.cmd == std::vector<std::string>{"/opt/app"});
  REQUIRE(held->layers.size() == 2);
  struct stat about {};
  REQUIRE(::stat((held->layers[0] + "/bin/su").c_str(), &about) == 0);
  CHECK((about.st_mode & 07777U) == 04755);
  CHECK(about.st_nlink == 2);
  CHECK(Slurp(held->layers[0] + "/etc/cafe\xcc\x81") == "1");
  CHECK(Slurp(held->layers[0] + "/etc/link-\xe6\x97\xa5") == "2");
  REQUIRE(::lstat((held->layers[1] + "/etc/gone").c_str(), &about) == 0);
  CHECK((S_ISCHR(about.st_mode) && about.st_rdev == makedev(0, 0)));
  CHECK(Slurp(held->layers[1] + "/opt/app") == "app\n");
}

TEST_CASE(
    "A registry on loopback needs no mirror, and names without a host go to the default one") {
  Lab lab;
  lab.options.default_registry = lab.registry.address;
  lab.Open();

  CHECK(lab.Pull(lab.registry.address + "/lab/app:1").status().ToString() == "OK");
  CHECK(lab.Pull("lab/app:2").status().ToString() == "OK");
  CHECK(lab.store->List(kNode).size() == 1);
  const Status missing = lab.Pull("lab/none:1").status();
  CHECK(missing.code() == Code::kNotFound);
  CHECK_THAT(missing.message(), Catch::Contains("unknown"));
}

TEST_CASE("Progress is told while bytes come") {
  Lab lab;
  lab.Open();
  std::vector<uint64_t> told;

  const auto pulled =
      PullFrom(*lab.store, "registry.k8s.io/lab/big:1", {},
               Call::WithTimeout(std::chrono::minutes(1)), [&](uint64_t b) { told.push_back(b); });

  REQUIRE(pulled.ok());
  REQUIRE_FALSE(told.empty());
  CHECK(std::is_sorted(told.begin(), told.end()));
  CHECK(told.back() > (8U << 20U));
}

TEST_CASE("A private registry takes the pull's own credentials and no others") {
  Lab lab;
  // bcrypt of "secret"
  RunScript("-c", {"import crypt, sys; open(sys.argv[1], 'w').write('user:' + "
                   "crypt.crypt('secret', crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=16)) + '\\n')",
                   lab.temp / "passwords"});
  const Server guarded = StartRegistry(lab.temp, lab.temp / "storage", lab.temp / "passwords");
  lab.Open();
  const std::string name = guarded.address + "/lab/app:1";
  runtime::v1::AuthConfig auth;
  auth.set_username("user");

  auth.set_password("secret");
  CHECK(lab.Pull(name, auth).status().ToString() == "OK");
  // The image is here by now: that must not let anybody else in.
  CHECK(lab.Pull(name).status().code() == Code::kUnauthenticated);
  auth.set_password("wrong");
  const Status wrong = lab.Pull(name, auth).status();
  CHECK(wrong.code() == Code::kUnauthenticated);
  CHECK(wrong.message().find("wrong") == std::string::npos);
}

TEST_CASE("A token server is asked with the credentials, a redirect's target is not given them") {
  Lab lab;
  lab.Open();
  runtime::v1::AuthConfig auth;
  auth.set_username("user");
  auth.set_password("secret");

  SECTION("token") {
    const Server odd =
        StartScript(lab.temp, kScripts + "/odd_registry.py", {lab.registry.address, "token"});
    CHECK(lab.Pull(odd.address + "/lab/app:1", auth).status().ToString() == "OK");
    auth.set_password("wrong");
    CHECK(lab.Pull(odd.address + "/lab/app:1", auth).status().code() == Code::kUnauthenticated);
  }
  SECTION("redirect") {
    const Server odd =
        StartScript(lab.temp, kScripts + "/odd_registry.py", {lab.registry.address, "redirect"});
    CHECK(lab.Pull(odd.address + "/lab/big:1", auth).status().ToString() == "OK");
  }
}

TEST_CASE("A registry that lies is refused, and a true one behind it is used") {
  Lab lab;
  const Server liar = StartScript(lab.temp, kSupport + "/lying_registry.py", {});
  lab.Open();

  const auto [lie, code] = GENERATE(table<std::string, Code>({{"blob", Code::kDataLoss},
                                                              {"config", Code::kDataLoss},
                                                              {"short", Code::kDataLoss},
                                                              {"size", Code::kDataLoss},
                                                              {"html", Code::kInvalidArgument}}));
  const Status status = lab.Pull(liar.address + "/lie/" + lie + ":1").status();

  INFO(status.ToString());
  CHECK(status.code() == code);
  CHECK(lab.store->List(kNode).empty());
  CHECK(std::filesystem::is_empty(lab.options.root + "/temp"));
}

TEST_CASE("A registry out of reach is told in kubelet's word") {
  Lab lab;
  std::string gone;
  {
    const Server server = StartRegistry(lab.temp, lab.temp / "storage");
    gone = server.address;
  }
  lab.Open();

  const Status status = lab.Pull(gone + "/lab/app:1").status();

  CHECK(status.code() == Code::kUnavailable);
  CHECK(status.message().rfind("RegistryUnavailable: ", 0) == 0);
}

TEST_CASE("A pull that hangs ends when its caller leaves") {
  Lab lab;
  const Server half =
      StartScript(lab.temp, kScripts + "/odd_registry.py", {lab.registry.address, "half"});
  lab.Open();
  const Call call = Call::WithTimeout(std::chrono::minutes(1));
  std::atomic<uint64_t> bytes{0};
  Status result;
  std::jthread pull([&] {
    result = PullFrom(*lab.store, half.address + "/lab/big:1", {}, call, [&](uint64_t done) {
               bytes = done;
             }).status();
  });
  REQUIRE(test::Eventually([&] { return bytes > (3U << 20U); }));

  call.Cancel();
  pull.join();

  CHECK(result.code() == Code::kCancelled);
  CHECK(test::Eventually([&] { return std::filesystem::is_empty(lab.options.root + "/temp"); }));
}

TEST_CASE("A process killed in the middle of a pull leaves a store that goes on") {
  Lab lab;
  const Server half =
      StartScript(lab.temp, kScripts + "/odd_registry.py", {lab.registry.address, "half"});
  const std::string temp = lab.options.root + "/temp";
  const pid_t child = ::fork();  // no threads run here yet
  if (child == 0) {
    auto store = OpenStore(lab.options);
    if (store.ok()) PullFrom(**store, half.address + "/lab/big:1").ok();
    ::_exit(0);
  }
  REQUIRE(child > 0);
  const bool half_done = test::Eventually([&] {
    std::error_code none;
    for (const auto& file : std::filesystem::directory_iterator(temp, none))
      if (file.is_regular_file(none) && file.file_size(none) > (3U << 20U)) return true;
    return false;
  });
  ::kill(child, SIGKILL);
  int status = 0;
  ::waitpid(child, &status, 0);
  REQUIRE(half_done);
  REQUIRE(WIFSIGNALED(status));

  lab.Open();

  CHECK(std::filesystem::is_empty(temp));
  CHECK(lab.store->List(kNode).empty());
  CHECK(lab.Pull("registry.k8s.io/lab/big:1").status().ToString() == "OK");
  CHECK(test::Eventually([&] { return std::filesystem::is_empty(lab.options.root + "/trash"); }));
}

TEST_CASE("Layers that try to write into the host are refused") {
  Lab lab;
  const std::string victim = lab.temp / "victim";
  std::filesystem::create_directory(victim);
  lab.temp.Write("victim/secret", "untouched");
  RunScript(kSupport + "/bad_images.py", {lab.registry.address, victim});
  lab.Open();

  const auto [name, code] =
      GENERATE(table<std::string, Code>({{"dotdot", Code::kInvalidArgument},
                                         {"symlink", Code::kInvalidArgument},
                                         {"dotdot-symlink", Code::kInvalidArgument},
                                         {"hardlink", Code::kInvalidArgument},
                                         {"wrong-diff-id", Code::kDataLoss},
                                         {"cut", Code::kDataLoss},
                                         {"no-gzip", Code::kDataLoss}}));
  const Status status = lab.Pull("registry.k8s.io/evil/" + name).status();

  INFO(status.ToString());
  CHECK(status.code() == code);
  CHECK(std::filesystem::is_empty(lab.options.root + "/temp"));
  CHECK(Slurp(victim + "/secret") == "untouched");
  CHECK(std::distance(std::filesystem::directory_iterator(victim),
                      std::filesystem::directory_iterator()) == 1);
}

}  // namespace
}  // namespace interlink::images
