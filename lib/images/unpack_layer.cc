#include "images/unpack_layer.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <locale.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <thread>

#include "images/free_space.h"
#include "images/layer_path.h"
#include "images/layer_writer.h"

namespace interlink::images {
namespace {

// How much is written between two looks at the disk, and what an entry takes beside its contents.
constexpr uint64_t kLook = 1ULL << 20U;
constexpr uint64_t kEntry = 4096;

// Feeds the tar reader. Some tools (umoci insert) leave out the padding of the last entry and the
// end of the archive; Go's reader takes that, so after the last byte come the zeros that are
// missing. An entry whose own bytes are cut is found by Unpacking::CheckNotCut.
struct TarFeed {
  LayerSource& source;
  const Call& call;
  const std::function<void(uint64_t)>& progress;
  Status failure;
  bool padded = false;
  std::string zeros;
};

la_ssize_t Feed(archive* reader, void* context, const void** buffer) {
  TarFeed& feed = *static_cast<TarFeed*>(context);
  feed.failure = feed.call.Check("unpacking the layer");
  if (feed.failure.ok()) {
    const auto bytes = feed.source.Next();
    if (bytes.ok() && !bytes->empty()) {
      if (feed.progress) feed.progress(feed.source.total());
      *buffer = bytes->data();
      return static_cast<la_ssize_t>(bytes->size());
    }
    feed.failure = bytes.status();
  }
  if (!feed.failure.ok()) {
    archive_set_error(reader, EIO, "%s", feed.failure.message().c_str());
    return ARCHIVE_FATAL;
  }
  if (feed.padded || feed.source.total() == 0) return 0;
  feed.padded = true;
  const size_t cut = static_cast<size_t>(feed.source.total() % 512);
  feed.zeros.assign((cut == 0 ? 0 : 512 - cut) + 1024, '\0');
  *buffer = feed.zeros.data();
  return static_cast<la_ssize_t>(feed.zeros.size());
}

class Unpacking {
 public:
  Unpacking(const Call& call, const UnpackRequest& request, LayerSource& source)
      : request_(request),
        source_(source),
        feed_{source, call, request.progress, Status(), false, ""},
        reader_(archive_read_new()) {}
  ~Unpacking() { archive_read_free(reader_); }
  Unpacking(const Unpacking&) = delete;
  Unpacking& operator=(const Unpacking&) = delete;

  Result<UnpackedLayer> Run(LayerWriter& writer) {
    archive_read_support_format_tar(reader_);
    archive_read_support_format_empty(reader_);
    if (archive_read_open(reader_, &feed_, nullptr, Feed, nullptr) != ARCHIVE_OK) return Broken();
    UnpackedLayer out;
    while (true) {
      archive_entry* entry = nullptr;
      const int result = archive_read_next_header(reader_, &entry);
      if (result == ARCHIVE_EOF) break;
      // A warning: a name that is not ASCII was taken byte by byte (see ThreadSurroundings).
      if (result != ARCHIVE_OK && result != ARCHIVE_WARN) return Broken();
      RETURN_IF_ERROR(TakeEntry(writer, entry, out));
    }
    ASSIGN_OR_RETURN(out.implied, writer.Finish());
    out.root_opaque = writer.root_opaque();
    return out;
  }

 private:
  Status Broken() {
    if (!feed_.failure.ok()) return feed_.failure;
    const char* why = archive_error_string(reader_);
    return DataLoss(std::string("damaged tar: ") + (why == nullptr ? "unknown" : why));
  }

  Status TakeEntry(LayerWriter& writer, archive_entry* entry, UnpackedLayer& out) {
    const uint64_t implied = writer.implied_made();
    if (++out.entries + implied > request_.limits.max_entries) {
      return ResourceExhausted("the layer has more than " +
                               std::to_string(request_.limits.max_entries) + " entries");
    }
    const char* name = archive_entry_pathname(entry);
    if (name == nullptr) return DataLoss("damaged tar: an entry without a name");
    const std::string where = QuotedEntry(name);
    const auto size = static_cast<uint64_t>(std::max<la_int64_t>(0, archive_entry_size(entry)));
    // Also holds for sparse files, whose size no byte of the source pays for.
    if (size > request_.limits.max_bytes || out.bytes + size > request_.limits.max_bytes) {
      return ResourceExhausted(where + " makes the layer larger than " +
                               std::to_string(request_.limits.max_bytes) + " bytes");
    }
    out.bytes += size;
    RETURN_IF_ERROR(Take(kEntry));
    ASSIGN_OR_RETURN(const bool wants_data, writer.Begin(entry));
    RETURN_IF_ERROR(Take((writer.implied_made() - implied) * kEntry));
    if (wants_data) RETURN_IF_ERROR(CopyData(writer, size, where));
    return writer.End();
  }

  Status CopyData(LayerWriter& writer, uint64_t size, const std::string& where) {
    while (true) {
      const void* block = nullptr;
      size_t length = 0;
      la_int64_t offset = 0;
      const int result = archive_read_data_block(reader_, &block, &length, &offset);
      if (result == ARCHIVE_EOF) return CheckNotCut(size, where);
      if (result != ARCHIVE_OK) return Broken().WithContext(where);
      RETURN_IF_ERROR(Take(length));
      RETURN_IF_ERROR(writer.Data(block, length, offset));
    }
  }

  // Before so much is written. What a sparse file leaves out is not counted, so the sizes that the
  // entries tell do not say it.
  Status Take(uint64_t bytes) {
    if (bytes <= granted_) {
      granted_ -= bytes;
      return {};
    }
    granted_ = std::max(kLook, bytes) - bytes;
    return CheckRoom(request_.target, bytes + granted_, request_.keep_free);
  }

  // REQUIRES: the data of an entry, with its padding, has been read.
  Status CheckNotCut(uint64_t size, const std::string& where) const {
    if (!feed_.padded) return {};
    const auto read = static_cast<uint64_t>(archive_filter_bytes(reader_, 0));
    const uint64_t padding = (512 - size % 512) % 512;
    if (read - std::min(read, padding) > source_.total()) return DataLoss(where + " is cut off");
    return {};
  }

  const UnpackRequest& request_;
  LayerSource& source_;
  TarFeed feed_;
  archive* reader_;
  uint64_t granted_ = 0;  // bytes that the disk has room for, at the last look
};

// A thread's own working directory, umask and character set. Names in layers are bytes; libarchive
// takes those in PAX headers for UTF-8. In a UTF-8 locale it would compose them, so that files got
// other names than their image gave them ("e" and U+0301 became U+00E9); in the C locale it warns
// and keeps the bytes.
class ThreadSurroundings {
 public:
  ~ThreadSurroundings() {
    uselocale(LC_GLOBAL_LOCALE);
    if (locale_ != nullptr) freelocale(locale_);
  }

  Status Enter(const std::string& folder) {
    if (::unshare(CLONE_FS) != 0) return ErrnoStatus(errno, "unshare the working directory");
    if (::chdir(folder.c_str()) != 0) return ErrnoStatus(errno, "enter \"" + folder + "\"");
    ::umask(0);
    locale_ = newlocale(LC_CTYPE_MASK, "C", nullptr);
    if (locale_ == nullptr) return ErrnoStatus(errno, "use the locale C");
    uselocale(locale_);
    return {};
  }

 private:
  locale_t locale_ = nullptr;
};

Result<UnpackedLayer> UnpackHere(const Call& call, const UnpackRequest& request) {
  ASSIGN_OR_RETURN(const LowerLayers lowers, LowerLayers::Open(request.lowers));
  ASSIGN_OR_RETURN(
      const auto source,
      LayerSource::Open(request.blob_path, request.diff_id.algorithm(), request.limits));
  ThreadSurroundings surroundings;
  RETURN_IF_ERROR(surroundings.Enter(request.target));
  LayerWriter writer(lowers);
  Unpacking unpacking(call, request, *source);
  ASSIGN_OR_RETURN(UnpackedLayer out, unpacking.Run(writer));
  ASSIGN_OR_RETURN(const Digest found, source->Finish());
  if (found != request.diff_id) {
    return DataLoss("the unpacked layer is " + found.str() + ", the image's config says " +
                    request.diff_id.str());
  }
  return out;
}

}  // namespace

Result<UnpackedLayer> UnpackLayer(const Call& call, const UnpackRequest& request) {
  std::optional<Result<UnpackedLayer>> result;
  std::jthread([&] { result = UnpackHere(call, request); }).join();
  return *std::move(result);
}

}  // namespace interlink::images
