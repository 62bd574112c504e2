// What an image volume may ask for, and which folder it is.
#include "engine/image_volumes.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <string>

#include "unit/engine/bench.h"

namespace interlink::engine {
namespace {

namespace fs = std::filesystem;
using runtime::v1::Mount;

Mount Volume(const std::string& sub_path = "") {
  Mount mount;
  mount.set_container_path("/m");
  mount.set_readonly(true);
  mount.mutable_image()->set_image("i");
  mount.set_image_sub_path(sub_path);
  return mount;
}

// What a folder contains, an image's folder among others.
struct ImageBench : Bench {
  ImageBench() {
    fs::create_directories(At("image/sub/deep"));
    fs::create_directories(At("secret"));
    fs::create_directories(At("sub"));
    std::ofstream(At("image/file")) << "x";
    fs::create_symlink("/sub/deep", At("image/absolute"));
    fs::create_symlink(At("secret"), At("image/outside"));
    fs::create_symlink("../../../../secret", At("image/sub/climbs"));
    fs::create_symlink("../..", At("image/sub/up"));
    fs::create_symlink("sub", At("image/chained"));
    fs::create_symlink("/proc/self/root", At("image/magic"));
    fs::create_symlink("loop", At("image/loop"));
    volumes["i"] = At("image");
  }
  bool IsFolder(int fd, const std::string& name) const {
    struct stat got {};
    struct stat expected {};
    return fstat(fd, &got) == 0 && stat(At(name).c_str(), &expected) == 0 &&
           got.st_ino == expected.st_ino && got.st_dev == expected.st_dev;
  }
};

}  // namespace

TEST_CASE("A mount asks for an image by any field of it") {
  CHECK(IsImageVolume(Volume()));
  Mount annotated;
  (*annotated.mutable_image()->mutable_annotations())["a"] = "b";
  CHECK(IsImageVolume(annotated));
  Mount empty;
  empty.mutable_image();
  CHECK_FALSE(IsImageVolume(empty));
  CHECK_FALSE(IsImageVolume(Mount()));
}

TEST_CASE("An image volume is refused by the field that contradicts it, and by kubelet's word") {
  CHECK(CheckImageVolume(Volume()).ok());
  CHECK(CheckImageVolume(Volume("sub/deep")).ok());
  using Change = void (*)(Mount&);
  const auto [change, word] = GENERATE(table<Change, std::string>({
      {[](Mount& mount) { mount.set_readonly(false); }, "readonly must be set"},
      {[](Mount& mount) { mount.set_host_path("/h"); }, "both host_path and image"},
      {[](Mount& mount) { mount.set_propagation(runtime::v1::PROPAGATION_HOST_TO_CONTAINER); },
       "PROPAGATION_PRIVATE, not PROPAGATION_HOST_TO_CONTAINER"},
      {[](Mount& mount) { mount.set_propagation(runtime::v1::PROPAGATION_BIDIRECTIONAL); },
       "PROPAGATION_PRIVATE, not PROPAGATION_BIDIRECTIONAL"},
      {[](Mount& mount) {
         mount.mutable_image()->clear_image();
         mount.mutable_image()->set_image_ref("r");
       },
       "image.image is empty"},
      {[](Mount& mount) { mount.set_image_sub_path(std::string("a\0b", 3)); }, "zero byte"},
  }));
  Bench bench;
  Mount& mount = *bench.config.add_mounts() = Volume();
  change(mount);

  const Status status = bench.Check();

  CHECK(status.code() == Code::kInvalidArgument);
  CHECK(status.message().rfind("ImageVolumeMountFailed: mount \"/m\": ", 0) == 0);
  CHECK_THAT(status.message(), Catch::Contains(word));
}

TEST_CASE("A sub path leads to a folder of the image, through its own links, and to nothing else") {
  const ImageBench bench;
  const auto [sub, folder, word] = GENERATE(table<std::string, std::string, std::string>({
      {"", "image", ""},
      {"/", "image", ""},
      {".", "image", ""},
      {"sub/deep", "image/sub/deep", ""},
      {"/sub//deep/", "image/sub/deep", ""},
      {"absolute", "image/sub/deep", ""},
      {"chained/deep", "image/sub/deep", ""},
      {"sub/up", "image", ""},
      {"sub/up/sub", "image/sub", ""},
      {"..", "image", ""},
      {"../sub", "image/sub", ""},
      {"../../../..", "image", ""},
      {"outside", "", "\"outside\" does not exist"},
      {"sub/climbs", "", "does not exist"},
      {"../secret", "", "does not exist"},
      {"magic", "", "does not exist"},
      {"missing", "", "\"missing\" does not exist"},
      {"file", "", "\"file\" is not a folder"},
      {"file/deep", "", "is not a folder"},
      {"loop", "", "loop of links"},
      {std::string(5000, 'a'), "", "too long"},
  }));
  CAPTURE(sub);

  const auto opened = OpenVolume(bench.At("image"), Volume(sub));

  if (word.empty()) {
    REQUIRE(opened.ok());
    CHECK(bench.IsFolder(opened->get(), folder));
    return;
  }
  CHECK(opened.status().code() == Code::kInvalidArgument);
  CHECK(opened.status().message().rfind("ImageVolumeMountFailed: mount \"/m\": image_sub_path: ",
                                        0) == 0);
  CHECK_THAT(opened.status().message(), Catch::Contains(word));
}

TEST_CASE(
    "An image volume needs no allowed host path, and is given without devices and set-user-id") {
  ImageBench bench;
  *bench.config.add_mounts() = Volume("sub");
  CHECK(bench.Check().ToString() == "OK");

  const auto spec = bench.Spec();

  REQUIRE(bench.host_mounts.size() == 1);
  CHECK(bench.IsFolder(bench.host_mounts[0].source.get(), "image/sub"));
  CHECK(bench.host_mounts[0].connection == Connection::kNone);
  CHECK(bench.host_mounts[0].user_namespace.empty());
  const auto& mounts = spec["mounts"];
  const auto found = std::find_if(mounts.begin(), mounts.end(), [](const nlohmann::json& entry) {
    return entry["destination"] == "/m";
  });
  REQUIRE(found != mounts.end());
  CHECK((*found)["source"] == bench.host_mounts[0].place);
  CHECK((*found)["options"] == nlohmann::json({"rbind", "rprivate", "ro", "nosuid", "nodev"}));
}

// RefuseMountsBelow finds a mount's name by its place in the config.
TEST_CASE("Host paths and image volumes keep the order of the config") {
  ImageBench bench;
  bench.policy().allowed_host_paths = {bench.At("shared")};
  *bench.config.add_mounts() = Volume("sub");
  auto& bind = *bench.config.add_mounts();
  bind.set_container_path("/b");
  bind.set_host_path(bench.At("shared"));
  *bench.config.add_mounts() = Volume();

  REQUIRE(bench.Plan().ok());

  REQUIRE(bench.host_mounts.size() == 3);
  CHECK(bench.IsFolder(bench.host_mounts[0].source.get(), "image/sub"));
  CHECK(bench.IsFolder(bench.host_mounts[1].source.get(), "shared"));
  CHECK(bench.IsFolder(bench.host_mounts[2].source.get(), "image"));
}

// The layers are mounted with mapped owners; an overlay of them cannot be mapped once more.
TEST_CASE("The mappings of an image volume are the pod's, and not asked of its mount") {
  ImageBench bench;
  bench.pod.users = {200'000, 65'536};
  Mount& mount = *bench.config.add_mounts() = Volume();
  for (auto* mapping : {mount.add_uidmappings(), mount.add_gidmappings()}) {
    mapping->set_host_id(200'000);
    mapping->set_length(65'536);
  }
  CHECK(bench.Check().ToString() == "OK");
  REQUIRE(bench.Plan().ok());
  CHECK(bench.host_mounts[0].user_namespace.empty());

  mount.mutable_uidmappings(0)->set_length(5);

  const Status refused = bench.Check();
  CHECK(refused.code() == Code::kInvalidArgument);
  CHECK(refused.message().rfind("ImageVolumeMountFailed: mount \"/m\": ", 0) == 0);
}

TEST_CASE("An image without layers is no volume") {
  const Bench bench;

  const auto attached = AttachVolumes({{"i", {}}}, bench.At("volumes"), {});

  CHECK_FALSE(fs::exists(bench.At("volumes")));
  CHECK(attached.status().code() == Code::kFailedPrecondition);
  CHECK_THAT(attached.status().message(),
             Catch::Contains("ImageVolumeMountFailed: image \"i\" has no layers"));
}

}  // namespace interlink::engine
