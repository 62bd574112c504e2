#include "engine/cgroup.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <set>
#include <sstream>

#include "base/file.h"
#include "base/unique_fd.h"
#include "engine/list_folder.h"

namespace interlink::engine {
namespace {

constexpr const char* kMount = "/sys/fs/cgroup";
constexpr std::chrono::duration<int, std::milli> kBusyPause(5);
constexpr auto kBusyTime = std::chrono::seconds(5);

bool Exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

bool IsKind(const std::string& path, long magic) {
  struct statfs about {};
  return statfs(path.c_str(), &about) == 0 && static_cast<long>(about.f_type) == magic;
}

Result<uint64_t> ReadNumber(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path, 4096));
  return text.rfind("max", 0) == 0 ? 0 : std::strtoull(text.c_str(), nullptr, 10);
}

uint64_t Field(const std::string& text, const std::string& key) {
  return FieldOf(text, key).value_or(0);
}

Status RemoveGroups(const Call& call, const std::string& folder) {
  for (const std::string& name : FoldersIn(folder)) {
    RETURN_IF_ERROR(RemoveGroups(call, folder + "/" + name));
  }
  while (rmdir(folder.c_str()) != 0 && errno != ENOENT) {
    const Status failed = ErrnoStatus(errno, "remove cgroup \"" + folder + "\"");
    if (errno != EBUSY || call.remaining() <= kBusyPause) return failed;
    poll(nullptr, 0, kBusyPause.count());
  }
  return {};
}

void AddProcesses(const std::string& folder, std::set<pid_t>& pids) {
  if (const auto text = ReadFile(folder + "/cgroup.procs"); text.ok()) {
    std::istringstream numbers(*text);
    for (pid_t pid = 0; numbers >> pid;) {
      if (pid > 0) pids.insert(pid);
    }
  }
  for (const std::string& name : FoldersIn(folder)) AddProcesses(folder + "/" + name, pids);
}

// False when the process has ended or another score than `from`.
Result<bool> MoveScore(pid_t pid, int from, int to) {
  const std::string path = "/proc/" + std::to_string(pid) + "/oom_score_adj";
  const auto score = ReadFile(path, 64);
  if (!score.ok() || std::atoi(score->c_str()) != from) return false;
  const UniqueFd file(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  const std::string text = std::to_string(to);
  if (file && write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()))
    return true;
  if (errno == ENOENT || errno == ESRCH) return false;
  return ErrnoStatus(errno, "write \"" + text + "\" to \"" + path + "\"");
}

// Above this a v1 limit means "none" (it is rounded down to pages from 2^63 - 1).
constexpr uint64_t kNoLimit = 1ULL << 62U;

}  // namespace

Result<Cgroups> Cgroups::Find() {
  CgroupFeatures features;
  if (IsKind(kMount, CGROUP2_SUPER_MAGIC)) {
    features.v2 = true;
    features.swap = true;
    ASSIGN_OR_RETURN(const std::string controllers,
                     ReadFile(std::string(kMount) + "/cgroup.controllers"));
    features.hugetlb = controllers.find("hugetlb") != std::string::npos;
    return Cgroups({kMount}, features);
  }
  std::vector<std::string> roots;
  std::set<std::pair<dev_t, ino_t>> seen;  // "cpu" may be a link to "cpu,cpuacct"
  for (const std::string& name : ListFolder(kMount).value_or({})) {
    const std::string path = std::string(kMount) + "/" + name;
    struct stat about {};
    if (!IsKind(path, CGROUP_SUPER_MAGIC) || stat(path.c_str(), &about) != 0) continue;
    if (seen.insert({about.st_dev, about.st_ino}).second) roots.push_back(path);
  }
  if (roots.empty()) {
    return FailedPrecondition("no cgroups are mounted below \"" + std::string(kMount) + "\"");
  }
  features.swap = Exists(std::string(kMount) + "/memory/memory.memsw.limit_in_bytes");
  features.hugetlb = IsKind(std::string(kMount) + "/hugetlb", CGROUP_SUPER_MAGIC);
  return Cgroups(std::move(roots), features);
}

std::string Cgroups::File(const std::string& controller, const std::string& path,
                          const std::string& name) const {
  const std::string root = features_.v2 ? kMount : std::string(kMount) + "/" + controller;
  return root + path + "/" + name;
}

Result<std::optional<CgroupUsage>> Cgroups::Usage(const std::string& path) const {
  CgroupUsage usage;
  const bool v2 = features_.v2;
  const auto memory =
      ReadNumber(File("memory", path, v2 ? "memory.current" : "memory.usage_in_bytes"));
  if (memory.status().code() == Code::kNotFound) return std::optional<CgroupUsage>();
  if (!memory.ok()) return memory.status();
  usage.memory_bytes = *memory;
  ASSIGN_OR_RETURN(const std::string stat, ReadFile(File("memory", path, "memory.stat")));
  const uint64_t inactive = Field(stat, v2 ? "inactive_file" : "total_inactive_file");
  usage.working_set_bytes = usage.memory_bytes - std::min(usage.memory_bytes, inactive);
  usage.rss_bytes = Field(stat, v2 ? "anon" : "total_rss");
  usage.page_faults = Field(stat, v2 ? "pgfault" : "total_pgfault");
  usage.major_page_faults = Field(stat, v2 ? "pgmajfault" : "total_pgmajfault");
  const auto limit = ReadNumber(File("memory", path, v2 ? "memory.max" : "memory.limit_in_bytes"));
  if (limit.ok() && *limit < kNoLimit) usage.memory_limit = *limit;
  if (v2) {
    ASSIGN_OR_RETURN(const std::string cpu, ReadFile(File("cpu", path, "cpu.stat")));
    usage.cpu_nanos = Field(cpu, "usage_usec") * 1000;
  } else {
    ASSIGN_OR_RETURN(usage.cpu_nanos, ReadNumber(File("cpuacct", path, "cpuacct.usage")));
  }
  const auto processes = ReadNumber(File("pids", path, "pids.current"));
  usage.processes = processes.ok() ? *processes : 0;
  return std::optional<CgroupUsage>(usage);
}

CgroupDetails Cgroups::Details(const std::string& path) const {
  const auto read = [&](const std::string& controller, const std::string& name) {
    return ReadFile(File(controller, path, name));
  };
  return features_.v2 ? ReadDetailsV2(read) : ReadDetailsV1(read);
}

std::vector<pid_t> Cgroups::Members(const std::string& path) const {
  std::set<pid_t> pids;
  AddProcesses(features_.v2 ? kMount + path : kMount + ("/memory" + path), pids);
  return {pids.begin(), pids.end()};
}

Result<std::vector<pid_t>> Cgroups::Processes(const std::string& path) const {
  std::set<pid_t> pids;
  for (const std::string& root : roots_) {
    if (Exists(root + path)) AddProcesses(root + path, pids);
  }
  return std::vector<pid_t>(pids.begin(), pids.end());
}

Status Cgroups::Kill(const Call& call, const std::string& path) const {
  while (true) {
    ASSIGN_OR_RETURN(const std::vector<pid_t> pids, Processes(path));
    if (pids.empty()) return {};
    for (const pid_t pid : pids) kill(pid, SIGKILL);
    RETURN_IF_ERROR(call.Check("end the processes of cgroup \"" + path + "\""));
    poll(nullptr, 0, 2);
  }
}

Status Cgroups::MoveOomScore(const Call& call, const std::string& path, int from, int to) const {
  // A child that is forked meanwhile may have its parent's old score: until a look finds none.
  for (bool found = from != to; found;) {
    RETURN_IF_ERROR(call.Check("change the scores in cgroup \"" + path + "\""));
    found = false;
    ASSIGN_OR_RETURN(const std::vector<pid_t> pids, Processes(path));
    for (const pid_t pid : pids) {
      ASSIGN_OR_RETURN(const bool moved, MoveScore(pid, from, to));
      found = found || moved;
    }
  }
  return {};
}

Status Cgroups::Remove(const Call& call, const std::string& path) const {
  const Call moments = call.Capped(kBusyTime);
  for (const std::string& root : roots_) RETURN_IF_ERROR(RemoveGroups(moments, root + path));
  return {};
}

Result<std::vector<std::string>> Cgroups::Make(const std::string& path) const {
  std::vector<std::string> files;
  for (const std::string& root : roots_) {
    RETURN_IF_ERROR(MakeDirectories(root + path, 0755));
    const std::string cpus = root + path + "/cpuset.cpus";
    // A new v1 cpuset takes no process before it has cpus and memory nodes.
    if (!features_.v2 && Exists(cpus)) continue;
    files.push_back(root + path + "/cgroup.procs");
  }
  return files;
}

Result<std::string> CgroupParentPath(const std::string& cgroup_parent) {
  if (cgroup_parent.empty()) return InvalidArgument("cgroup_parent is empty");
  std::string path = cgroup_parent;
  if (path[0] != '/' && path.find('/') == std::string::npos && path.ends_with(".slice")) {
    // "a-b-c.slice" is "/a.slice/a-b.slice/a-b-c.slice".
    const std::string name = path.substr(0, path.size() - std::string(".slice").size());
    path.clear();
    for (size_t dash = name.find('-'); dash != std::string::npos; dash = name.find('-', dash + 1)) {
      path += "/" + name.substr(0, dash) + ".slice";
    }
    path += "/" + cgroup_parent;
  }
  if (path[0] != '/') return InvalidArgument("cgroup_parent \"" + cgroup_parent + "\" is relative");
  for (const auto& part : std::filesystem::path(path)) {
    if (part == ".." || part == ".") {
      return InvalidArgument("cgroup_parent \"" + cgroup_parent + "\" has \"..\" or \".\"");
    }
  }
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path == "/" ? std::string() : path;
}

}  // namespace interlink::engine
