#include "engine/list_folder.h"

#include <dirent.h>
#include <sys/stat.h>

#include <cerrno>
#include <memory>

namespace interlink::engine {

Result<std::vector<std::string>> ListFolder(const std::string& path) {
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(opendir(path.c_str()), closedir);
  if (!folder) return ErrnoStatus(errno, "open \"" + path + "\"");
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = readdir(folder.get())) {
    std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(std::move(name));
    errno = 0;
  }
  if (errno != 0) return ErrnoStatus(errno, "read \"" + path + "\"");
  return names;
}

std::vector<std::string> FoldersIn(const std::string& path) {
  std::vector<std::string> folders;
  for (const std::string& name : ListFolder(path).value_or({})) {
    struct stat about {};
    const bool is_folder =
        lstat((path + "/" + name).c_str(), &about) == 0 && S_ISDIR(about.st_mode);
    if (is_folder) folders.push_back(name);
  }
  return folders;
}

}  // namespace interlink::engine
