#include "layer_archive/entry_name.h"

#include <climits>

#include "base/utf8.h"

namespace interlink::layer_archive {

std::string Quoted(std::string_view name) { return "\"" + Utf8Prefix(name, 200) + "\""; }

Result<std::string> PathInLayer(std::string_view name) {
  const auto refused = [name](const char* why) {
    return InvalidArgument("entry " + Quoted(name) + " " + why);
  };
  if (name.find('\0') != std::string_view::npos) return refused("holds a zero byte");
  if (name.size() >= PATH_MAX) return refused("is too long a name");
  if (name != kRootName && !name.starts_with(std::string(kRootName) + "/")) {
    return refused("is not in the layer");
  }
  size_t depth = 0;
  for (size_t begin = 0; begin <= name.size();) {
    const size_t end = std::min(name.find('/', begin), name.size());
    const std::string_view part = name.substr(begin, end - begin);
    begin = end + 1;
    if (part.empty() || part == "." || part == "..") return refused("is no name of a layer");
    if (part.size() > NAME_MAX) return refused("is too long a name");
    if (++depth > kMaxDepth) return refused("is too deep");
  }
  return std::string(name.substr(std::min(kRootName.size() + 1, name.size())));
}

SplitPath Split(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return {"", path};
  return {path.substr(0, slash), path.substr(slash + 1)};
}

}  // namespace interlink::layer_archive
