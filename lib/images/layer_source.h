// LayerSource: the uncompressed bytes of a layer's blob (gzip, zstd or plain, seen from the bytes),
// hashed on their way. One thread.
#ifndef INTERLINK_IMAGES_LAYER_SOURCE_H_
#define INTERLINK_IMAGES_LAYER_SOURCE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"
#include "images/digest.h"

namespace interlink::images {

// Against bombs.
struct UnpackLimits {
  uint64_t max_bytes = 64ULL << 30U;  // unpacked, of one layer
  uint64_t max_entries = 4'000'000;   // files, folders, links of one layer
  // Unpacked to packed bytes. Deflate cannot exceed 1032; zeros in zstd can, by far.
  uint64_t max_ratio = 1100;
  uint64_t ratio_counts_from = 64ULL << 20U;  // unpacked bytes below which any ratio is fine
};

class LayerSource {
 public:
  // kInvalidArgument: the bytes are not one of the three forms.
  static Result<std::unique_ptr<LayerSource>> Open(const std::string& blob_path,
                                                   HashAlgorithm algorithm,
                                                   const UnpackLimits& limits);
  ~LayerSource();
  LayerSource(const LayerSource&) = delete;
  LayerSource& operator=(const LayerSource&) = delete;

  // The next bytes, valid until the next call; empty at the end, for ever. kResourceExhausted: over
  // a limit. kDataLoss: damaged compression.
  Result<std::string_view> Next();
  // Bytes so far.
  uint64_t total() const { return total_; }
  // Reads the rest and answers the hash of it all. REQUIRES: called once, last.
  Result<Digest> Finish();

 private:
  struct Reader;
  LayerSource(HashAlgorithm algorithm, const UnpackLimits& limits);

  std::unique_ptr<Reader> reader_;
  Hasher hasher_;
  UnpackLimits limits_;
  uint64_t packed_ = 0;
  uint64_t total_ = 0;
  bool ended_ = false;
};

}  // namespace interlink::images

#endif  // INTERLINK_IMAGES_LAYER_SOURCE_H_
