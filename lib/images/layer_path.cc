#include "images/layer_path.h"

#include <climits>

namespace interlink::images {

std::string QuotedEntry(std::string_view name) {
  static constexpr std::string_view kHex = "0123456789abcdef";
  std::string out = "entry \"";
  for (const char c : name.substr(0, 200)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte != 0x7f && c != '"' && c != '\\') {
      out += c;
    } else {
      out += "\\x";
      out += kHex[byte >> 4U];
      out += kHex[byte & 15U];
    }
  }
  return out + (name.size() > 200 ? "...\"" : "\"");
}

Result<std::string> EntryPath(std::string_view name) {
  if (name.find('\0') != std::string_view::npos)
    return InvalidArgument(QuotedEntry(name) + " holds a NUL");
  if (name.size() >= PATH_MAX) return InvalidArgument(QuotedEntry(name) + " is too long a name");
  // No image has so many levels; who makes them wants whoever follows them to fail.
  constexpr int kMaxDepth = 256;
  int depth = 0;
  std::string out;
  size_t begin = 0;
  while (begin < name.size()) {
    size_t end = name.find('/', begin);
    if (end == std::string_view::npos) end = name.size();
    const std::string_view part = name.substr(begin, end - begin);
    begin = end + 1;
    if (part.empty() || part == ".") continue;
    if (part == "..") return InvalidArgument(QuotedEntry(name) + " leaves its root");
    if (part.size() > NAME_MAX) return InvalidArgument(QuotedEntry(name) + " is too long a name");
    if (++depth > kMaxDepth) return InvalidArgument(QuotedEntry(name) + " is too deep");
    if (!out.empty()) out += '/';
    out += part;
  }
  return out;
}

std::string ParentPath(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "" : path.substr(0, slash);
}

std::string BaseName(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? path : path.substr(slash + 1);
}

Result<WhiteoutName> ParseWhiteout(const std::string& path) {
  static constexpr std::string_view kPrefix = ".wh.";
  static constexpr std::string_view kMetaPrefix = ".wh..wh.";
  const std::string base = BaseName(path);
  const std::string parent = ParentPath(path);
  if (base.compare(0, kPrefix.size(), kPrefix) != 0) return WhiteoutName{};
  if (base == ".wh..wh..opq") return WhiteoutName{Whiteout::kOpaque, parent};
  if (base.compare(0, kMetaPrefix.size(), kMetaPrefix) == 0)
    return WhiteoutName{Whiteout::kMetadata, ""};
  const std::string gone = base.substr(kPrefix.size());
  if (gone.empty() || gone == "." || gone == "..")
    return InvalidArgument(QuotedEntry(path) + " leaves its root");
  return WhiteoutName{Whiteout::kFile, (parent.empty() ? "" : parent + "/") + gone};
}

}  // namespace interlink::images
