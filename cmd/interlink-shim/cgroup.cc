#include "cgroup.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>

#include <cerrno>
#include <cstring>

#include "shim/pidfile.h"

namespace interlink::shim {
namespace {

constexpr int kMaxDepth = 16;

// The path of the line "N:CONTROLLER:PATH" (several controllers are separated by commas; cgroup v2
// is "0::PATH"). Empty: there is none.
std::string_view PathOf(std::string_view text, std::string_view controller) {
  Scanner scan(text);
  std::string_view line;
  while (scan.Until('\n', line)) {
    Scanner fields(line);
    std::string_view number;
    std::string_view names;
    if (!fields.Until(':', number) || !fields.Until(':', names)) continue;
    if (controller.empty() && names.empty() && number == "0") return fields.rest();
    Scanner list(names);
    std::string_view name;
    while (list.Until(',', name) && name != controller) {
    }
    if (!controller.empty() && (name == controller || list.rest() == controller)) {
      return fields.rest();
    }
  }
  return {};
}

size_t SignalProcesses(int directory, int number) {
  const Fd file(openat(directory, "cgroup.procs", O_RDONLY | O_CLOEXEC));
  if (!file.valid()) return 0;
  size_t seen = 0;
  char bytes[4096];
  int64_t pid = 0;
  for (;;) {
    const ssize_t count = read(file.get(), bytes, sizeof bytes);
    if (count <= 0) return seen;
    for (ssize_t i = 0; i < count; ++i) {
      if (bytes[i] >= '0' && bytes[i] <= '9') {
        pid = pid * 10 + (bytes[i] - '0');
      } else if (pid > 1) {
        ++seen;
        kill(static_cast<pid_t>(pid), number);
        pid = 0;
      } else {
        pid = 0;  // 0: a process that our pid namespace does not have
      }
    }
  }
}

size_t SignalBelow(int directory, int number, int depth) {
  size_t seen = SignalProcesses(directory, number);
  if (depth >= kMaxDepth) return seen;
  const int copy = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR* entries = copy < 0 ? nullptr : fdopendir(copy);
  if (entries == nullptr) {
    if (copy >= 0) close(copy);
    return seen;
  }
  // The shim has one thread. NOLINTNEXTLINE(concurrency-mt-unsafe)
  while (const dirent* entry = readdir(entries)) {
    if (entry->d_type != DT_DIR || entry->d_name[0] == '.') continue;
    const Fd child(
        openat(directory, entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
    if (child.valid()) seen += SignalBelow(child.get(), number, depth + 1);
  }
  closedir(entries);
  return seen;
}

}  // namespace

bool Cgroup::FindIn(std::string_view text, std::string_view own, std::string_view controller) {
  const std::string_view path = PathOf(text, controller);
  if (path.empty() || path == "/" || path == PathOf(own, controller)) return false;
  TextBuffer full(path_, kMaxPath);
  full.Add("/sys/fs/cgroup");
  if (!controller.empty()) full.Add("/").Add(controller);
  full.Add(path);
  path_[full.overflow() ? 0 : full.size()] = '\0';
  if (full.overflow() || access(path_, F_OK) != 0) {
    path_[0] = '\0';
    return false;
  }
  unified_ = controller.empty();
  return true;
}

void Cgroup::Find(pid_t pid) {
  Text<64> file;
  file.Add("/proc/").AddNumber(pid).Add("/cgroup");
  char its[8192];
  char ours[8192];
  const ssize_t its_size = ReadSmallFile(file.c_str(), its, sizeof its);
  const ssize_t our_size = ReadSmallFile("/proc/self/cgroup", ours, sizeof ours);
  if (its_size <= 0 || our_size <= 0) return;
  const std::string_view text(its, static_cast<size_t>(its_size));
  const std::string_view own(ours, static_cast<size_t>(our_size));
  // Version 1 first: on hybrid hosts it has the memory controller.
  for (const std::string_view controller : {"memory", "pids", ""}) {
    if (FindIn(text, own, controller)) return;
  }
  for (const std::string_view controller : {"memory", ""}) {
    shared_ = FindIn(text, {}, controller);
    if (!shared_) continue;
    before_ = ReadOomKills();
    return;
  }
}

uint64_t Cgroup::OomKills() const {
  const uint64_t kills = ReadOomKills();
  return kills > before_ ? kills - before_ : 0;
}

uint64_t Cgroup::ReadOomKills() const {
  if (path_[0] == '\0') return 0;
  Text<kMaxPath + 64> file;
  file.Add(path_).Add(unified_ ? "/memory.events" : "/memory.oom_control");
  char bytes[1024];
  const ssize_t size = ReadSmallFile(file.c_str(), bytes, sizeof bytes);
  Scanner scan({bytes, size > 0 ? static_cast<size_t>(size) : 0});
  std::string_view line;
  uint64_t kills = 0;
  while (scan.Until('\n', line)) {
    Scanner field(line);
    if (field.Skip("oom_kill ") && field.Unsigned(kills)) return kills;
  }
  return 0;
}

bool Cgroup::SignalAll(int number, size_t& seen) const {
  seen = 0;
  if (path_[0] == '\0' || shared_) return false;
  const Fd directory(open(path_, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.valid()) seen = SignalBelow(directory.get(), number, 0);
  return true;
}

void Cgroup::KillAll() const {
  size_t seen = 1;
  for (int round = 0; round < 50 && seen > 0; ++round) {
    if (!SignalAll(SIGKILL, seen)) return;
    if (seen > 0) SleepMs(2);
  }
}

}  // namespace interlink::shim
