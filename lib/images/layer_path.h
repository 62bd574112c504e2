// Names of layer entries: bytes, made relative to the layer's root, or refused. Pure.
#ifndef INTERLINK_IMAGES_LAYER_PATH_H_
#define INTERLINK_IMAGES_LAYER_PATH_H_

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace interlink::images {

// "./a//b/" and "/a/b" -> "a/b"; "." and "/" -> "" (the root itself). kInvalidArgument when a
// component is ".." (`entry "../x" leaves its root`), and for names that no file system takes.
Result<std::string> EntryPath(std::string_view name);

// "a/b/c" -> "a/b"; "a" -> "".
std::string ParentPath(const std::string& path);
std::string BaseName(const std::string& path);

// A whiteout of the OCI layer format.
enum class Whiteout {
  kNone,
  kFile,      // ".wh.NAME": NAME of the lower layers is gone
  kOpaque,    // ".wh..wh..opq": nothing of the lower layers shows in this folder
  kMetadata,  // other ".wh..wh.*": notes of AUFS, meant for nobody
};
struct WhiteoutName {
  Whiteout kind = Whiteout::kNone;
  std::string target;  // kFile: the path that is gone; kOpaque: the folder
};
// REQUIRES: `path` from EntryPath. kInvalidArgument: a whiteout of nothing, of "." or of "..".
Result<WhiteoutName> ParseWhiteout(const std::string& path);

// For messages: control bytes and quotes escaped as \xNN, at most 200 bytes.
std::string QuotedEntry(std::string_view name);

}  // namespace interlink::images

#endif  // INTERLINK_IMAGES_LAYER_PATH_H_
