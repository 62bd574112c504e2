#include "engine/host_path.h"

#include <cerrno>
#include <climits>
#include <cstdlib>
#include <filesystem>

namespace interlink::engine {

bool IsWithin(const std::string& path, const std::string& folder) {
  if (folder == "/") return !path.empty() && path[0] == '/';
  return path == folder || path.rfind(folder + "/", 0) == 0;
}

Result<std::string> ResolveHostPath(const std::string& path) {
  if (path.empty() || path[0] != '/' || path.find('\0') != std::string::npos) {
    return InvalidArgument("\"" + path + "\" is not an absolute path");
  }
  std::filesystem::path existing = path;
  std::filesystem::path missing;
  while (true) {
    char resolved[PATH_MAX];
    if (realpath(existing.c_str(), resolved) != nullptr) {
      const std::filesystem::path base = resolved;
      return missing.empty() ? base.string() : (base / missing).string();
    }
    if (errno != ENOENT) return ErrnoStatus(errno, "resolve \"" + path + "\"");
    const std::filesystem::path last = existing.filename();
    if (last == ".." || last == "." || existing == existing.parent_path()) {
      return InvalidArgument("\"" + path + "\" does not exist");
    }
    if (!last.empty()) missing = missing.empty() ? last : last / missing;
    // A link whose target is missing cannot be resolved, so it cannot be compared.
    std::error_code ignored;
    if (!last.empty() && std::filesystem::is_symlink(existing, ignored)) {
      return InvalidArgument("\"" + path + "\" is a link to nothing");
    }
    existing = existing.parent_path();
  }
}

Result<std::string> AllowedHostPath(const std::string& path,
                                    const std::vector<std::string>& allowed) {
  ASSIGN_OR_RETURN(const std::string resolved, ResolveHostPath(path));
  for (const std::string& folder : allowed) {
    const auto base = ResolveHostPath(folder);
    if (base.ok() && IsWithin(resolved, *base)) return resolved;
  }
  const std::string through = resolved == path ? "" : " (\"" + resolved + "\")";
  return PermissionDenied("host path \"" + path + "\"" + through +
                          " is not in AllowedHostPaths of this handler");
}

}  // namespace interlink::engine
