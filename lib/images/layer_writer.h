// LayerWriter: writes the entries of one layer into the working directory of its thread, in overlay
// form. One thread. Order: (Begin Data* End)* Finish.
#ifndef INTERLINK_IMAGES_LAYER_WRITER_H_
#define INTERLINK_IMAGES_LAYER_WRITER_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <unordered_set>
#include <vector>

#include "base/status.h"
#include "images/lower_layers.h"
#include "images/unpack_layer.h"

struct archive;
struct archive_entry;

namespace interlink::images {

class LayerWriter {
 public:
  // `lowers` outlives the writer. REQUIRES: the thread has its own working directory, an empty one.
  explicit LayerWriter(const LowerLayers& lowers);
  ~LayerWriter();
  LayerWriter(const LayerWriter&) = delete;
  LayerWriter& operator=(const LayerWriter&) = delete;

  // Makes what the entry names; true when its contents are to follow. kInvalidArgument names the
  // entry and what is wrong with it.
  Result<bool> Begin(archive_entry* entry);
  Status Data(const void* block, size_t size, int64_t offset);
  Status End();
  // Sets what could only be set last (modes and times of folders). Answers the folders that no
  // entry described.
  Result<std::vector<ImpliedFolder>> Finish();
  bool root_opaque() const { return root_opaque_; }
  // Folders made because something is in them: beside the entries, also where one came later.
  uint64_t implied_made() const { return implied_made_; }

 private:
  Status MakeParents(const std::string& path, const std::string& where);
  Status MakeImplied(const std::string& folder, const std::string& where);
  Status PrepareHardLink(archive_entry* entry, const std::string& where);
  Status CheckKind(archive_entry* entry, const std::string& where) const;
  Status ReplaceWhiteout(const std::string& path, bool by_folder);
  Status HideFile(const std::string& path, const std::string& where);
  Status HideAll(const std::string& folder, const std::string& where);
  Status SetOpaque(const std::string& folder);

  const LowerLayers& lowers_;
  archive* disk_;
  bool open_ = false;  // between Begin and End of an entry that libarchive writes
  bool root_opaque_ = false;
  uint64_t implied_made_ = 0;
  std::string where_;
  std::unordered_set<std::string> folders_;    // known to be folders of this layer
  std::unordered_set<std::string> whiteouts_;  // device nodes that stand for "gone"
  std::map<std::string, FolderMeta> implied_;
};

}  // namespace interlink::images

#endif  // INTERLINK_IMAGES_LAYER_WRITER_H_
