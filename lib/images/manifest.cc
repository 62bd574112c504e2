#include "images/manifest.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>

#include "images/json.h"

namespace interlink::images {

const char* const kManifestAccept =
    "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json, "
    "application/vnd.docker.distribution.manifest.v2+json";

namespace {

using nlohmann::json;

enum class Kind { kManifest, kIndex, kUnknown };

Kind KindOf(std::string_view type) {
  if (type == "application/vnd.oci.image.manifest.v1+json" ||
      type == "application/vnd.docker.distribution.manifest.v2+json")
    return Kind::kManifest;
  if (type == "application/vnd.oci.image.index.v1+json" ||
      type == "application/vnd.docker.distribution.manifest.list.v2+json")
    return Kind::kIndex;
  return Kind::kUnknown;
}

bool IsConfigType(std::string_view type) {
  return type == "application/vnd.oci.image.config.v1+json" ||
         type == "application/vnd.docker.container.image.v1+json";
}

// What a layer's bytes are is seen from the bytes; the type only says that it is a layer.
bool IsLayerType(std::string_view type) {
  static constexpr std::string_view kTypes[] = {
      "application/vnd.oci.image.layer.v1.tar",
      "application/vnd.oci.image.layer.v1.tar+gzip",
      "application/vnd.oci.image.layer.v1.tar+zstd",
      "application/vnd.docker.image.rootfs.diff.tar",
      "application/vnd.docker.image.rootfs.diff.tar.gzip",
      "application/vnd.docker.image.rootfs.diff.tar.zstd",
      "application/vnd.oci.image.layer.nondistributable.v1.tar",
      "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
      "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd"};
  return std::find(std::begin(kTypes), std::end(kTypes), type) != std::end(kTypes);
}

std::string_view Trimmed(std::string_view type) {
  type = type.substr(0, type.find(';'));
  while (!type.empty() && type.back() == ' ') type.remove_suffix(1);
  return type;
}

Result<Descriptor> ParseDescriptor(const json& value, const std::string& where) {
  if (!value.is_object()) return InvalidArgument("\"" + where + "\" is not an object");
  Descriptor out;
  ASSIGN_OR_RETURN(out.media_type, TextField(value, "mediaType", where));
  ASSIGN_OR_RETURN(const std::string digest, TextField(value, "digest", where));
  auto parsed = Digest::Parse(digest);
  if (!parsed.ok()) return parsed.status().WithContext("\"" + where + ".digest\"");
  out.digest = *parsed;
  const auto size = value.find("size");
  if (size == value.end() || !size->is_number_unsigned() ||
      size->get<uint64_t>() > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()))
    return InvalidArgument("\"" + where + ".size\" is not a size");
  out.size = size->get<uint64_t>();
  const auto platform = value.find("platform");
  if (platform != value.end() && platform->is_object()) {
    ASSIGN_OR_RETURN(out.platform.os, TextField(*platform, "os", where + ".platform"));
    ASSIGN_OR_RETURN(out.platform.architecture,
                     TextField(*platform, "architecture", where + ".platform"));
    ASSIGN_OR_RETURN(out.platform.variant, TextField(*platform, "variant", where + ".platform"));
  }
  return out;
}

Result<std::vector<Descriptor>> ParseDescriptors(const json& root, const char* name) {
  const auto list = root.find(name);
  if (list == root.end() || !list->is_array())
    return InvalidArgument("\"" + std::string(name) + "\" is not a list");
  if (list->size() > kMaxLayers)
    return InvalidArgument("\"" + std::string(name) + "\" has " + std::to_string(list->size()) +
                           " entries; at most " + std::to_string(kMaxLayers) + " are taken");
  std::vector<Descriptor> out;
  for (size_t i = 0; i < list->size(); ++i) {
    ASSIGN_OR_RETURN(out.emplace_back(), ParseDescriptor((*list)[i], std::string(name) + "[" +
                                                                         std::to_string(i) + "]"));
  }
  return out;
}

Result<Manifest> ParseImageManifest(const json& root) {
  Manifest out;
  const auto config = root.find("config");
  if (config == root.end()) return InvalidArgument("\"config\" is missing");
  ASSIGN_OR_RETURN(out.config, ParseDescriptor(*config, "config"));
  if (!IsConfigType(out.config.media_type)) {
    return InvalidArgument("this is not a container image: its config is of type \"" +
                           Printable(out.config.media_type) + "\"");
  }
  if (out.config.size > kMaxConfigBytes) return InvalidArgument("the config is larger than 4 MiB");
  // The id of an image is the config's digest, and ids are 64 hex digits everywhere.
  if (out.config.digest.algorithm() != HashAlgorithm::kSha256)
    return InvalidArgument("the config's digest is not a sha256");
  ASSIGN_OR_RETURN(out.layers, ParseDescriptors(root, "layers"));
  if (out.layers.size() > kMaxPulledLayers) {
    return InvalidArgument("the image has " + std::to_string(out.layers.size()) +
                           " layers; at most " + std::to_string(kMaxPulledLayers) +
                           " can be mounted");
  }
  for (const Descriptor& layer : out.layers) {
    if (!IsLayerType(layer.media_type)) {
      return InvalidArgument("layer " + layer.digest.str() + " is of the unknown type \"" +
                             Printable(layer.media_type) + "\"");
    }
  }
  return out;
}

}  // namespace

Result<std::variant<Manifest, ManifestIndex>> ParseManifest(std::string_view bytes,
                                                            std::string_view content_type) {
  using Either = std::variant<Manifest, ManifestIndex>;
  if (bytes.size() > kMaxManifestBytes) return InvalidArgument("the manifest is larger than 4 MiB");
  ASSIGN_OR_RETURN(const json root, ParseObject(bytes, "the manifest"));
  const auto version = root.find("schemaVersion");
  if (version != root.end() && version->is_number_integer() && *version == 1)
    return InvalidArgument("the manifest is of Docker's schema 1, which is not supported");
  if (version == root.end() || !version->is_number_integer() || *version != 2)
    return InvalidArgument("\"schemaVersion\" is not 2");
  ASSIGN_OR_RETURN(const std::string own, TextField(root, "mediaType", ""));
  std::string type(Trimmed(content_type));
  // Some registries answer with a generic type: then the manifest has to say what it is.
  if (KindOf(type) == Kind::kUnknown && !own.empty() &&
      (type.empty() || type == "application/json" || type == "application/octet-stream" ||
       type == "text/plain"))
    type = own;
  const Kind kind = KindOf(type);
  if (kind == Kind::kUnknown)
    return InvalidArgument("the manifest is of the unknown type \"" + Printable(type) + "\"");
  if (!own.empty() && own != type) {
    return InvalidArgument("the manifest calls itself \"" + Printable(own) +
                           "\", the registry calls it \"" + Printable(type) + "\"");
  }
  // CVE-2021-41190: the same bytes must not mean two images.
  const bool has_layers = root.contains("layers") || root.contains("config");
  if (has_layers && root.contains("manifests"))
    return InvalidArgument("the manifest is an image and an index at once");
  if (kind == Kind::kManifest) {
    ASSIGN_OR_RETURN(Manifest manifest, ParseImageManifest(root));
    return Either(std::move(manifest));
  }
  ManifestIndex index;
  ASSIGN_OR_RETURN(index.manifests, ParseDescriptors(root, "manifests"));
  return Either(std::move(index));
}

Result<Descriptor> ChoosePlatform(const ManifestIndex& index, const Platform& host) {
  const Descriptor* best = nullptr;
  int best_fit = 0;
  std::set<std::string> seen;
  for (const Descriptor& entry : index.manifests) {
    seen.insert(Printable(entry.platform.ToString()));
    if (KindOf(entry.media_type) == Kind::kUnknown) continue;
    const int fit = Fit(host, entry.platform);
    if (fit > best_fit) {
      best = &entry;
      best_fit = fit;
    }
  }
  if (best != nullptr) return *best;
  std::string names;
  for (const std::string& name : seen) {
    if (names.size() > 300) break;
    names += (names.empty() ? "" : ", ") + name;
  }
  return NotFound("no image for " + host.ToString() + "; there are: " + names);
}

}  // namespace interlink::images
