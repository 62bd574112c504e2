// What the image store keeps on disk, and its JSON (version 1 each). Pure.
//
//   DataRootFolder/images/
//     lock                       flock: one process uses the store
//     layers/NUMBER/layer.json   StoredLayer
//     layers/NUMBER/fs/          the unpacked layer, in overlay form (short paths: the kernel's
//                                mount options end at 4096 bytes)
//     images/HEX/config.json     the config, as it came; HEX is its sha256, the image's id
//     images/HEX/image.json      StoredImage; written last
//     nodes/HEX/IMAGE_HEX.json   NodeReference; HEX is the sha256 of the node's name
//     holds/CONTAINER_ID         StoredHold: the first image that the container holds
//     holds/CONTAINER_ID.IMAGE_HEX   each further one
//     temp/                      pulls in progress; swept at the start
//     trash/                     what is being deleted, slowly
#ifndef INTERLINK_IMAGES_RECORDS_H_
#define INTERLINK_IMAGES_RECORDS_H_

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "images/digest.h"
#include "images/unpack_layer.h"

namespace interlink::images {

struct StoredLayer {
  uint64_t number = 0;
  Digest diff_id;
  // The blobs that were seen to unpack to `diff_id`. A config alone is no proof: whoever knows only
  // a layer's diff id must not get its files.
  std::set<std::string> blobs;
  UnpackedLayer unpacked;
};

struct StoredImage {
  std::string id;                // "sha256:..."
  std::vector<uint64_t> layers;  // lowest first
  uint64_t size = 0;             // of the config and the compressed layers
};

struct NodeReference {
  std::string node;
  std::string image;  // id
  std::set<std::string> tags;
  std::set<std::string> digests;
};

struct StoredHold {
  std::string image;  // id
};

std::string ToJson(const StoredLayer& layer);
std::string ToJson(const StoredImage& image);
std::string ToJson(const NodeReference& reference);
std::string ToJson(const StoredHold& hold);

// kDataLoss: not what ToJson wrote; kFailedPrecondition: another version wrote it.
Result<StoredLayer> ParseLayer(std::string_view bytes);
Result<StoredImage> ParseImage(std::string_view bytes);
Result<NodeReference> ParseNodeReference(std::string_view bytes);
Result<StoredHold> ParseHold(std::string_view bytes);

}  // namespace interlink::images

#endif  // INTERLINK_IMAGES_RECORDS_H_
