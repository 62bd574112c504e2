#include "images/manifest.h"

#include <catch2/catch.hpp>

#include "images/image_config.h"

namespace interlink::images {
namespace {

const std::string kOci = "application/vnd.oci.image.manifest.v1+json";
const std::string kDocker = "application/vnd.docker.distribution.manifest.v2+json";
const std::string kIndex = "application/vnd.oci.image.index.v1+json";
const std::string kDigest = "sha256:" + std::string(64, 'a');

std::string DescriptorText(const std::string& type, const std::string& more = "",
                           const std::string& size = "7") {
  return R"({"mediaType":")" + type + R"(","digest":")" + kDigest + R"(","size":)" + size + more +
         "}";
}

std::string ManifestText(
    const std::string& layers,
    const std::string& config = DescriptorText("application/vnd.oci.image.config.v1+json")) {
  return R"({"schemaVersion":2,"config":)" + config + R"(,"layers":[)" + layers + "]}";
}

const std::string kLayer = "application/vnd.oci.image.layer.v1.tar+gzip";

TEST_CASE("OCI and Docker manifests give config and layers") {
  const auto oci = ParseManifest(ManifestText(DescriptorText(kLayer)), kOci + "; charset=utf-8");
  const auto docker = ParseManifest(
      ManifestText(DescriptorText("application/vnd.docker.image.rootfs.diff.tar.gzip"),
                   DescriptorText("application/vnd.docker.container.image.v1+json")),
      kDocker);

  REQUIRE(oci.ok());
  REQUIRE(docker.ok());
  const auto& manifest = std::get<images::Manifest>(*oci);
  CHECK(manifest.layers.size() == 1);
  CHECK(manifest.layers[0].digest.str() == kDigest);
  CHECK(manifest.layers[0].size == 7);
}

TEST_CASE("Hostile manifests are refused by name") {
  const auto [bytes, type, word] = GENERATE_COPY(table<std::string, std::string, std::string>({
      {"", kOci, "JSON"},
      {"[]", kOci, "JSON"},
      {"{", kOci, "JSON"},
      {std::string(1000, '[') + std::string(1000, ']'), kOci, "JSON"},
      {R"({"schemaVersion":2,"x":)" + std::string(200'000, '[') + std::string(200'000, ']') + "}",
       kOci, "nested"},
      {R"({"schemaVersion":1,"fsLayers":[]})", kOci, "schema 1"},
      {R"({"schemaVersion":"2"})", kOci, "schemaVersion"},
      {R"({"schemaVersion":2})", kOci, "config"},
      {ManifestText("5"), kOci, "layers[0]"},
      {ManifestText(DescriptorText("text/html")), kOci, "text/html"},
      {ManifestText(DescriptorText("a\\u0000b")), kOci, "NUL"},
      {ManifestText(DescriptorText(kLayer, "", "-1")), kOci, "layers[0].size"},
      {ManifestText(DescriptorText(kLayer, "", "1e3")), kOci, "layers[0].size"},
      {ManifestText(DescriptorText(kLayer, "", "18446744073709551615")), kOci, "layers[0].size"},
      {ManifestText("", DescriptorText("application/vnd.cncf.helm.config.v1+json")), kOci, "helm"},
      {ManifestText("", DescriptorText("application/vnd.oci.image.config.v1+json", "", "4194305")),
       kOci, "4 MiB"},
      {ManifestText(""), "text/html", "text/html"},
      {R"({"schemaVersion":2,"mediaType":")" + kIndex + R"(","manifests":[]})", kOci,
       "calls itself"},
      {R"({"schemaVersion":2,"manifests":[],"layers":[]})", kIndex, "at once"},
      {R"({"schemaVersion":2,"manifests":{}})", kIndex, "manifests"},
  }));
  INFO(bytes.substr(0, 200));

  const auto parsed = ParseManifest(bytes, type);

  REQUIRE_FALSE(parsed.ok());
  CHECK(parsed.status().code() == Code::kInvalidArgument);
  CHECK_THAT(parsed.status().message(), Catch::Contains(word));
}

// With 228 and more the options of the mount did not fit into a page: pulled, and never to be run.
TEST_CASE("More layers than can be mounted are refused") {
  std::string layers = DescriptorText(kLayer);
  for (int i = 1; i < 200; ++i) layers += "," + DescriptorText(kLayer);

  CHECK(ParseManifest(ManifestText(layers), kOci).ok());
  const auto refused = ParseManifest(ManifestText(layers + "," + DescriptorText(kLayer)), kOci);

  CHECK(refused.status().code() == Code::kInvalidArgument);
  CHECK_THAT(refused.status().message(),
             Catch::Contains("the image has 201 layers") && Catch::Contains("at most 200"));
}

TEST_CASE("The image for this machine is chosen from an index") {
  const auto entry = [](const std::string& architecture, const std::string& variant, char hex) {
    std::string text =
        DescriptorText(kOci, R"(,"platform":{"os":"linux","architecture":")" + architecture +
                                 R"(","variant":")" + variant + R"("})");
    text.replace(text.find(kDigest), kDigest.size(), "sha256:" + std::string(64, hex));
    return text;
  };
  const std::string bytes = R"({"schemaVersion":2,"manifests":[)" + entry("arm64", "v8", '1') +
                            "," + entry("amd64", "v3", '2') + "," + entry("amd64", "", '3') + "]}";
  const auto parsed = ParseManifest(bytes, kIndex);
  REQUIRE(parsed.ok());
  const auto& index = std::get<ManifestIndex>(*parsed);

  const auto amd = ChoosePlatform(index, {"linux", "amd64", ""});
  const auto arm = ChoosePlatform(index, {"linux", "arm64", "v8"});
  const auto none = ChoosePlatform(index, {"linux", "s390x", ""});

  REQUIRE(amd.ok());
  CHECK(amd->digest.hex() == std::string(64, '3'));
  REQUIRE(arm.ok());
  CHECK(arm->digest.hex() == std::string(64, '1'));
  REQUIRE_FALSE(none.ok());
  CHECK(none.status().code() == Code::kNotFound);
  CHECK_THAT(none.status().message(), Catch::Contains("linux/arm64/v8"));
}

TEST_CASE("A config gives what a container needs") {
  const std::string bytes = R"({"os":"linux","architecture":"amd64","config":{"User":"1003:1004",
    "Env":["A=b"],"Entrypoint":["/e"],"Cmd":["c","d"],"WorkingDir":"/w","StopSignal":"SIGINT",
    "Volumes":{"/v":{}}},"rootfs":{"type":"layers","diff_ids":[")" +
                            kDigest + R"("]}})";

  const auto parsed = ParseImageConfig(bytes);

  REQUIRE(parsed.ok());
  CHECK(parsed->config.user == "1003:1004");
  CHECK(parsed->config.env == std::vector<std::string>{"A=b"});
  CHECK(parsed->config.entrypoint == std::vector<std::string>{"/e"});
  CHECK(parsed->config.cmd == std::vector<std::string>{"c", "d"});
  CHECK(parsed->config.working_dir == "/w");
  CHECK(parsed->config.stop_signal == "SIGINT");
  CHECK(parsed->config.volumes == std::vector<std::string>{"/v"});
  CHECK(VerboseInfo(bytes, parsed->diff_ids) ==
        R"({"chainID":")" + kDigest + R"(","imageSpec":)" + bytes + "}");
}

TEST_CASE("Hostile configs are refused by field") {
  const auto [bytes, word] = GENERATE(table<std::string, std::string>({
      {R"({"rootfs":{"type":"layers","diff_ids":["sha256:x"]}})", "diff_ids"},
      {R"({"rootfs":{"type":"dir","diff_ids":[]}})", "rootfs.type"},
      {R"({})", "rootfs"},
      {R"({"config":[],"rootfs":{"type":"layers"}})", "config"},
      {R"({"config":{"Env":"A=b"},"rootfs":{"type":"layers"}})", "config.Env"},
      {R"({"config":{"Env":["A\u0000b"]},"rootfs":{"type":"layers"}})", "config.Env"},
      {R"({"config":{"User":7},"rootfs":{"type":"layers"}})", "config.User"},
  }));

  const auto parsed = ParseImageConfig(bytes);

  REQUIRE_FALSE(parsed.ok());
  CHECK_THAT(parsed.status().message(), Catch::Contains(word));
}

TEST_CASE("uid and user name come from the config's user") {
  const auto [user, uid, name] = GENERATE(table<std::string, int64_t, std::string>({
      {"1002", 1002, ""},
      {"1003:1004", 1003, ""},
      {"www-data", -1, "www-data"},
      {"www-data:1004", -1, "www-data"},
      {"", -1, ""},
  }));
  runtime::v1::Image image;

  SetUser(user, image);

  CHECK((image.has_uid() ? image.uid().value() : -1) == uid);
  CHECK(image.username() == name);
}

}  // namespace
}  // namespace interlink::images
