#include "lab.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "shim/client.h"
#include "shim/cri_log.h"
#include "shim/pidfile.h"
#include "support/busybox.h"

namespace interlink::shim {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kDeadlineMs = 30'000;

std::vector<char*> Pointers(const std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (const std::string& text : strings) pointers.push_back(const_cast<char*>(text.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

std::string Quoted(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + "\"";
}

std::string Process(const std::vector<std::string>& args, bool tty) {
  std::string list;
  for (const std::string& arg : args) list += (list.empty() ? "" : ",") + Quoted(arg);
  return std::string("{\"terminal\":") + (tty ? "true" : "false") +
         R"(,"user":{"uid":0,"gid":0},"cwd":"/","env":["PATH=/bin"],"noNewPrivileges":true,"args":[)" +
         list + "]}";
}

std::string Config(const Lab& lab, const std::string& id, const ContainerOptions& options) {
  const std::string pid = options.pid_namespace.empty()
                              ? R"({"type":"pid"})"
                              : R"({"type":"pid","path":)" + Quoted(options.pid_namespace) + "}";
  const std::string memory =
      options.memory == 0 ? "" : R"("memory":{"limit":)" + std::to_string(options.memory) + "}";
  return R"({"ociVersion":"1.0.2","process":)" + Process(options.args, options.tty) +
         R"(,"root":{"path":)" + Quoted(lab.path() + "/rootfs") + R"(},"mounts":[)" +
         R"({"destination":"/proc","type":"proc","source":"proc"},)"
         R"({"destination":"/dev","type":"tmpfs","source":"tmpfs","options":["mode=755"]},)"
         R"({"destination":"/dev/pts","type":"devpts","source":"devpts",)"
         R"("options":["newinstance","ptmxmode=0666"]}],"linux":{"cgroupsPath":)" +
         Quoted(lab.cgroup() + "/" + id) + R"(,"namespaces":[)" + pid +
         R"(,{"type":"ipc"},{"type":"uts"},{"type":"mount"},{"type":"network"}],"resources":{)" +
         memory + "}}}";
}

void MakeRoot(const std::string& root) {
  for (const char* name : {"bin", "dev", "proc", "tmp"}) fs::create_directories(root + "/" + name);
  const std::string busybox = interlink::test::BusyboxPath();
  fs::copy_file(busybox, root + "/bin/busybox");
  for (const char* name : {"sh", "cat", "sleep", "echo", "dd", "stty", "yes", "head", "setsid",
                           "seq", "kill", "true", "hostname", "tr"}) {
    fs::create_hard_link(root + "/bin/busybox", root + "/bin/" + name);
  }
  std::istringstream libraries(RunProgram({"ldd", busybox}).out);
  for (std::string word; libraries >> word;) {
    if (word[0] != '/') continue;
    fs::create_directories(fs::path(root + word).parent_path());
    fs::copy_file(fs::canonical(word), root + word);
  }
}

}  // namespace

bool Eventually(const std::function<bool()>& condition) {
  const int64_t end = MonotonicMs() + kDeadlineMs;
  while (!condition()) {
    if (MonotonicMs() > end) return false;
    poll(nullptr, 0, 5);
  }
  return true;
}

std::string ReadAll(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void WriteAll(const std::string& path, const std::string& bytes) {
  std::ofstream file(path, std::ios::binary);
  file << bytes;
  REQUIRE(file.good());
}

size_t CountLines(const std::string& path, const std::string& text) {
  std::ifstream file(path);
  size_t count = 0;
  for (std::string line; std::getline(file, line);) count += line.find(text) != std::string::npos;
  return count;
}

pid_t StartProgram(const std::vector<std::string>& argv) {
  pid_t pid = -1;
  REQUIRE(posix_spawnp(&pid, argv[0].c_str(), nullptr, nullptr, Pointers(argv).data(), environ) ==
          0);
  return pid;
}

Ran RunProgram(const std::vector<std::string>& argv, int pass) {
  char directory[] = "/tmp/interlink-out-XXXXXX";
  REQUIRE(mkdtemp(directory) != nullptr);
  const std::string base = directory;
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, (base + "/out").c_str(), O_WRONLY | O_CREAT, 0600);
  posix_spawn_file_actions_addopen(&actions, 2, (base + "/err").c_str(), O_WRONLY | O_CREAT, 0600);
  if (pass >= 0) posix_spawn_file_actions_adddup2(&actions, pass, 3);
  pid_t pid = -1;
  const int error =
      posix_spawnp(&pid, argv[0].c_str(), &actions, nullptr, Pointers(argv).data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  Ran ran;
  int status = 0;
  if (error == 0) waitpid(pid, &status, 0);
  ran.code = error != 0 ? -1 : WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  ran.out = ReadAll(base + "/out");
  ran.err = ReadAll(base + "/err");
  fs::remove_all(base);
  return ran;
}

Lab::Lab() {
  if (geteuid() != 0) FAIL("these tests need root");
  char directory[] = "/tmp/interlink-shim-XXXXXX";
  REQUIRE(mkdtemp(directory) != nullptr);
  path_ = directory;
  cgroup_ = "/" + path_.substr(5);
  MakeRoot(path_ + "/rootfs");
}

Lab::~Lab() {
  for (const auto& controller : fs::directory_iterator("/sys/fs/cgroup")) {
    rmdir((controller.path().string() + cgroup_).c_str());
  }
  rmdir(("/sys/fs/cgroup" + cgroup_).c_str());
  std::error_code error;
  fs::remove_all(path_, error);
  if (error) WARN("left behind: " << path_ << ": " << error.message());
}

std::vector<std::string> Lab::runtime() const {
  return {"/usr/bin/crun", "--root", path_ + "/state", "--cgroup-manager=cgroupfs"};
}

Ran Lab::Oci(const std::vector<std::string>& arguments) const {
  std::vector<std::string> argv{SHIM_BINARY, "oci", "--"};
  for (const auto& part : {runtime(), arguments}) argv.insert(argv.end(), part.begin(), part.end());
  return RunProgram(argv);
}

Client::Client(const std::string& directory) {
  REQUIRE(ConnectControl(directory.c_str(), fd_) == 0);
}

Client::~Client() { close(fd_); }

void Client::Send(FrameType type, const std::string& payload) {
  REQUIRE(SendFrame(fd_, type, payload, MonotonicMs() + kDeadlineMs) == 0);
}

void Client::SendRaw(const std::string& bytes) {
  REQUIRE(SendAll(fd_, bytes.data(), bytes.size(), MonotonicMs() + kDeadlineMs) == 0);
}

Client::Got Client::Next() {
  Got got;
  Frame frame{};
  std::string buffer(kMaxPayload, '\0');
  const int error =
      ReceiveFrame(fd_, buffer.data(), buffer.size(), frame, MonotonicMs() + kDeadlineMs);
  got.end = error == ECONNRESET;
  if (got.end) return got;
  REQUIRE(error == 0);
  got.type = frame.type;
  got.payload = frame.text();
  return got;
}

SessionEnd ReadSession(Client& client) {
  SessionEnd end;
  for (Client::Got got = client.Next(); !got.end; got = client.Next()) {
    REQUIRE_FALSE(end.has_status);  // nothing follows the status
    if (got.type == FrameType::kStdout) {
      end.out += got.payload;
    } else if (got.type == FrameType::kStderr) {
      end.err += got.payload;
    } else {
      ExitStatus status;
      REQUIRE(got.type == FrameType::kStatus);
      REQUIRE(status.Decode(got.payload));
      end.has_status = true;
      end.code = status.code;
      end.signal = status.signal;
    }
  }
  return end;
}

TestContainer::TestContainer(Lab& lab, const std::string& id, ContainerOptions options)
    : lab_(lab), id_(id), options_(std::move(options)) {
  directory_ = lab.path() + "/" + id;
  bundle_ = directory_ + ".bundle";
  fs::create_directories(directory_);
  fs::create_directories(bundle_);
  WriteAll(bundle_ + "/config.json", Config(lab, id, options_));
}

TestContainer::~TestContainer() {
  if (removed_) return;
  static_cast<void>(lab_.Oci({"delete", "--force", id_}));
  PidFile shim;
  if (ParsePidFile(ReadAll(directory_ + "/shim.pid"), shim)) {
    Eventually([&shim] { return IsAlive(shim) == Alive::kNo; });
  }
}

std::vector<std::string> TestContainer::RunCommandLine() const {
  std::vector<std::string> argv{SHIM_BINARY, "run", "--dir",    directory_,
                                "--id",      id_,   "--bundle", bundle_};
  if (options_.tty) argv.emplace_back("--tty");
  argv.insert(argv.end(), options_.flags.begin(), options_.flags.end());
  argv.emplace_back("--");
  std::vector<std::string> runtime = lab_.runtime();
  if (!options_.runtime.empty()) runtime[0] = options_.runtime;
  argv.insert(argv.end(), runtime.begin(), runtime.end());
  return argv;
}

void TestContainer::Start() {
  const Ran ran = Run();
  INFO(ran.err);
  REQUIRE(ran.code == 0);
  std::string text;
  const int error = Ask(FrameType::kStart, "", &text);
  INFO(text);
  REQUIRE(error == 0);
}

int TestContainer::Ask(FrameType type, const std::string& payload, std::string* text) const {
  Client client(directory_);
  client.Send(type, payload);
  const Client::Got got = client.Next();
  if (got.type == FrameType::kOk) return 0;
  ErrorAnswer answer;
  REQUIRE(got.type == FrameType::kError);
  REQUIRE(answer.Decode(got.payload));
  if (text != nullptr) *text = answer.text;
  return answer.error;
}

int TestContainer::Signal(int number, bool all) const {
  char bytes[SignalRequest::kSize];
  return Ask(FrameType::kSignal, {bytes, SignalRequest{number, all}.Encode(bytes, sizeof bytes)});
}

ContainerState TestContainer::State() const {
  Client client(directory_);
  client.Send(FrameType::kState);
  const Client::Got got = client.Next();
  ContainerState state;
  REQUIRE(got.type == FrameType::kStateAnswer);
  REQUIRE(state.Decode(got.payload));
  return state;
}

ExitRecord TestContainer::Exit() const {
  REQUIRE(Eventually([this] { return access((directory_ + "/exit").c_str(), F_OK) == 0; }));
  ExitRecord record;
  const std::string bytes = ReadAll(directory_ + "/exit");
  REQUIRE(ParseExitRecord(bytes, record));
  record.reason = {};
  return record;
}

std::string TestContainer::Log(const std::string& stream) const {
  std::istringstream file(ReadAll(directory_ + "/log"));
  std::string text;
  uint64_t last = 0;
  for (std::string bytes; std::getline(file, bytes);) {
    LogLine line;
    REQUIRE(ParseLogLine(bytes, line));
    REQUIRE(line.time_ns > last);
    last = line.time_ns;
    if ((line.stream == LogStream::kStdout) != (stream == "stdout")) continue;
    text += std::string(line.content) + (line.partial ? "" : "\n");
  }
  return text;
}

std::string TestContainer::Process(const std::vector<std::string>& args, bool tty) const {
  static int number = 0;
  std::string path = lab_.path() + "/process." + std::to_string(number++) + ".json";
  WriteAll(path, shim::Process(args, tty));
  return path;
}

std::unique_ptr<Client> TestContainer::Exec(const SessionRequest& request,
                                            const std::vector<std::string>& args) const {
  const std::string path = Process(args, request.tty);
  SessionRequest with_path = request;
  with_path.process = path;
  auto client = std::make_unique<Client>(directory_);
  client->SendMessage(FrameType::kExec, with_path);
  const Client::Got got = client->Next();
  INFO(got.payload);
  REQUIRE(got.type == FrameType::kOk);
  return client;
}

pid_t TestContainer::ShimPid() const {
  PidFile file;
  REQUIRE(ParsePidFile(ReadAll(directory_ + "/shim.pid"), file));
  return file.pid;
}

pid_t TestContainer::Pid() const {
  PidFile file;
  REQUIRE(ParsePidFile(ReadAll(directory_ + "/pid"), file));
  return file.pid;
}

size_t TestContainer::Processes() const {
  const std::string below = lab_.cgroup() + "/" + id_ + "/cgroup.procs";
  const std::string v1 = "/sys/fs/cgroup/pids" + below;
  return CountLines(access(v1.c_str(), F_OK) == 0 ? v1 : "/sys/fs/cgroup" + below, "");
}

void TestContainer::Remove() {
  PidFile shim;
  REQUIRE(ParsePidFile(ReadAll(directory_ + "/shim.pid"), shim));
  const Ran deleted = lab_.Oci({"delete", "--force", id_});
  INFO(deleted.err);
  CHECK(deleted.code == 0);
  CHECK(Eventually([&shim] { return IsAlive(shim) == Alive::kNo; }));
  CHECK(CountLines("/proc/self/mountinfo", directory_) == 0);
  CHECK(ReadAll(directory_ + "/shim.log").empty());
  for (const auto& entry : fs::directory_iterator(directory_)) {
    const std::string name = entry.path().filename();
    INFO(name);
    CHECK((name == "lock" || name == "log" || name == "exit" || name == "pid" ||
           name == "shim.pid" || name == "log.start" || name == "log.ack"));
  }
  for (const auto& controller : fs::directory_iterator("/sys/fs/cgroup")) {
    CHECK_FALSE(fs::exists(controller.path().string() + lab_.cgroup() + "/" + id_));
  }
  removed_ = true;
}

}  // namespace interlink::shim
