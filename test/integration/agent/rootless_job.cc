#include "rootless_job.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/file.h"
#include "support/busybox.h"
#include "support/eventually.h"

namespace interlink::test {

namespace fs = std::filesystem;
using agent::v1::Command;
using State = sdk::Observation::State;

namespace {

void MakeLayer(const std::string& root) {
  for (const char* name : {"bin", "dev", "proc", "sys", "tmp", "etc"}) {
    fs::create_directories(root + "/" + name);
  }
  const std::string busybox = BusyboxPath();
  fs::copy_file(busybox, root + "/bin/busybox");
  for (const char* name : {"sh", "cat", "sleep", "echo", "id", "true", "hostname", "touch"}) {
    fs::create_hard_link(root + "/bin/busybox", root + "/bin/" + name);
  }
  std::istringstream libraries(OutputOf({"ldd", busybox}));
  for (std::string word; libraries >> word;) {
    if (word[0] != '/' || fs::exists(root + word)) continue;
    fs::create_directories(fs::path(root + word).parent_path());
    fs::copy_file(fs::canonical(word), root + word);
  }
  std::ofstream(root + "/etc/passwd") << "root:x:0:0::/:/bin/sh\nalice:x:1000:1000::/:/bin/sh\n";
  std::ofstream(root + "/etc/group") << "root:x:0:\nalice:x:1000:\nextra:x:50000:alice\n";
}

}  // namespace

std::string OutputOf(const std::vector<std::string>& argv) {
  const auto output =
      RunCommand(Call::WithTimeout(std::chrono::seconds(30)),
                 {.argv = argv, .environment = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}});
  INFO(argv.front());
  REQUIRE(output.ok());
  return output->out + output->err;
}

std::vector<pid_t> Naming(const std::string& text, const std::string& also) {
  std::vector<pid_t> found;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    const auto line = ReadFile("/proc/" + name + "/cmdline", 1 << 20);
    if (!line.ok() || line->find(text) == std::string::npos) continue;
    if (also.empty() || line->find(also) != std::string::npos) found.push_back(std::stoi(name));
  }
  return found;
}

namespace {

// Processes in whose file systems that path takes part: the containers' layers are there.
std::vector<pid_t> SeeingMounts(const std::string& path) {
  std::vector<pid_t> found;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    const auto mounts = ReadFile("/proc/" + name + "/mountinfo", 4U << 20U);
    if (mounts.ok() && mounts->find(path) != std::string::npos) found.push_back(std::stoi(name));
  }
  return found;
}

template <typename Config>
void SharePid(Config& config) {
  config.mutable_linux()->mutable_security_context()->mutable_namespace_options()->set_pid(
      runtime::v1::POD);
}

}  // namespace

Job::Job(AgentLab& lab)
    : lab_(lab), home_(lab.folder.File("job")), program_(lab.folder.File("interlink-agent")) {
  fs::create_directories(home_);
  MakeLayer(layer());
  layers = {layer()};
  std::ofstream(home_ + "/token") << lab.hub->TokenOf(lab.pod) << "\n";
  fs::copy_file(lab.authority.ca_file(), home_ + "/ca");
  // The user may not see the folder that this was built in.
  fs::copy_file(INTERLINK_AGENT, program_);
  for (const char* name : {"/token", "/ca"}) REQUIRE(chmod((home_ + name).c_str(), 0600) == 0);
  REQUIRE(chmod(lab.folder.path().c_str(), 0755) == 0);
  if (geteuid() == 0)
    OutputOf(
        {"chown", "-R", std::to_string(kJobUser) + ":" + std::to_string(kJobUser), home_, layer()});
}

Job::~Job() { Kill(); }

void Job::KillAgent() {
  // The parent first: it would start another one.
  const std::vector<pid_t> agents = Agents();
  Signal(SIGKILL);
  for (const pid_t pid : agents) kill(pid, SIGKILL);
  End(std::chrono::seconds(10));
}

void Job::Kill() {
  for (const pid_t pid : Naming(home_)) kill(pid, SIGKILL);
  // Containers too, which do not name it: those of shims that were killed have nobody else.
  for (const pid_t pid : SeeingMounts(home_)) kill(pid, SIGKILL);
  if (child_.pid > 0) End(std::chrono::seconds(1));
}

void Job::Start(const std::vector<std::string>& more_arguments) {
  SpawnOptions options;
  // Root gives up everything; a test of an ordinary user has nothing to give up.
  if (geteuid() == 0 && of_root) OutputOf({"chown", "-R", "0:0", home_, layer()});
  if (geteuid() == 0 && !of_root) {
    const std::string user = std::to_string(kJobUser);
    options.argv = {"setpriv",        "--reuid",        user,  "--regid", user,
                    "--clear-groups", "--bounding-set", "-all"};
  }
  for (const std::string& word :
       {program_, std::string("run"), std::string("--sandbox"), lab_.pod.str(),
        std::string("--nonce"), lab_.nonce, std::string("--hub"), lab_.address(),
        std::string("--ca"), home_ + "/ca", std::string("--token"), home_ + "/token",
        std::string("--folder"), home_, std::string("--allocation"), std::string("4711"),
        std::string("--leave-within"), std::string("15")}) {
    options.argv.push_back(word);
  }
  if (!engine.empty()) options.argv.insert(options.argv.end(), {"--engine", engine});
  options.argv.insert(options.argv.end(), more_arguments.begin(), more_arguments.end());
  options.environment = {"PATH=/usr/bin:/bin"};
  log_ = UniqueFd(
      open(lab_.folder.File("agent.log").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
  options.descriptors = {{log_.get(), 1}, {log_.get(), 2}};
  auto child = Spawn(options);
  REQUIRE(child.ok());
  child_ = *std::move(child);
}

std::optional<int> Job::End(std::chrono::seconds limit) {
  auto exit = WaitOrKill(Call::WithTimeout(limit), std::move(child_));
  child_ = {};
  if (!exit.ok()) return {};
  return exit->code;
}

void Job::Signal(int signal) const { REQUIRE(kill(child_.pid, signal) == 0); }

std::vector<pid_t> Job::Agents() const {
  std::vector<pid_t> agents;
  for (const pid_t pid : Naming(home_, "--supervised")) {
    if (pid != child_.pid) agents.push_back(pid);
  }
  return agents;
}

std::string Job::Said() const { return ReadFile(lab_.folder.File("agent.log")).value_or(""); }

Command Job::Create(const ContainerId& id, const std::string& script,
                    std::optional<int64_t> user) const {
  Command command = CreateCommand(id, {"/bin/sh", "-c", script});
  auto* create = command.mutable_create_container();
  for (const std::string& one : layers) create->mutable_image()->add_layers(one);
  create->mutable_image()->add_env("PATH=/bin");
  auto* config = create->mutable_config();
  config->mutable_metadata()->set_name("container-" + id.str().substr(0, 4));
  if (shared_pid) SharePid(*create->mutable_sandbox_config());
  if (shared_pid) SharePid(*config);
  if (user) {
    config->mutable_linux()->mutable_security_context()->mutable_run_as_user()->set_value(*user);
  }
  return command;
}

void Job::RunPod() {
  const bool came = Eventually([&] { return lab_.events.complete_reports() > 0; });
  INFO(Said());
  REQUIRE(came);
  Command run = RunSandboxCommand();
  if (shared_pid) SharePid(*run.mutable_run_sandbox()->mutable_config());
  lab_.Ask(run);
  const bool up = Eventually([&] { return lab_.events.Latest(ContainerId()).state == State::kUp; });
  INFO(lab_.events.Latest(ContainerId()).message << Said());
  REQUIRE(up);
}

void Job::RunContainer(const ContainerId& id, const std::string& script,
                       std::optional<int64_t> user) {
  const auto created = lab_.Try(Create(id, script, user));
  INFO(created.status().ToString() << Said());
  REQUIRE(created.ok());
  lab_.Ask(StartCommand(id));
}

bool Job::Logs(const ContainerId& id, const std::string& text) {
  return Eventually([&] { return lab_.Log(id).find(text) != std::string::npos; });
}

bool Job::Ends(const ContainerId& id) {
  return Eventually([&] { return lab_.events.Latest(id).state == State::kDown; });
}

}  // namespace interlink::test
