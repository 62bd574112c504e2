// Looking into a running container: exec, attach, dial, log, facts.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "engine/engine.h"
#include "engine/oci_spec.h"
#include "runtime/v1/api.pb.h"
#include "shim/cri_log.h"
#include "shim/layout.h"

namespace interlink::engine {
namespace {

using State = sdk::Observation::State;

constexpr size_t kMaxChunk = 1U << 20U;

shim::SessionRequest RequestOf(const sdk::SessionSpec& spec) {
  shim::SessionRequest request;
  request.tty = spec.tty;
  request.in = spec.in;
  request.out = spec.out;
  request.err = spec.err;
  request.kill_on_close = spec.kill_on_close;
  return request;
}

// A file that lives until the object dies.
class TemporaryFile {
 public:
  explicit TemporaryFile(std::string path) : path_(std::move(path)) {}
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile() { unlink(path_.c_str()); }

  Status Write(const std::string& bytes) const {
    const UniqueFd fd(open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!fd) return ErrnoStatus(errno, "create \"" + path_ + "\"");
    const ssize_t n = write(fd.get(), bytes.data(), bytes.size());
    if (n != static_cast<ssize_t>(bytes.size()))
      return ErrnoStatus(errno, "write the exec request");
    return {};
  }
  const std::string& path() const { return path_; }

 private:
  const std::string path_;
};

Result<std::string> ReadAt(int fd, uint64_t offset, size_t max) {
  std::string bytes(std::min(max, kMaxChunk), '\0');
  const ssize_t n = pread(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
  if (n < 0) return ErrnoStatus(errno, "read the log");
  bytes.resize(static_cast<size_t>(n));
  return bytes;
}

uint64_t Offset(const std::string& path) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  return fd ? shim::ReadLogOffset(fd.get()) : 0;
}

// Everything below is not needed any more: the shim counts from there, the disk forgets it.
void Acknowledge(const std::string& folder, const UniqueFd& log, uint64_t offset) {
  constexpr uint64_t kBlock = 1U << 20U;
  const std::string path = folder + "/" + shim::kLogAckFile;
  const UniqueFd fd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  const uint64_t before = fd ? shim::ReadLogOffset(fd.get()) : 0;
  if (!fd || offset <= before) return;
  // Not durable and not certain: what was acknowledged and stays costs only room.
  if (!shim::WriteLogOffset(fd.get(), offset)) return;
  const uint64_t hole = offset / kBlock * kBlock;
  if (hole == before / kBlock * kBlock) return;
  if (fallocate(log.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
                static_cast<off_t>(hole)) != 0) {
    return;
  }
}

// Takes the place of bytes that the shim dropped; its time is just before the line that follows.
std::string DroppedLine(uint64_t bytes, const std::string& next_line) {
  shim::LogLine line;
  char time[shim::kLogTime];
  const size_t end = next_line.find('\n');
  const bool parsed = end != std::string::npos &&
                      shim::ParseLogLine(std::string_view(next_line).substr(0, end), line);
  shim::FormatLogTime(parsed && line.time_ns > 0 ? line.time_ns - 1 : 0, time);
  return std::string(time, sizeof time) + " stderr F [interlink: " + std::to_string(bytes) +
         " bytes of log were dropped: nobody read them in time]\n";
}

// Asked for, and not the process's: the volumes of such a group are its own user's instead.
std::vector<int64_t> GroupsOfVolumesOnly(const ContainerRecord& record) {
  runtime::v1::ContainerConfig config;
  std::vector<int64_t> groups;
  if (!config.ParseFromString(record.config)) return groups;
  for (const int64_t group : config.linux().security_context().supplemental_groups()) {
    const auto& had = record.user.groups;
    if (std::find(had.begin(), had.end(), group) == had.end()) groups.push_back(group);
  }
  return groups;
}

}  // namespace

Result<UniqueFd> Engine::OpenSession(const Call& call, const sdk::SessionSpec& spec) {
  const auto pod = View(spec.sandbox);
  State state = State::kAbsent;
  {
    MutexLock lock(mutex_);
    const Container* container = FindLocked(spec.sandbox, spec.container);
    if (container != nullptr) state = container->fact.state;
  }
  if (!pod || state == State::kAbsent) {
    return NotFound("no container \"" + spec.container.str() + "\"");
  }
  if (state != State::kUp) {
    return FailedPrecondition("container \"" + spec.container.str() + "\" is not running");
  }
  auto session = OpenInShim(call, spec, *pod);
  // It has ended since, and mostly its shim with it, in the middle of an answer perhaps.
  const std::string record = pod->folder.Shim(spec.container) + "/" + shim::kExitFile;
  const bool ended = session.status().code() == Code::kNotFound ||
                     (!session.ok() && access(record.c_str(), F_OK) == 0);
  if (!ended) return session;
  return FailedPrecondition("container \"" + spec.container.str() +
                            "\" is not running: " + session.status().message());
}

Result<UniqueFd> Engine::OpenInShim(const Call& call, const sdk::SessionSpec& spec,
                                    const PodView& pod) {
  const std::string folder = pod.folder.Shim(spec.container);
  shim::SessionRequest request = RequestOf(spec);
  if (spec.attach) return shim_.Attach(call, folder, request);
  if (spec.argv.empty()) return InvalidArgument("the command to execute is empty");
  ASSIGN_OR_RETURN(const std::string config,
                   ReadFile(pod.folder.Bundle(spec.container) + "/config.json"));
  ASSIGN_OR_RETURN(std::string process, ExecProcess(config, spec.argv, spec.tty));
  if (maker_.exec_launch != nullptr) {
    ASSIGN_OR_RETURN(process, maker_.exec_launch(process));
  }
  // The runtime has read it when the shim answers.
  const TemporaryFile file(folder + "/process." + RandomHex(8) + ".json");
  RETURN_IF_ERROR(file.Write(process));
  request.process = file.path();
  return shim_.Exec(call, folder, request);
}

Result<UniqueFd> Engine::Dial(const Call& call, const SandboxId& sandbox, uint16_t port) {
  const auto pod = View(sandbox);
  if (!pod) return NotFound("no sandbox \"" + sandbox.str() + "\"");
  if (pod->record.phase != PodPhase::kUp) {
    return FailedPrecondition("sandbox \"" + sandbox.str() + "\" is not up");
  }
  return shim_.Dial(call, pod->record.own_network ? pod->folder.Namespace("net") : "", port);
}

Result<sdk::LogChunk> Engine::ReadLog(const Call&, const SandboxId& sandbox, const ContainerId& id,
                                      uint64_t offset, size_t max) {
  const auto pod = View(sandbox);
  bool ended = false;
  uint64_t watch = 0;
  {
    MutexLock lock(mutex_);
    const Container* container = FindLocked(sandbox, id);
    if (!pod || container == nullptr) return NotFound("no container \"" + id.str() + "\"");
    ended = container->fact.state >= State::kDown;
    watch = container->watch;
  }
  const std::string folder = pod->folder.Shim(id);
  const UniqueFd log(open((folder + "/" + shim::kLogFile).c_str(), O_RDWR | O_CLOEXEC));
  if (!log) return ErrnoStatus(errno, "open the log of container \"" + id.str() + "\"");
  sdk::LogChunk chunk;
  ASSIGN_OR_RETURN(chunk.bytes, ReadAt(log.get(), offset, max));
  chunk.next = offset + chunk.bytes.size();
  // After the bytes (lib/shim/layout.h): below it they were not the log.
  const uint64_t start = Offset(folder + "/" + shim::kLogStartFile);
  if (offset < start) {
    ASSIGN_OR_RETURN(const std::string next, ReadAt(log.get(), start, shim::kMaxLogLine));
    chunk.bytes = DroppedLine(start - offset, next);
    chunk.next = start;
  }
  Acknowledge(folder, log, offset);
  struct stat about {};
  if (fstat(log.get(), &about) != 0) return ErrnoStatus(errno, "stat the log");
  chunk.end = ended && chunk.next >= static_cast<uint64_t>(about.st_size);
  // Also behind bytes: the reader may not acknowledge all of them (it ends inside a line), and
  // would not ask again.
  if (!ended && chunk.bytes.size() < max && watch != 0) watch_->Arm(watch, chunk.next);
  return chunk;
}

Result<std::string> Engine::Inspect(const Call&, const SandboxId& sandbox,
                                    const ContainerId& container) {
  using nlohmann::json;
  const auto pod = View(sandbox);
  if (!pod) return NotFound("no sandbox \"" + sandbox.str() + "\"");
  const auto parse = [](const std::string& text) {
    json value = json::parse(text, nullptr, false);
    return value.is_discarded() ? json() : value;
  };
  json info;
  if (container.empty()) {
    info = {{"folder", pod->folder.path()},
            {"netns", pod->record.own_network ? pod->folder.Namespace("net") : ""},
            {"cgroup", pod->record.cgroup},
            {"runtimeHandler", pod->record.handler},
            {"cniResult", parse(pod->record.cni_result)}};
  } else {
    ASSIGN_OR_RETURN(const ContainerRecord record, RecordOf(sandbox, container));
    const auto spec = ReadFile(pod->folder.Bundle(container) + "/config.json");
    const auto state =
        shim_.State(Call::WithTimeout(std::chrono::seconds(2)), pod->folder.Shim(container));
    info = {{"sandboxID", sandbox.str()},      {"pid", state.ok() ? state->pid : 0},
            {"cgroup", record.cgroup},         {"folder", pod->folder.Container(container)},
            {"runtimeType", options_.runtime}, {"runtimeSpec", parse(spec.value_or(""))}};
    const auto groups = GroupsOfVolumesOnly(record);
    if (!groups.empty()) info["groupsOfVolumesOnly"] = groups;
  }
  return info.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace interlink::engine
