#include "agent/layer_folder.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include "base/file.h"
#include "base/id.h"
#include "layer_archive/verdict.h"

namespace interlink::agent {
namespace {

constexpr const char* kTemporary = "tmp-";
constexpr size_t kMaxLayerName = 128;
constexpr auto kLongestArrival = std::chrono::hours(24);
// How soon a cancelled arrival ends.
constexpr auto kLookAgain = std::chrono::milliseconds(500);

Status CheckLayerName(const std::string& name) {
  const bool fits =
      !name.empty() && name.size() <= kMaxLayerName && name.front() != '.' &&
      name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789.-") == std::string::npos &&
      !name.starts_with(kTemporary);
  if (fits) return {};
  return InvalidArgument("the name of a layer has 1 to 128 characters of a-z, 0-9, . and -");
}

bool IsFolder(const std::string& path) {
  struct stat about {};
  return lstat(path.c_str(), &about) == 0 && S_ISDIR(about.st_mode);
}

Status FlushLayer(const std::string& path) {
  const UniqueFd folder(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!folder || syncfs(folder.get()) != 0) return ErrnoStatus(errno, "flush the layer");
  return {};
}

}  // namespace

Result<std::unique_ptr<LayerFolder>> LayerFolder::Open(Options options, Log& log) {
  const std::string folder = options.folder;
  if (mkdir(folder.c_str(), S_IRWXU) != 0 && errno != EEXIST) {
    return ErrnoStatus(errno, "make \"" + folder + "\"");
  }
  if (!IsFolder(folder)) return FailedPrecondition("\"" + folder + "\" is no folder");
  std::list<std::string> left;
  std::error_code error;
  std::filesystem::directory_iterator at(folder, error);
  for (; !error && at != std::filesystem::directory_iterator(); at.increment(error)) {
    if (at->path().filename().string().starts_with(kTemporary)) left.push_back(at->path());
  }
  if (error) return ErrnoStatus(error.value(), "list \"" + folder + "\"");
  std::unique_ptr<LayerFolder> made(new LayerFolder(std::move(options), log));
  if (!left.empty()) {
    made->sweeper_ = std::jthread([self = made.get(), left = std::move(left)](
                                      const std::stop_token& stop) { self->Sweep(stop, left); });
  }
  return made;
}

LayerFolder::~LayerFolder() {
  std::list<std::unique_ptr<Arrival>> arrivals;  // joined without the lock
  MutexLock lock(mutex_);
  arrivals.swap(arrivals_);
  for (const auto& arrival : arrivals) {
    arrival->call.Cancel();
    shutdown(arrival->end.get(), SHUT_RDWR);
  }
}

void LayerFolder::Sweep(const std::stop_token& stop, const std::list<std::string>& left) {
  for (const std::string& path : left) {
    if (stop.stop_requested()) return;
    const Status gone = RemoveTree(path);
    if (gone.ok()) continue;
    log_.Warning("what is left of a layer cannot be deleted", {{"error", gone.ToString()}});
  }
}

Result<std::string> LayerFolder::PathOf(const std::string& name) const {
  RETURN_IF_ERROR(CheckLayerName(name));
  std::string path = options_.folder + "/" + name;
  if (IsFolder(path)) return path;
  return Unavailable("layer \"" + name + "\" is not here: it has to be sent again");
}

Result<UniqueFd> LayerFolder::Put(const std::string& name) {
  if (PathOf(name).ok()) return AlreadyExists("layer \"" + name + "\" is here");
  RETURN_IF_ERROR(CheckLayerName(name));
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    return ErrnoStatus(errno, "make a pair of sockets");
  }
  UniqueFd theirs(ends[0]);
  std::unique_ptr<Arrival> arrival(
      new Arrival{name, UniqueFd(ends[1]), Call::WithTimeout(kLongestArrival)});
  std::list<std::unique_ptr<Arrival>> over;  // joined without the lock
  MutexLock lock(mutex_);
  for (auto at = arrivals_.begin(); at != arrivals_.end();) {
    const auto next = std::next(at);
    if ((*at)->over) {
      over.splice(over.end(), arrivals_, at);
    } else if ((*at)->name == name) {
      (*at)->call.Cancel();
      shutdown((*at)->end.get(), SHUT_RDWR);
    }
    at = next;
  }
  if (arrivals_.size() >= options_.max_arrivals) {
    return ResourceExhausted(std::to_string(arrivals_.size()) +
                             " layers are on their way to this agent already");
  }
  arrival->thread = std::jthread([this, &self = *arrival] { Receive(self); });
  arrivals_.push_back(std::move(arrival));
  return theirs;
}

void LayerFolder::Receive(Arrival& arrival) {
  const Status done = Unpack(arrival);
  if (!done.ok()) {
    log_.Warning("a layer was not taken", {{"layer", arrival.name}, {"error", done.ToString()}});
  }
  const std::string line = layer_archive::VerdictLine(done);
  // Less than the socket's buffer: it does not wait. Nobody hears it: the site sends it again.
  const ssize_t sent = send(arrival.end.get(), line.data(), line.size(), MSG_NOSIGNAL);
  if (sent != static_cast<ssize_t>(line.size())) {
    log_.Debug("nobody hears about a layer any more", {{"layer", arrival.name}});
  }
  shutdown(arrival.end.get(), SHUT_RDWR);
  arrival.over = true;
}

Status LayerFolder::Unpack(const Arrival& arrival) {
  const std::string temporary = options_.folder + "/" + kTemporary + RandomHex(8);
  const layer_archive::ByteSource source = [&](char* buffer, size_t size) {
    return ReadSome(arrival, buffer, size);
  };
  Status done =
      layer_archive::ReadLayer(arrival.call, source, temporary, options_.owners, options_.limits);
  if (done.ok()) done = Publish(temporary, arrival.name);
  if (done.ok()) return done;
  const Status gone = RemoveTree(temporary);
  if (!gone.ok()) {
    log_.Warning("what is left of a layer cannot be deleted", {{"error", gone.ToString()}});
  }
  return done;
}

Result<size_t> LayerFolder::ReadSome(const Arrival& arrival, char* buffer, size_t size) const {
  const SteadyTime limit = std::chrono::steady_clock::now() + options_.quiet;
  while (true) {
    RETURN_IF_ERROR(arrival.call.Check("receiving the layer"));
    pollfd ready{arrival.end.get(), POLLIN, 0};
    const auto wait = std::chrono::duration_cast<std::chrono::milliseconds>(
        std::min<Duration>(kLookAgain, options_.quiet));
    const int count = poll(&ready, 1, static_cast<int>(wait.count()));
    if (count < 0 && errno != EINTR) return ErrnoStatus(errno, "wait for the layer");
    if (count > 0) {
      const ssize_t got = read(arrival.end.get(), buffer, size);
      if (got >= 0) return static_cast<size_t>(got);
      if (errno != EINTR) return ErrnoStatus(errno, "receive the layer");
    }
    if (std::chrono::steady_clock::now() >= limit) {
      return Unavailable("nothing more of the layer has come");
    }
  }
}

Status LayerFolder::Publish(const std::string& temporary, const std::string& name) const {
  RETURN_IF_ERROR(FlushLayer(temporary));
  const std::string path = options_.folder + "/" + name;
  const bool renamed = rename(temporary.c_str(), path.c_str()) == 0;
  // There already: it came twice.
  if (!renamed && errno != ENOTEMPTY && errno != EEXIST) {
    return ErrnoStatus(errno, "rename the layer to \"" + path + "\"");
  }
  RETURN_IF_ERROR(SyncDirectoryOf(path));
  return renamed ? Status() : RemoveTree(temporary);
}

}  // namespace interlink::agent
