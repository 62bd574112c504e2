// Mounts of the local backend: what propagates between a container and the machine, and how.
#include <sys/mount.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "base/file.h"
#include "contract/contract_lab.h"

namespace interlink::contract {
namespace {

namespace fs = std::filesystem;
using runtime::v1::MountPropagation;

// A folder of the machine with a mount below it, on a mount of its own that is shared, and a pod
// whose containers may be privileged.
class MountLab : public ContractLab {
 public:
  MountLab() : source(host().data_folder() + "/shared/source") {
    fs::create_directories(source + "/sub");
    fs::create_directories(source + "/later");
    std::ofstream(source + "/later/plain") << "x";
    REQUIRE(mount(source.c_str(), source.c_str(), nullptr, MS_BIND, nullptr) == 0);
    Propagate(MS_PRIVATE);
    REQUIRE(mount("tmpfs", (source + "/sub").c_str(), "tmpfs", 0, "size=64k") == 0);
    Propagate(MS_REC | MS_SHARED);
    pod.mutable_metadata()->set_name("pod");
    pod.mutable_linux()->mutable_security_context()->set_privileged(true);
    sandbox = Run(pod);
    REQUIRE(Await(sandbox, State::kUp).state == State::kUp);
  }
  ~MountLab() {
    // Before the base looks for what is left.
    CHECK(Remove(sandbox).ok());
    CHECK(IsMounted(source + "/sub"));
    CHECK(umount2((source + "/sub").c_str(), 0) == 0);
    CHECK(umount2(source.c_str(), 0) == 0);
  }

  void Propagate(unsigned long flags) const {
    REQUIRE(mount(nullptr, source.c_str(), nullptr, flags, nullptr) == 0);
  }
  static bool IsMounted(const std::string& path) {
    const auto table = ReadFile("/proc/self/mounts");
    return table.value_or("").find(" " + path + " ") != std::string::npos;
  }

  runtime::v1::ContainerConfig Config(MountPropagation propagation, bool privileged = true) const {
    runtime::v1::ContainerConfig config;
    auto& mount = *config.add_mounts();
    mount.set_container_path("/m");
    mount.set_host_path(source);
    mount.set_propagation(propagation);
    config.mutable_linux()->mutable_security_context()->set_privileged(privileged);
    return config;
  }
  Status Make(const ContainerId& id, runtime::v1::ContainerConfig config) {
    config.mutable_metadata()->set_name("c");
    for (const std::string& word : subject().RunsForever()) config.add_command(word);
    return backend().CreateContainer(call(), {id, sandbox, node(), subject().image(), config, pod});
  }
  ContainerId Start(const runtime::v1::ContainerConfig& config) {
    const ContainerId id = MintContainerId();
    const Status made = Make(id, config);
    INFO(made.ToString());
    REQUIRE(made.ok());
    REQUIRE(backend().StartContainer(call(), sandbox, id).ok());
    return id;
  }
  // The exit code of a command in the container, and what it said.
  SessionEnd Sh(const ContainerId& id, const std::string& command) {
    const auto session = Exec(sandbox, id, {"sh", "-c", command});
    REQUIRE(session.ok());
    return ReadSession(session->get());
  }
  bool Sees(const ContainerId& id, const std::string& path) {
    return Sh(id, "ls " + path).code == 0;
  }

  const std::string source;
  runtime::v1::PodSandboxConfig pod;
  SandboxId sandbox;
};

constexpr bool kHostToContainer = true;
constexpr bool kContainerToHost = true;

}  // namespace

TEST_CASE("Mounts propagate in the directions that were asked for, and no others") {
  const auto [propagation, in, out] = GENERATE(table<MountPropagation, bool, bool>({
      {runtime::v1::PROPAGATION_PRIVATE, !kHostToContainer, !kContainerToHost},
      {runtime::v1::PROPAGATION_HOST_TO_CONTAINER, kHostToContainer, !kContainerToHost},
      {runtime::v1::PROPAGATION_BIDIRECTIONAL, kHostToContainer, kContainerToHost},
  }));
  CAPTURE(propagation);
  MountLab lab;
  const ContainerId id = lab.Start(lab.Config(propagation));
  CHECK(lab.Sees(id, "/m/later/plain"));
  CHECK(lab.Sees(id, "/m/sub"));

  // The host mounts something below the source.
  const std::string later = lab.source + "/later";
  REQUIRE(mount("tmpfs", later.c_str(), "tmpfs", 0, "size=64k") == 0);
  std::ofstream(later + "/from-host") << "x";
  CHECK(lab.Sees(id, "/m/later/from-host") == in);
  REQUIRE(umount2(later.c_str(), 0) == 0);
  CHECK(lab.Sees(id, "/m/later/plain"));

  // The container does.
  CHECK(lab.Sh(id, "mkdir /m/own && mount -t tmpfs tmpfs /m/own && touch /m/own/file").code == 0);
  CHECK(fs::exists(lab.source + "/own/file") == out);
  CHECK(MountLab::IsMounted(lab.source + "/own") == out);
  if (out) {
    // It is the machine's now: it stays when the container goes, as for every runtime.
    CHECK(lab.backend().RemoveContainer(lab.call(), lab.sandbox, id).ok());
    CHECK(MountLab::IsMounted(lab.source + "/own"));
    CHECK(umount2((lab.source + "/own").c_str(), 0) == 0);
  }
}

// A lazy unmount of a connected clone takes what is mounted in its source with it.
TEST_CASE("What was mounted in the source before a container came stays when it goes") {
  MountLab lab;
  for (const auto propagation :
       {runtime::v1::PROPAGATION_HOST_TO_CONTAINER, runtime::v1::PROPAGATION_BIDIRECTIONAL}) {
    const ContainerId id = lab.Start(lab.Config(propagation));
    CHECK(MountLab::IsMounted(lab.source + "/sub"));

    CHECK(lab.backend().RemoveContainer(lab.call(), lab.sandbox, id).ok());

    CHECK(MountLab::IsMounted(lab.source + "/sub"));
    CHECK(MountLab::IsMounted(lab.source));
  }
}

TEST_CASE("A container that a restart finds with connected mounts keeps them") {
  MountLab lab;
  const ContainerId id = lab.Start(lab.Config(runtime::v1::PROPAGATION_BIDIRECTIONAL));

  lab.Restart();

  CHECK(MountLab::IsMounted(lab.source + "/sub"));
  CHECK(lab.Sh(id, "mount -t tmpfs tmpfs /m/later").code == 0);
  CHECK(MountLab::IsMounted(lab.source + "/later"));
  CHECK(umount2((lab.source + "/later").c_str(), 0) == 0);
  CHECK(lab.Sees(id, "/m/later/plain"));
}

TEST_CASE("What a privileged container mounts in its root stays its own") {
  MountLab lab;
  const ContainerId id = lab.Start(lab.Config(runtime::v1::PROPAGATION_BIDIRECTIONAL));

  CHECK(lab.Sh(id, "mkdir /own && mount -t tmpfs tmpfs /own && touch /own/file").code == 0);

  const auto table = ReadFile("/proc/self/mounts");
  CHECK(table.value_or("").find("/rootfs/") == std::string::npos);
}

TEST_CASE("A source whose mount is not shared is refused with what would make it so") {
  MountLab lab;
  const auto [propagation, flags, word] = GENERATE(table<MountPropagation, int, std::string>({
      {runtime::v1::PROPAGATION_HOST_TO_CONTAINER, MS_PRIVATE, "is private"},
      {runtime::v1::PROPAGATION_BIDIRECTIONAL, MS_PRIVATE, "is private"},
      {runtime::v1::PROPAGATION_BIDIRECTIONAL, MS_SLAVE, "is "},
      {runtime::v1::PROPAGATION_BIDIRECTIONAL, MS_SHARED, ""},
      {runtime::v1::PROPAGATION_HOST_TO_CONTAINER, MS_SHARED, ""},
  }));
  CAPTURE(propagation, flags);
  lab.Propagate(static_cast<unsigned long>(flags));

  const Status made = lab.Make(MintContainerId(), lab.Config(propagation));

  INFO(made.ToString());
  CHECK(made.code() == (word.empty() ? Code::kOk : Code::kFailedPrecondition));
  if (word.empty()) return;
  CHECK_THAT(made.message(), Catch::Contains(word) && Catch::Contains("mount \"/m\"") &&
                                 Catch::Contains("mount --make-rshared " + lab.source));
}

TEST_CASE("Bidirectional propagation is for privileged containers") {
  MountLab lab;
  const Status made =
      lab.Make(MintContainerId(), lab.Config(runtime::v1::PROPAGATION_BIDIRECTIONAL, false));
  CHECK(made.code() == Code::kInvalidArgument);
  CHECK_THAT(made.message(), Catch::Contains("privileged"));
}

TEST_CASE("A read-only mount leaves what is mounted below it writable, a recursive one does not") {
  MountLab lab;
  const bool recursive = GENERATE(false, true);
  auto config = lab.Config(runtime::v1::PROPAGATION_PRIVATE, false);
  config.mutable_mounts(0)->set_readonly(true);
  config.mutable_mounts(0)->set_recursive_read_only(recursive);
  const ContainerId id = lab.Start(config);

  const auto top = lab.Sh(id, "touch /m/file");
  const auto below = lab.Sh(id, "touch /m/sub/file");

  CHECK(top.code != 0);
  CHECK_THAT(top.err, Catch::Contains("Read-only file system"));
  CHECK((below.code != 0) == recursive);
  if (recursive) CHECK_THAT(below.err, Catch::Contains("Read-only file system"));
  // The host's own mounts are as they were.
  std::ofstream mark(lab.source + "/sub/host");
  mark << "x" << std::flush;
  CHECK(mark.good());
  CHECK(lab.backend().Describe().handlers.front().recursive_read_only_mounts);
}

}  // namespace interlink::contract
