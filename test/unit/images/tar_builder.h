// Makes layers in memory, entry by entry, for tests: also ones that no honest tool would make.
#ifndef INTERLINK_TEST_UNIT_IMAGES_TAR_BUILDER_H_
#define INTERLINK_TEST_UNIT_IMAGES_TAR_BUILDER_H_

#include <archive.h>
#include <archive_entry.h>
#include <sys/stat.h>

#include <map>
#include <string>
#include <utility>

namespace interlink::images {

struct TarEntry {
  std::string path;
  mode_t type = AE_IFREG;
  mode_t mode = 0644;
  std::string data;
  std::string link;  // of a symbolic link
  std::string hard_link;
  uid_t uid = 0;
  gid_t gid = 0;
  dev_t device = 0;
  std::map<std::string, std::string> attributes = {};
};

enum class Packing { kPlain, kGzip, kZstd };

class TarBuilder {
 public:
  explicit TarBuilder(Packing packing = Packing::kPlain) : out_(archive_write_new()) {
    archive_write_set_format_pax_restricted(out_);
    archive_write_set_bytes_in_last_block(out_, 1);
    if (packing == Packing::kGzip) archive_write_add_filter_gzip(out_);
    if (packing == Packing::kZstd) archive_write_add_filter_zstd(out_);
    archive_write_open(out_, &bytes_, nullptr, Append, nullptr);
  }
  ~TarBuilder() { archive_write_free(out_); }
  TarBuilder(const TarBuilder&) = delete;
  TarBuilder& operator=(const TarBuilder&) = delete;

  TarBuilder& Add(const TarEntry& what) {
    archive_entry* entry = archive_entry_new();
    archive_entry_set_pathname(entry, what.path.c_str());
    archive_entry_set_filetype(entry, what.type);
    archive_entry_set_perm(entry, what.mode);
    archive_entry_set_uid(entry, what.uid);
    archive_entry_set_gid(entry, what.gid);
    archive_entry_set_mtime(entry, 1'000'000'000, 0);
    archive_entry_set_rdev(entry, what.device);
    archive_entry_set_size(entry, static_cast<int64_t>(what.data.size()));
    if (!what.link.empty()) archive_entry_set_symlink(entry, what.link.c_str());
    if (!what.hard_link.empty()) archive_entry_set_hardlink(entry, what.hard_link.c_str());
    for (const auto& [name, value] : what.attributes)
      archive_entry_xattr_add_entry(entry, name.c_str(), value.data(), value.size());
    archive_write_header(out_, entry);
    if (!what.data.empty()) archive_write_data(out_, what.data.data(), what.data.size());
    archive_entry_free(entry);
    return *this;
  }
  TarBuilder& Folder(const std::string& path, mode_t mode = 0755) {
    return Add({path, AE_IFDIR, mode, "", "", ""});
  }
  TarBuilder& File(const std::string& path, const std::string& data, mode_t mode = 0644) {
    return Add({path, AE_IFREG, mode, data, "", ""});
  }
  // REQUIRES: called once, last.
  std::string Finish() {
    archive_write_close(out_);
    return std::move(bytes_);
  }

 private:
  static la_ssize_t Append(archive*, void* to, const void* data, size_t size) {
    static_cast<std::string*>(to)->append(static_cast<const char*>(data), size);
    return static_cast<la_ssize_t>(size);
  }
  std::string bytes_;
  archive* out_;
};

// `bytes` as one gzip member or zstd frame.
inline std::string Compress(const std::string& bytes, Packing packing) {
  std::string out;
  archive* writer = archive_write_new();
  archive_write_set_format_raw(writer);
  archive_write_set_bytes_in_last_block(writer, 1);
  if (packing == Packing::kGzip) archive_write_add_filter_gzip(writer);
  if (packing == Packing::kZstd) archive_write_add_filter_zstd(writer);
  const auto append = [](archive*, void* to, const void* data, size_t size) {
    static_cast<std::string*>(to)->append(static_cast<const char*>(data), size);
    return static_cast<la_ssize_t>(size);
  };
  archive_write_open(writer, &out, nullptr, append, nullptr);
  archive_entry* entry = archive_entry_new();
  archive_entry_set_filetype(entry, AE_IFREG);
  archive_write_header(writer, entry);
  archive_write_data(writer, bytes.data(), bytes.size());
  archive_entry_free(entry);
  archive_write_free(writer);
  return out;
}

}  // namespace interlink::images

#endif  // INTERLINK_TEST_UNIT_IMAGES_TAR_BUILDER_H_
