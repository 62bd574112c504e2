// Image volumes of the local backend: what is seen in them, what is refused, and that nothing of
// them stays.
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "base/file.h"
#include "contract/config_text.h"
#include "contract/contract_lab.h"
#include "engine/host_mounts.h"
#include "engine/image_volumes.h"

namespace interlink::contract {
namespace {

namespace fs = std::filesystem;
using runtime::v1::ContainerConfig;
using runtime::v1::PodSandboxConfig;

constexpr const char* kUserns =
    "linux { security_context { namespace_options { pid: CONTAINER userns_options { uids { "
    "host_id: "
    "200000 length: 65536 } gids { host_id: 200000 length: 65536 } } } } }";
constexpr const char* kPrivileged = "linux { security_context { privileged: true } }";

// Two images besides the subject's own: one of a single layer, one of two, where the upper layer
// hides a file of the lower one.
class VolumeLab : public ContractLab {
 public:
  explicit VolumeLab(const std::string& pod = "") : pod_(FromText<PodSandboxConfig>(pod)) {
    const std::string lower = Layer("lower");
    Write(lower + "/kept", "of the lower layer\n");
    Write(lower + "/hidden", "x");
    Write(lower + "/sub/deep/file", "deep\n");
    Write(lower + "/alice", "x");
    REQUIRE(chown((lower + "/alice").c_str(), 1000, 1000) == 0);
    Write(lower + "/run", "#!/bin/sh\necho it runs\n");
    fs::permissions(lower + "/run", fs::perms::all);
    fs::create_symlink("/sub/deep", lower + "/absolute");
    fs::create_symlink("../../../../..", lower + "/sub/out");
    fs::create_symlink(host().data_folder(), lower + "/machine");
    fs::create_symlink("loop", lower + "/loop");
    const std::string upper = Layer("upper");
    Write(upper + "/added", "of the upper layer\n");
    REQUIRE(mknod((upper + "/hidden").c_str(), S_IFCHR, makedev(0, 0)) == 0);
    host().AddImage({"sha256:one", {lower}, {}});
    host().AddImage({"sha256:two", {lower, upper}, {}});
    host().AddImage({"sha256:none", {}, {}});
    sandbox = Run(pod_);
    REQUIRE(Await(sandbox, State::kUp).state == State::kUp);
  }

  static void Write(const std::string& path, const std::string& text) {
    fs::create_directories(fs::path(path).parent_path());
    std::ofstream(path) << text;
  }
  static ContainerConfig Config(const std::string& name, const std::string& sub = "") {
    ContainerConfig config;
    auto& mount = *config.add_mounts();
    mount.set_container_path("/volume");
    mount.set_readonly(true);
    mount.mutable_image()->set_image(name);
    mount.set_image_sub_path(sub);
    return config;
  }
  Status Make(const ContainerId& id, ContainerConfig config) {
    config.mutable_metadata()->set_name("c");
    for (const std::string& word : subject().RunsForever()) config.add_command(word);
    std::map<std::string, std::string> ids;
    for (const auto& mount : config.mounts()) {
      const std::string& name = mount.image().image();
      if (name.ends_with(":1")) ids[name] = "sha256:" + name.substr(0, name.size() - 2);
    }
    return backend().CreateContainer(call(),
                                     {id, sandbox, node(), subject().image(), config, pod_, ids});
  }
  ContainerId Start(const ContainerConfig& config) {
    const ContainerId id = MintContainerId();
    const Status made = Make(id, config);
    INFO(made.ToString());
    REQUIRE(made.ok());
    REQUIRE(backend().StartContainer(call(), sandbox, id).ok());
    return id;
  }
  SessionEnd Sh(const ContainerId& id, const std::string& command) {
    const auto session = Exec(sandbox, id, {"sh", "-c", command});
    REQUIRE(session.ok());
    return ReadSession(session->get());
  }
  bool HostHasMountsOf(const std::string& word) const {
    return ReadFile("/proc/self/mounts").value_or("").find(word) != std::string::npos;
  }
  std::string FolderOfPod() {
    return host().data_folder() + "/pods/" + host().lineage().str() + "/" + sandbox.str();
  }
  std::string FolderOf(const ContainerId& id) { return FolderOfPod() + "/c/" + id.str(); }

  SandboxId sandbox;

 private:
  std::string Layer(const std::string& name) {
    const std::string path = host().data_folder() + "/volume/" + name;
    fs::create_directories(path);
    return path;
  }
  const PodSandboxConfig pod_;
};

}  // namespace

TEST_CASE("An image volume shows what the image's layers show together, read-only") {
  VolumeLab lab;
  const ContainerId id = lab.Start(lab.Config("two:1"));

  const auto shown = lab.Sh(id, "cat /volume/kept /volume/added && /volume/run");

  CHECK(shown.out == "of the lower layer\nof the upper layer\nit runs\n");
  CHECK(shown.code == 0);
  CHECK(lab.Sh(id, "ls /volume/hidden").code != 0);
  CHECK_THAT(lab.Sh(id, "touch /volume/new").err, Catch::Contains("Read-only file system"));
  CHECK_THAT(lab.Sh(id, "echo > /volume/kept").err, Catch::Contains("Read-only file system"));
  CHECK_THAT(lab.Sh(id, "grep ' /volume ' /proc/mounts").out,
             Catch::Contains("overlay") && Catch::Contains("ro,nosuid,nodev"));
  CHECK(lab.host().Holds(id, "sha256:two"));
  CHECK(lab.host().Holds(id, lab.subject().image()));
  // The container has it; the machine shows no mount of it, so a crash cannot leave one.
  CHECK_FALSE(lab.HostHasMountsOf("/volume/upper"));
  CHECK_FALSE(lab.HostHasMountsOf(id.str() + "/mnt"));
  CHECK_FALSE(lab.HostHasMountsOf(id.str() + "/volumes"));

  CHECK(lab.backend().RemoveContainer(lab.call(), lab.sandbox, id).ok());
  CHECK(lab.host().HeldImages() == 0);
}

TEST_CASE("An image of one layer can be a volume, once and twice, beside a host path") {
  VolumeLab lab;
  auto config = lab.Config("one:1");
  auto& bind = *config.add_mounts();
  bind.set_container_path("/shared");
  bind.set_host_path(lab.host().data_folder() + "/shared");
  auto& again = *config.add_mounts();
  again = config.mounts(0);
  again.set_container_path("/again");
  again.set_image_sub_path("sub");
  const ContainerId id = lab.Start(config);

  CHECK(lab.Sh(id, "cat /volume/kept /again/deep/file && touch /shared/new").out ==
        "of the lower layer\ndeep\n");
  CHECK_THAT(lab.Sh(id, "touch /again/new").err, Catch::Contains("Read-only file system"));
  CHECK(fs::exists(lab.host().data_folder() + "/shared/new"));
}

// The layers are those of every container of the image.
TEST_CASE("Not even a privileged container can write into an image") {
  VolumeLab lab(kPrivileged);
  auto config = lab.Config(GENERATE(as<std::string>(), "one:1", "two:1"));
  config.mutable_linux()->mutable_security_context()->set_privileged(true);
  const ContainerId id = lab.Start(config);

  lab.Sh(id, "mount -o remount,rw,bind /volume; mount -o remount,rw /volume");

  CHECK_THAT(lab.Sh(id, "touch /volume/new").err, Catch::Contains("Read-only file system"));
  CHECK_THAT(lab.Sh(id, "echo > /volume/kept").err, Catch::Contains("Read-only file system"));
}

TEST_CASE("A sub path of an image volume is a folder of the image and of nothing else") {
  VolumeLab lab;
  const auto [sub, file, word] = GENERATE(table<std::string, std::string, std::string>({
      {"sub", "deep/file", ""},
      {"/sub/deep/", "file", ""},
      {"absolute", "file", ""},          // a link to /sub/deep: of the image
      {"sub/out", "sub/deep/file", ""},  // a link that climbs ends at the image's root
      {"../../..", "sub/deep/file", ""},
      {"machine", "", "does not exist"},
      {"missing", "", "\"missing\" does not exist"},
      {"hidden", "", "does not exist"},
      {"kept", "", "\"kept\" is not a folder"},
      {"loop", "", "loop of links"},
  }));
  CAPTURE(sub);
  const ContainerId id = MintContainerId();

  const Status made = lab.Make(id, lab.Config("two:1", sub));

  INFO(made.ToString());
  if (word.empty()) {
    REQUIRE(made.ok());
    REQUIRE(lab.backend().StartContainer(lab.call(), lab.sandbox, id).ok());
    CHECK(lab.Sh(id, "cat /volume/" + file).out == "deep\n");
    CHECK_THAT(lab.Sh(id, "touch /volume/new").err, Catch::Contains("Read-only file system"));
    return;
  }
  CHECK(made.code() == Code::kInvalidArgument);
  // The word that kubelet looks for stands first.
  CHECK(made.message().rfind("ImageVolumeMountFailed: mount \"/volume\": image_sub_path", 0) == 0);
  CHECK_THAT(made.message(), Catch::Contains(word));
  CHECK(lab.host().HeldImages() == 0);
  CHECK_FALSE(fs::exists(lab.FolderOf(id)));
  CHECK_FALSE(lab.HostHasMountsOf(id.str()));
}

TEST_CASE("An image volume that cannot be had is refused and leaves nothing") {
  VolumeLab lab;
  auto writable = lab.Config("two:1");
  writable.mutable_mounts(0)->set_readonly(false);
  auto connected = lab.Config("two:1");
  connected.mutable_mounts(0)->set_propagation(runtime::v1::PROPAGATION_HOST_TO_CONTAINER);
  auto second = lab.Config("two:1");
  *second.add_mounts() = lab.Config("gone:1").mounts(0);
  second.mutable_mounts(1)->set_container_path("/second");
  const auto [config, code, word] = GENERATE_COPY(table<ContainerConfig, Code, std::string>({
      {writable, Code::kInvalidArgument, "mount \"/volume\": an image volume is read-only"},
      {connected, Code::kInvalidArgument, "PROPAGATION_PRIVATE"},
      {VolumeLab::Config("gone:1"), Code::kNotFound, "mount \"/volume\""},
      {second, Code::kNotFound, "mount \"/second\""},
      {VolumeLab::Config("none:1"), Code::kFailedPrecondition, "image \"none:1\" has no layers"},
      {VolumeLab::Config("unresolved"), Code::kInvalidArgument, "which image \"unresolved\" is"},
  }));
  const ContainerId id = MintContainerId();

  const Status made = lab.Make(id, config);

  INFO(made.ToString());
  CHECK(made.code() == code);
  CHECK(made.message().rfind("ImageVolumeMountFailed: ", 0) == 0);
  CHECK_THAT(made.message(), Catch::Contains(word));
  CHECK(lab.host().HeldImages() == 0);
  CHECK_FALSE(fs::exists(lab.FolderOf(id)));
  CHECK_FALSE(lab.HostHasMountsOf(id.str()));
}

TEST_CASE("In a user namespace an image volume shows its owners as the container's root does") {
  VolumeLab lab(kUserns);
  const std::string image = GENERATE(as<std::string>(), "one:1", "two:1");
  const bool asked = GENERATE(true, false);
  auto config = lab.Config(image, "");
  if (asked) {
    for (auto* mapping : {config.mutable_mounts(0)->add_uidmappings(),
                          config.mutable_mounts(0)->add_gidmappings()}) {
      mapping->set_host_id(200'000);
      mapping->set_length(65'536);
    }
  }
  const ContainerId id = lab.Start(config);

  CHECK(lab.Sh(id, "stat -c %u:%g /volume /volume/kept /volume/alice && /volume/run").out ==
        "0:0\n0:0\n1000:1000\nit runs\n");
  CHECK_THAT(lab.Sh(id, "touch /volume/new").err, Catch::Contains("Read-only file system"));
  CHECK_FALSE(lab.HostHasMountsOf(id.str() + "/mnt"));
  CHECK_FALSE(lab.HostHasMountsOf(id.str() + "/volumes"));
  // At its start: the options of the root's overlay name the layers.
  CHECK_FALSE(lab.HostHasMountsOf(" " + lab.FolderOf(id) + "/layers"));
}

TEST_CASE("An image volume with other mappings than the pod's is refused by kubelet's word") {
  VolumeLab lab(GENERATE(as<std::string>(), kUserns, ""));
  auto config = lab.Config("two:1");
  config.mutable_mounts(0)->add_uidmappings()->set_length(5);
  config.mutable_mounts(0)->add_gidmappings()->set_length(5);

  const Status made = lab.Make(MintContainerId(), config);

  INFO(made.ToString());
  CHECK(made.code() == Code::kInvalidArgument);
  CHECK(made.message().rfind("ImageVolumeMountFailed: mount \"/volume\": ", 0) == 0);
  CHECK_THAT(made.message(), Catch::Contains("uidMappings"));
}

TEST_CASE("A restart finds image volumes in use and holds their images, also without a store") {
  VolumeLab lab;
  const ContainerId id = lab.Start(lab.Config("two:1", "sub"));
  lab.host().LoseStore();

  lab.Restart();

  CHECK(lab.host().Holds(id, "sha256:two"));
  CHECK(lab.host().Holds(id, lab.subject().image()));
  CHECK(lab.Sh(id, "cat /volume/deep/file").out == "deep\n");
  CHECK(lab.backend().RemoveContainer(lab.call(), lab.sandbox, id).ok());
  CHECK(lab.host().HeldImages() == 0);
}

// As kill -9 leaves it: mounted for a container that does not exist yet.
TEST_CASE("A restart takes away the mounts of a creation that was cut short") {
  const bool mapped = GENERATE(false, true);
  VolumeLab lab(mapped ? kUserns : "");
  const ContainerId id = MintContainerId();
  const std::string folder = lab.FolderOf(id);
  const std::string source = lab.host().data_folder() + "/shared";
  fs::create_directories(source);
  const auto image = lab.host().HoldImage(id, "sha256:two");
  REQUIRE(image.ok());
  const std::string users = mapped ? lab.FolderOfPod() + "/ns/user" : "";
  const auto roots = engine::AttachVolumes({{"two:1", image->layers}}, folder + "/volumes",
                                           {users, folder + "/layers"});
  REQUIRE(roots.ok());
  std::vector<engine::HostMount> mounts(2);
  auto shared = engine::OpenResolved(source);
  REQUIRE(shared.ok());
  mounts[0].source = *std::move(shared);
  mounts[0].place = folder + "/mnt/0";
  auto volume = engine::OpenVolume(roots->at("two:1"), lab.Config("two:1", "sub").mounts(0));
  REQUIRE(volume.ok());
  mounts[1].source = *std::move(volume);
  mounts[1].place = folder + "/mnt/1";
  REQUIRE(engine::AttachHostMounts(folder + "/mnt", mounts).ok());
  CHECK(fs::exists(mounts[1].place + "/deep/file"));
  CHECK(lab.HostHasMountsOf(id.str() + "/volumes"));
  const auto cut = GENERATE(0, 1, 2, 3);  // of its undoing, how much was done
  if (cut > 0) REQUIRE(umount2(roots->at("two:1").c_str(), MNT_DETACH) == 0);
  if (cut > 1) REQUIRE(umount2((folder + "/volumes").c_str(), MNT_DETACH) == 0);
  if (cut > 2) REQUIRE(umount2((folder + "/mnt").c_str(), MNT_DETACH) == 0);

  lab.Restart();

  CHECK_FALSE(lab.HostHasMountsOf(id.str()));
  CHECK_FALSE(fs::exists(folder));
  CHECK(lab.host().HeldImages() == 0);
  CHECK(lab.Make(id, lab.Config("two:1")).ok());
}

}  // namespace interlink::contract
