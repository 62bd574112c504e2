#include "engine/shim_client.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "base/file.h"
#include "base/spawn.h"
#include "base/utf8.h"
#include "shim/client.h"
#include "shim/layout.h"

namespace interlink::engine {
namespace {

using shim::FrameType;

constexpr auto kCommandTime = std::chrono::seconds(60);
constexpr auto kRequestTime = std::chrono::seconds(10);
constexpr size_t kMaxShimWords = 2048;

int64_t DeadlineMs(const Call& call) {
  const auto left = std::min<Duration>(call.remaining(), kRequestTime);
  return shim::MonotonicMs() + std::chrono::duration_cast<std::chrono::milliseconds>(left).count();
}

// The reason on a command's stderr, as one line.
std::string ShimWords(std::string_view text) {
  const std::string words = OneLine(text, kMaxShimWords);
  return words.empty() ? "no reason given" : words;
}

Status SocketStatus(int error, std::string_view what) {
  if (error == ENOENT || error == ECONNREFUSED || error == ESRCH || error == ENOTDIR) {
    return NotFound(std::string(what) + ": no such process");
  }
  return Unavailable(std::string(what) + ": " + ErrnoStatus(error, "shim").message());
}

Result<UniqueFd> Connect(const std::string& folder, std::string_view what) {
  int fd = -1;
  const int error = shim::ConnectControl(folder.c_str(), fd);
  if (error != 0) return SocketStatus(error, what);
  return UniqueFd(fd);
}

// Receives the answer to a request. EIO carries the runtime's words: the request was carried out
// and failed.
Status Answer(int fd, int64_t deadline_ms, std::string_view what) {
  std::array<char, shim::kMaxText + 64> buffer;
  std::string_view text;
  const int error = shim::ReceiveAnswer(fd, buffer.data(), buffer.size(), text, deadline_ms);
  if (error == 0) return {};
  if (error == EIO) return InvalidArgument(ShimWords(text));
  if (error == EMFILE) return ResourceExhausted("the container: " + ShimWords(text));
  if (error == EAGAIN || error == ETIMEDOUT || text.empty()) {
    return SocketStatus(error, what);
  }
  if (error == ESRCH) return NotFound(ShimWords(text));
  return FailedPrecondition(ShimWords(text));
}

Status Ask(const Call& call, const std::string& folder, FrameType type, std::string_view payload,
           std::string_view what) {
  ASSIGN_OR_RETURN(const UniqueFd fd, Connect(folder, what));
  const int64_t deadline = DeadlineMs(call);
  const int error = shim::SendFrame(fd.get(), type, payload, deadline);
  if (error != 0) return SocketStatus(error, what);
  return Answer(fd.get(), deadline, what);
}

Result<UniqueFd> OpenSession(const Call& call, const std::string& folder, FrameType type,
                             const shim::SessionRequest& request) {
  const std::string_view what = type == FrameType::kExec ? "exec" : "attach";
  ASSIGN_OR_RETURN(UniqueFd fd, Connect(folder, what));
  const int64_t deadline = DeadlineMs(call);
  const int error = shim::SendMessage(fd.get(), type, request, deadline);
  if (error != 0) return SocketStatus(error, what);
  RETURN_IF_ERROR(Answer(fd.get(), deadline, what));
  const int flags = fcntl(fd.get(), F_GETFL);
  fcntl(fd.get(), F_SETFL, flags & ~O_NONBLOCK);
  return fd;
}

// The descriptor in a message of one byte.
Result<UniqueFd> ReceiveDescriptor(int socket) {
  char byte = 0;
  iovec part{&byte, 1};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  if (recvmsg(socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT) <= 0) {
    return Unavailable("the shim sent no connection");
  }
  const cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (header == nullptr || header->cmsg_type != SCM_RIGHTS) {
    return Unavailable("the shim sent no connection");
  }
  int fd = -1;
  std::memcpy(&fd, CMSG_DATA(header), sizeof fd);
  return UniqueFd(fd);
}

}  // namespace

std::vector<std::string> ShimClient::RuntimeCommand(const std::string& root) const {
  return engine_.command({shim_, runtime_, root, cgroups_});
}

Status ShimClient::Command(const Call& call, std::vector<std::string> arguments,
                           std::string_view input) const {
  const std::string verb = arguments.front();
  SpawnOptions options;
  options.argv = {shim_};
  options.argv.insert(options.argv.end(), arguments.begin(), arguments.end());
  ASSIGN_OR_RETURN(const Output output, RunCommand(call.Capped(kCommandTime), options, input));
  if (output.exit.code == shim::kCommandOk) return {};
  const std::string words = ShimWords(output.err);
  if (output.exit.code == shim::kCommandExists) return AlreadyExists(words);
  if (output.exit.signal != 0) return Unavailable("interlink-shim " + verb + " was killed");
  return InvalidArgument(words);
}

Status ShimClient::Pin(const Call& call, const PinRequest& request) const {
  std::vector<std::string> arguments = {"pin", "--dir", request.folder};
  if (!request.users.empty()) {
    arguments.emplace_back("--user");
    arguments.push_back(std::to_string(request.users.host_id) + ":" +
                        std::to_string(request.users.length));
  }
  if (!request.user_namespace.empty()) {
    arguments.emplace_back("--user-namespace");
    arguments.push_back(request.user_namespace);
  }
  if (request.net) arguments.emplace_back("--net");
  if (request.ipc) arguments.emplace_back("--ipc");
  if (request.uts) arguments.emplace_back("--uts");
  if (request.pid) arguments.emplace_back("--pid");
  if (request.proc) arguments.emplace_back("--proc");
  if (!request.hostname.empty()) {
    arguments.emplace_back("--hostname");
    arguments.push_back(request.hostname);
  }
  for (const auto& [name, value] : request.sysctls) {
    arguments.emplace_back("--sysctl");
    arguments.push_back(name + "=" + value);
  }
  for (const std::string& file : request.cgroup_procs) {
    arguments.emplace_back("--cgroup-procs");
    arguments.push_back(file);
  }
  return Command(call, std::move(arguments));
}

Status ShimClient::Unpin(const Call& call, const std::string& folder) const {
  const Status status = Command(call, {"unpin", "--dir", folder});
  return status.code() == Code::kInvalidArgument ? Unavailable(status.message()) : status;
}

Status ShimClient::Run(const Call& call, const RunRequest& request) const {
  std::vector<std::string> arguments = {"run",      "--dir",    request.folder, "--id",
                                        request.id, "--bundle", request.bundle};
  if (request.in) arguments.emplace_back("--stdin");
  if (request.in_once) arguments.emplace_back("--stdin-once");
  if (request.tty) arguments.emplace_back("--tty");
  arguments.emplace_back("--log-limit");
  arguments.push_back(std::to_string(request.log_limit));
  if (request.lease_seconds > 0) {
    arguments.emplace_back("--lease");
    arguments.push_back(std::to_string(request.lease_seconds));
  }
  arguments.emplace_back("--stream-owner");
  arguments.push_back(std::to_string(request.stream_owner));
  arguments.emplace_back("--");
  for (std::string& word : RuntimeCommand(request.runtime_root)) {
    arguments.push_back(std::move(word));
  }
  return Command(call, std::move(arguments));
}

Status ShimClient::EndProcesses(const Call& call, const std::string& folder) const {
  const Status status = Command(call, {"end", "--dir", folder});
  return status.code() == Code::kInvalidArgument ? Unavailable(status.message()) : status;
}

Status ShimClient::DeleteContainer(const Call& call, const std::string& runtime_root,
                                   const std::string& id) const {
  const std::string known = runtime_root + "/" + id;
  if (access(known.c_str(), F_OK) != 0) return {};
  std::vector<std::string> arguments = {"oci", "--"};
  for (std::string& word : RuntimeCommand(runtime_root)) arguments.push_back(std::move(word));
  arguments.insert(arguments.end(), {"delete", "--force", id});
  const Status status = Command(call, std::move(arguments));
  if (status.ok() || access(known.c_str(), F_OK) != 0) return {};
  return status.code() == Code::kInvalidArgument ? Unavailable(status.message()) : status;
}

Status ShimClient::UpdateContainer(const Call& call, const std::string& runtime_root,
                                   const std::string& id, const std::string& resources) const {
  std::vector<std::string> arguments = {"oci", "--"};
  for (std::string& word : RuntimeCommand(runtime_root)) arguments.push_back(std::move(word));
  arguments.insert(arguments.end(), {"update", "--resources", "-", id});
  return Command(call, std::move(arguments), resources);
}

Result<UniqueFd> ShimClient::Dial(const Call& call, const std::string& netns, uint16_t port) const {
  std::array<int, 2> pair{};
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()) != 0) {
    return ErrnoStatus(errno, "socketpair");
  }
  const UniqueFd ours(pair[0]);
  const UniqueFd theirs(pair[1]);
  SpawnOptions options;
  options.argv = {shim_, "dial"};
  if (!netns.empty()) options.argv.insert(options.argv.end(), {"--netns", netns});
  options.argv.insert(options.argv.end(), {"--port", std::to_string(port), "--fd", "3"});
  options.descriptors = {{theirs.get(), 3}};
  ASSIGN_OR_RETURN(const Output output, RunCommand(call.Capped(kRequestTime), options));
  if (output.exit.code == shim::kCommandRefused && output.exit.signal == 0)
    return FailedPrecondition(ShimWords(output.err));
  if (output.exit.code != 0) return Unavailable(ShimWords(output.err));
  return ReceiveDescriptor(ours.get());
}

Status ShimClient::Start(const Call& call, const std::string& folder) const {
  return Ask(call, folder, FrameType::kStart, "", "start");
}

Status ShimClient::Signal(const Call& call, const std::string& folder, int signal, bool all) const {
  shim::SignalRequest request;
  request.signal = signal;
  request.all = all;
  std::array<char, shim::SignalRequest::kSize> bytes;
  const size_t size = request.Encode(bytes.data(), bytes.size());
  return Ask(call, folder, FrameType::kSignal, {bytes.data(), size}, "signal");
}

Result<shim::ContainerState> ShimClient::State(const Call& call, const std::string& folder) const {
  ASSIGN_OR_RETURN(const UniqueFd fd, Connect(folder, "state"));
  const int64_t deadline = DeadlineMs(call);
  int error = shim::SendFrame(fd.get(), FrameType::kState, "", deadline);
  std::array<char, shim::kMaxText + 64> buffer;
  shim::Frame frame{};
  if (error == 0) {
    error = shim::ReceiveFrame(fd.get(), buffer.data(), buffer.size(), frame, deadline);
  }
  if (error != 0) return SocketStatus(error, "state");
  shim::ContainerState state;
  if (frame.type != FrameType::kStateAnswer || !state.Decode(frame.text())) {
    return Unavailable("the shim's answer is not a state");
  }
  return state;
}

Result<UniqueFd> ShimClient::Watch(const Call& call, const std::string& folder) const {
  ASSIGN_OR_RETURN(UniqueFd fd, Connect(folder, "watch"));
  const int64_t deadline = DeadlineMs(call);
  const int error = shim::SendFrame(fd.get(), FrameType::kWatch, "", deadline);
  if (error != 0) return SocketStatus(error, "watch");
  RETURN_IF_ERROR(Answer(fd.get(), deadline, "watch"));
  return fd;
}

Result<UniqueFd> ShimClient::Exec(const Call& call, const std::string& folder,
                                  const shim::SessionRequest& request) const {
  return OpenSession(call, folder, FrameType::kExec, request);
}

Result<UniqueFd> ShimClient::Attach(const Call& call, const std::string& folder,
                                    const shim::SessionRequest& request) const {
  return OpenSession(call, folder, FrameType::kAttach, request);
}

Result<std::optional<ContainerExit>> ReadExit(const std::string& folder) {
  const auto bytes = ReadFile(folder + "/" + shim::kExitFile, shim::kMaxExitRecord);
  if (bytes.status().code() == Code::kNotFound) return std::optional<ContainerExit>();
  if (!bytes.ok()) return bytes.status();
  shim::ExitRecord record;
  if (!shim::ParseExitRecord(*bytes, record)) {
    return DataLoss("the exit record in \"" + folder + "\" is damaged");
  }
  ContainerExit exit;
  exit.code = record.code;
  exit.started_ns = static_cast<int64_t>(record.started_ns);
  exit.finished_ns = static_cast<int64_t>(record.finished_ns);
  exit.oom_kills = record.oom_kills;
  exit.log_end = record.log_end;
  exit.reason = std::string(record.reason);
  return std::optional<ContainerExit>(std::move(exit));
}

}  // namespace interlink::engine
