// Manifests: OCI image index and manifest, Docker manifest list and schema 2. Pure functions over
// bytes whose digest is already checked; hostile JSON gives kInvalidArgument with the field's name.
#ifndef INTERLINK_IMAGES_MANIFEST_H_
#define INTERLINK_IMAGES_MANIFEST_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/status.h"
#include "images/digest.h"
#include "images/platform.h"

namespace interlink::images {

inline constexpr size_t kMaxManifestBytes = 4U << 20U;
inline constexpr size_t kMaxConfigBytes = 4U << 20U;
// Entries of a list. overlayfs takes up to 500 lower layers.
inline constexpr size_t kMaxLayers = 500;
// Of an image that is pulled: the options of its mount are a page, in which a layer takes up to 20
// bytes (engine/mounts.cc). docker builds at most 127.
inline constexpr size_t kMaxPulledLayers = 200;

// Every media type that we can use, for the Accept header.
extern const char* const kManifestAccept;

struct Descriptor {
  std::string media_type;
  Digest digest;
  uint64_t size = 0;
  Platform platform;  // of an index's entry
};

struct Manifest {
  Descriptor config;
  std::vector<Descriptor> layers;  // lowest first
};

struct ManifestIndex {
  std::vector<Descriptor> manifests;
};

// `content_type` (parameters are ignored) decides; the bytes' own mediaType must not contradict it.
// An unknown type is refused by its name, schema 1 too, and so are bytes that are an index and a
// manifest at once.
Result<std::variant<Manifest, ManifestIndex>> ParseManifest(std::string_view bytes,
                                                            std::string_view content_type);

// The entry that runs best on `host`. kNotFound names the platforms that there are.
Result<Descriptor> ChoosePlatform(const ManifestIndex& index, const Platform& host);

}  // namespace interlink::images

#endif  // INTERLINK_IMAGES_MANIFEST_H_
