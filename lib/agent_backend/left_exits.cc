#include "agent_backend/left_exits.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

#include "agent_hub/facts.h"
#include "base/unique_fd.h"
#include "interlink/agent/v1/agent.pb.h"

namespace interlink::agent_backend {
namespace {

constexpr size_t kMaxExitFile = 256U << 10U;
constexpr uint32_t kExitVersion = 1;

Result<std::string> ReadAt(int folder, const std::string& name) {
  const UniqueFd file(openat(folder, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  // Nothing that waiting would change: a link, a socket, one that is not for the site.
  if (!file && (errno == ELOOP || errno == ENXIO || errno == EACCES || errno == ENOENT)) {
    return DataLoss("it cannot be opened: " + ErrnoStatus(errno, "open").message());
  }
  if (!file) return ErrnoStatus(errno, "open the exit record of \"" + name + "\"");
  struct stat about {};
  if (fstat(file.get(), &about) != 0) return ErrnoStatus(errno, "stat an exit record");
  if (!S_ISREG(about.st_mode) || static_cast<size_t>(about.st_size) > kMaxExitFile) {
    return DataLoss("it is no file of a right size");
  }
  std::string bytes(static_cast<size_t>(about.st_size), '\0');
  const ssize_t size = pread(file.get(), bytes.data(), bytes.size(), 0);
  if (size < 0) return ErrnoStatus(errno, "read an exit record");
  bytes.resize(static_cast<size_t>(size));
  return bytes;
}

Result<sdk::Observation> ExitFrom(const std::string& bytes, const SandboxId& sandbox,
                                  const std::string& name) {
  agent::v1::ExitFile file;
  if (!file.ParseFromString(bytes) || file.version() != kExitVersion) {
    return DataLoss("it is damaged, or of another version");
  }
  if (file.sandbox_id() != sandbox.str() || file.fact().container_id() != name ||
      file.fact().state() != agent::v1::Fact::DOWN) {
    return DataLoss("it is not the end of this container");
  }
  return agent_hub::FromFact(sandbox, file.fact());
}

}  // namespace

Result<LeftExits> ReadLeftExits(const std::string& pod_folder, const SandboxId& sandbox, Log& log) {
  LeftExits exits;
  const std::string folder = pod_folder + "/exits";
  const int fd = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0 && errno == ENOENT) return exits;
  if (fd < 0 && (errno == ELOOP || errno == ENOTDIR)) {
    log.Warning("the exits of an ended allocation are no folder", {{"path", folder}});
    return exits;
  }
  if (fd < 0) return ErrnoStatus(errno, "open \"" + folder + "\"");
  const std::unique_ptr<DIR, int (*)(DIR*)> list(fdopendir(fd), closedir);
  if (list == nullptr) {
    const int error = errno;
    close(fd);
    return ErrnoStatus(error, "list \"" + folder + "\"");
  }
  errno = 0;
  while (const dirent* entry = readdir(list.get())) {  // NOLINT: the stream is ours alone
    const std::string name = entry->d_name;
    if (!IsFullId(name)) continue;
    const auto bytes = ReadAt(dirfd(list.get()), name);
    if (!bytes.ok() && bytes.status().code() != Code::kDataLoss) return bytes.status();
    auto exit =
        bytes.ok() ? ExitFrom(*bytes, sandbox, name) : Result<sdk::Observation>(bytes.status());
    if (exit.ok()) {
      exits[ContainerId(name)] = *std::move(exit);
    } else {
      log.Warning("an exit record of an ended allocation cannot be used",
                  {{"container", name}, {"error", exit.status().message()}});
    }
    errno = 0;
  }
  if (errno != 0) return ErrnoStatus(errno, "list \"" + folder + "\"");
  return exits;
}

}  // namespace interlink::agent_backend
