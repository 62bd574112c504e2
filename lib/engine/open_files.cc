#include "engine/open_files.h"

#include <dirent.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <string>
#include <string_view>

namespace interlink::engine {
namespace {

constexpr std::string_view kSocket = "socket:";
constexpr uint64_t kLook = 64;  // descriptors between two looks at the clock

bool IsSocket(int folder, const char* name) {
  char target[16] = {};
  const ssize_t size = readlinkat(folder, name, target, sizeof target);
  return size > 0 && std::string_view(target, static_cast<size_t>(size)).starts_with(kSocket);
}

bool HasEnded(int error) { return error == ENOENT || error == ESRCH; }

// False: see CountOpenFiles.
bool AddFilesOf(pid_t pid, const Clock& clock, SteadyTime until, OpenFiles& files) {
  const std::string path = "/proc/" + std::to_string(pid) + "/fd";
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(opendir(path.c_str()), closedir);
  if (!folder) return HasEnded(errno);
  errno = 0;
  while (const dirent* entry = readdir(folder.get())) {
    if (entry->d_name[0] != '.') {
      ++files.descriptors;
      if (IsSocket(dirfd(folder.get()), entry->d_name)) ++files.sockets;
      if (files.descriptors % kLook == 0 && clock.Steady() >= until) return false;
    }
    errno = 0;
  }
  return errno == 0 || HasEnded(errno);
}

}  // namespace

std::optional<OpenFiles> CountOpenFiles(const std::vector<pid_t>& pids, const Clock& clock,
                                        SteadyTime until) {
  OpenFiles files;
  for (const pid_t pid : pids) {
    if (clock.Steady() >= until || !AddFilesOf(pid, clock, until, files)) return std::nullopt;
  }
  return files;
}

}  // namespace interlink::engine
