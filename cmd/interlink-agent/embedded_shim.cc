#include "embedded_shim.h"

#include <sys/statvfs.h>

#include <string_view>

#include "base/file.h"

// From embedded_shim_bytes.S.
extern "C" const char interlink_embedded_shim_begin[];
extern "C" const char interlink_embedded_shim_end[];

namespace interlink::cmd_agent {

Result<std::string> UnpackShim(const std::string& folder) {
  RETURN_IF_ERROR(MakeDirectories(folder, 0700));
  struct statvfs about {};
  if (statvfs(folder.c_str(), &about) == 0 && (about.f_flag & ST_NOEXEC) != 0) {
    return FailedPrecondition("\"" + folder +
                              "\" is on a file system whose programs may not be run (noexec): give "
                              "another --state");
  }
  const std::string path = folder + "/interlink-shim";
  const std::string_view bytes(
      interlink_embedded_shim_begin,
      static_cast<size_t>(interlink_embedded_shim_end - interlink_embedded_shim_begin));
  // A shim that runs keeps its file: what is the same is not written again.
  const auto there = ReadFile(path, bytes.size());
  if (there.ok() && *there == bytes) return path;
  RETURN_IF_ERROR(WriteFileAtomically(path, bytes, 0700));
  return path;
}

}  // namespace interlink::cmd_agent
