#include "images/folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "base/file.h"
#include "base/unique_fd.h"

namespace interlink::images {

Result<std::vector<std::string>> ListFolder(const std::string& path) {
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir(path.c_str()), ::closedir);
  if (!folder) return ErrnoStatus(errno, "list \"" + path + "\"");
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = ::readdir(folder.get())) {  // NOLINT(concurrency-mt-unsafe)
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  if (errno != 0) return ErrnoStatus(errno, "list \"" + path + "\"");
  std::sort(names.begin(), names.end());
  return names;
}

Status RemoveDurably(const std::string& path) {
  if (::unlink(path.c_str()) != 0) {
    if (errno == ENOENT) return {};
    return ErrnoStatus(errno, "remove \"" + path + "\"");
  }
  return SyncDirectoryOf(path);
}

Status FlushTree(const std::string& from) {
  const UniqueFd folder(::open(from.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder || ::syncfs(folder.get()) != 0) return ErrnoStatus(errno, "flush \"" + from + "\"");
  return {};
}

Status RenameDurably(const std::string& from, const std::string& to) {
  if (::rename(from.c_str(), to.c_str()) != 0)
    return ErrnoStatus(errno, "rename \"" + from + "\" to \"" + to + "\"");
  return SyncDirectoryOf(to);
}

}  // namespace interlink::images
