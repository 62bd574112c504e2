// Internal: names of entries, for messages. Pure.
#ifndef INTERLINK_LAYER_ARCHIVE_ENTRY_NAME_H_
#define INTERLINK_LAYER_ARCHIVE_ENTRY_NAME_H_

#include <string>
#include <string_view>

#include "base/status.h"

namespace interlink::layer_archive {

// Of the layer's root and of all that is in it; and of the last entry.
inline constexpr std::string_view kRootName = "layer";
inline constexpr std::string_view kEndName = "end";
// What `end` holds: this, a space, the number of entries before it, a line feed.
inline constexpr std::string_view kArchiveVersion = "1";
// A folder that is open for each level.
inline constexpr size_t kMaxDepth = 256;

// In quotes; what is not text is replaced, at most 200 bytes.
std::string Quoted(std::string_view name);

// "layer/a/b" -> "a/b"; "layer" -> "". kInvalidArgument: any other name: one that is absolute, or
// has an empty component, "." or "..", or is longer or deeper than layers are.
Result<std::string> PathInLayer(std::string_view name);

// "a/b/c" -> "a/b", "c"; "a" -> "", "a".
struct SplitPath {
  std::string parent;
  std::string name;
};
SplitPath Split(const std::string& path);

}  // namespace interlink::layer_archive

#endif  // INTERLINK_LAYER_ARCHIVE_ENTRY_NAME_H_
