#include "images/layer_source.h"

#include <archive.h>
#include <archive_entry.h>
#include <sys/stat.h>

namespace interlink::images {

struct LayerSource::Reader {
  Reader() : raw(archive_read_new()) {}
  ~Reader() { archive_read_free(raw); }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;
  archive* raw;
};

LayerSource::LayerSource(HashAlgorithm algorithm, const UnpackLimits& limits)
    : reader_(std::make_unique<Reader>()), hasher_(algorithm), limits_(limits) {}

LayerSource::~LayerSource() = default;

Result<std::unique_ptr<LayerSource>> LayerSource::Open(const std::string& blob_path,
                                                       HashAlgorithm algorithm,
                                                       const UnpackLimits& limits) {
  struct stat about {};
  if (::stat(blob_path.c_str(), &about) != 0)
    return ErrnoStatus(errno, "open \"" + blob_path + "\"");
  std::unique_ptr<LayerSource> out(new LayerSource(algorithm, limits));
  out->packed_ = static_cast<uint64_t>(about.st_size);
  archive* raw = out->reader_->raw;
  archive_read_support_filter_gzip(raw);
  archive_read_support_filter_zstd(raw);
  archive_read_support_format_raw(raw);
  archive_read_support_format_empty(raw);
  archive_entry* entry = nullptr;
  if (archive_read_open_filename(raw, blob_path.c_str(), 1U << 18U) != ARCHIVE_OK)
    return DataLoss(std::string("cannot read the layer: ") + archive_error_string(raw));
  const int first = archive_read_next_header(raw, &entry);
  if (first == ARCHIVE_EOF) {
    out->ended_ = true;
  } else if (first != ARCHIVE_OK) {
    return DataLoss(std::string("the layer is not gzip, zstd or plain tar: ") +
                    archive_error_string(raw));
  }
  return out;
}

Result<std::string_view> LayerSource::Next() {
  while (!ended_) {
    const void* block = nullptr;
    size_t size = 0;
    la_int64_t offset = 0;
    const int result = archive_read_data_block(reader_->raw, &block, &size, &offset);
    if (result == ARCHIVE_EOF) {
      ended_ = true;
      break;
    }
    if (result != ARCHIVE_OK) {
      return DataLoss(std::string("the layer's compression is damaged: ") +
                      archive_error_string(reader_->raw));
    }
    if (size == 0) continue;
    total_ += size;
    if (total_ > limits_.max_bytes) {
      return ResourceExhausted("the layer unpacks to more than " +
                               std::to_string(limits_.max_bytes) + " bytes");
    }
    if (total_ > limits_.ratio_counts_from && total_ / limits_.max_ratio > packed_) {
      return ResourceExhausted("the layer unpacks to more than " +
                               std::to_string(limits_.max_ratio) + " times its size");
    }
    const std::string_view bytes(static_cast<const char*>(block), size);
    hasher_.Update(bytes);
    return bytes;
  }
  return std::string_view();
}

Result<Digest> LayerSource::Finish() {
  while (true) {
    ASSIGN_OR_RETURN(const std::string_view bytes, Next());
    if (bytes.empty()) return hasher_.Finish();
  }
}

}  // namespace interlink::images
