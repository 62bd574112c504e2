// The real interlink-agent as an ordinary user, with real containers, against a real hub.
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "agent_lab.h"
#include "base/file.h"
#include "base/spawn.h"
#include "support/busybox.h"
#include "support/eventually.h"

namespace interlink::test {
namespace {

namespace fs = std::filesystem;
using agent::v1::Command;
using State = sdk::Observation::State;

// Nobody's: without an entry in /etc/passwd, /etc/subuid, and with no capability to gain.
constexpr const char* kUser = "12345";
const ContainerId kFirst(std::string(64, 'c'));
const ContainerId kSecond(std::string(64, 'd'));
const std::string kReady =
    "trap 'echo bye; exit 9' TERM; echo ready; while true; do sleep 0.05; done";

std::string OutputOf(const std::vector<std::string>& argv) {
  const auto output =
      RunCommand(Call::WithTimeout(std::chrono::seconds(30)),
                 {.argv = argv, .environment = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}});
  INFO(argv.front());
  REQUIRE(output.ok());
  return output->out + output->err;
}

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

// Processes whose command line names `text`.
std::vector<pid_t> Naming(const std::string& text, const std::string& also = "") {
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

// A job: the agent below its parent, in a folder of its user's.
class Job {
 public:
  explicit Job(AgentLab& lab)
      : lab_(lab), home_(lab.folder.File("job")), program_(lab.folder.File("interlink-agent")) {
    fs::create_directories(home_);
    MakeLayer(lab.folder.File("layer"));
    std::ofstream(home_ + "/token") << lab.hub->TokenOf(lab.pod) << "\n";
    fs::copy_file(lab.authority.ca_file(), home_ + "/ca");
    // The user may not see the folder that this was built in.
    fs::copy_file(INTERLINK_AGENT, program_);
    for (const char* name : {"/token", "/ca"}) REQUIRE(chmod((home_ + name).c_str(), 0600) == 0);
    REQUIRE(chmod(lab.folder.path().c_str(), 0755) == 0);
    if (geteuid() == 0)
      OutputOf({"chown", "-R", std::string(kUser) + ":" + kUser, home_, lab.folder.File("layer")});
  }
  ~Job() {
    for (const pid_t pid : Naming(home_)) kill(pid, SIGKILL);
    if (child_.pid > 0) End(std::chrono::seconds(1));
  }

  void Start() {
    SpawnOptions options;
    // Root gives up everything; a test of an ordinary user has nothing to give up.
    if (geteuid() == 0) {
      options.argv = {"setpriv",        "--reuid",        kUser, "--regid", kUser,
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
    options.environment = {"PATH=/usr/bin:/bin"};
    log_ = UniqueFd(open(lab_.folder.File("agent.log").c_str(),
                         O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
    options.descriptors = {{log_.get(), 1}, {log_.get(), 2}};
    auto child = Spawn(options);
    REQUIRE(child.ok());
    child_ = *std::move(child);
  }

  // The exit code; nothing: it does not end.
  std::optional<int> End(std::chrono::seconds limit = std::chrono::seconds(30)) {
    auto exit = WaitOrKill(Call::WithTimeout(limit), std::move(child_));
    child_ = {};
    if (!exit.ok()) return {};
    return exit->code;
  }
  void Signal(int signal) const { REQUIRE(kill(child_.pid, signal) == 0); }
  // The agent itself, below its parent.
  std::vector<pid_t> Agents() const {
    std::vector<pid_t> agents;
    for (const pid_t pid : Naming(home_, "--supervised")) {
      if (pid != child_.pid) agents.push_back(pid);
    }
    return agents;
  }
  std::string Said() const { return ReadFile(lab_.folder.File("agent.log")).value_or(""); }
  const std::string& home() const { return home_; }

  Command Create(const ContainerId& id, const std::string& script,
                 std::optional<int64_t> user = {}) const {
    Command command = CreateCommand(id, {"/bin/sh", "-c", script});
    auto* create = command.mutable_create_container();
    create->mutable_image()->add_layers(lab_.folder.File("layer"));
    create->mutable_image()->add_env("PATH=/bin");
    auto* config = create->mutable_config();
    config->mutable_metadata()->set_name("container-" + id.str().substr(0, 4));
    if (user) {
      config->mutable_linux()->mutable_security_context()->mutable_run_as_user()->set_value(*user);
    }
    return command;
  }
  void RunPod() {
    const bool came = Eventually([&] { return lab_.events.complete_reports() > 0; });
    INFO(Said());
    REQUIRE(came);
    lab_.Ask(RunSandboxCommand());
    const bool up =
        Eventually([&] { return lab_.events.Latest(ContainerId()).state == State::kUp; });
    INFO(lab_.events.Latest(ContainerId()).message << Said());
    REQUIRE(up);
  }
  void RunContainer(const ContainerId& id, const std::string& script,
                    std::optional<int64_t> user = {}) {
    const auto created = lab_.Try(Create(id, script, user));
    INFO(created.status().ToString() << Said());
    REQUIRE(created.ok());
    lab_.Ask(StartCommand(id));
  }
  bool Logs(const ContainerId& id, const std::string& text) {
    return Eventually([&] { return lab_.Log(id).find(text) != std::string::npos; });
  }
  bool Ends(const ContainerId& id) {
    return Eventually([&] { return lab_.events.Latest(id).state == State::kDown; });
  }

 private:
  AgentLab& lab_;
  const std::string home_;
  const std::string program_;
  UniqueFd log_;
  Child child_;
};

TEST_CASE(
    "an ordinary user's container runs, is looked into, stops with its grace and tells its exit") {
  AgentLab lab;
  Job job(lab);
  job.Start();
  job.RunPod();
  job.RunContainer(kFirst, kReady, 1000);

  REQUIRE(job.Logs(kFirst, "ready"));
  const SessionOutput id = lab.Exec(kFirst, {"/bin/id"});
  CHECK(id.out == "uid=1000(alice) gid=1000(alice)\n");
  CHECK(id.code == 0);
  CHECK(lab.Exec(kFirst, {"/bin/sh", "-c", "cat; exit 5"}, "input").out == "input");
  CHECK(lab.Exec(kFirst, {"/bin/sh", "-c", "touch /of-mine && exit 5"}).code == 5);
  lab.Ask(StopCommand(kFirst, 10));
  REQUIRE(job.Ends(kFirst));

  CHECK(lab.events.Latest(kFirst).exit_code == 9);
  CHECK(job.Logs(kFirst, "bye"));
  CHECK(access((job.home() + "/exits/" + kFirst.str()).c_str(), F_OK) == 0);
  job.Signal(SIGTERM);
  CHECK(job.End() == 0);
}

TEST_CASE("containers of one pod share ipc and host name, and nobody else's processes") {
  AgentLab lab;
  Job job(lab);
  job.Start();
  job.RunPod();
  job.RunContainer(kFirst, kReady);
  job.RunContainer(kSecond, kReady, 1000);
  REQUIRE(job.Logs(kFirst, "ready"));
  REQUIRE(job.Logs(kSecond, "ready"));

  const std::string ipc = "busybox readlink /proc/self/ns/ipc; busybox readlink /proc/self/ns/uts";
  const auto first = lab.Exec(kFirst, {"/bin/busybox", "sh", "-c", ipc});
  const auto second = lab.Exec(kSecond, {"/bin/busybox", "sh", "-c", ipc});

  CHECK_FALSE(first.out.empty());
  CHECK(first.out == second.out);
  CHECK(lab.Exec(kFirst, {"/bin/id", "-u"}).out == "0\n");
  const auto pids = lab.Exec(kFirst, {"/bin/sh", "-c", "echo /proc/[0-9]*"});
  CHECK(pids.out.find("/proc/1 ") != std::string::npos);
  CHECK(pids.out.size() < 100);
}

TEST_CASE("a killed agent comes back with its nonce, and finds everything as it was") {
  AgentLab lab;
  Job job(lab);
  job.Start();
  job.RunPod();
  job.RunContainer(kFirst, kReady);
  REQUIRE(job.Logs(kFirst, "ready"));
  const size_t came = lab.events.came(lab.nonce);
  const auto agents = job.Agents();
  REQUIRE(agents.size() == 1);

  REQUIRE(kill(agents.front(), SIGKILL) == 0);

  REQUIRE(Eventually([&] { return lab.events.came(lab.nonce) > came; }));
  CHECK(lab.Exec(kFirst, {"/bin/echo", "alive"}).out == "alive\n");
  job.RunContainer(kSecond, "exit 3");
  REQUIRE(job.Ends(kSecond));
  CHECK(lab.events.Latest(kSecond).exit_code == 3);
  CHECK(lab.Try(job.Create(kSecond, "true")).ok());  // it is there: nothing starts
  lab.Ask(StopCommand(kFirst, 10));
  REQUIRE(job.Ends(kFirst));
  CHECK(lab.events.Latest(kFirst).exit_code == 9);
}

TEST_CASE("an end that comes while the agent is dead and the site is down is told later") {
  AgentLab lab;
  Job job(lab);
  job.Start();
  job.RunPod();
  job.RunContainer(kFirst, "echo ready; sleep 1; exit 4");
  REQUIRE(job.Logs(kFirst, "ready"));

  lab.StopHub();
  const auto agents = job.Agents();
  REQUIRE(agents.size() == 1);
  REQUIRE(kill(agents.front(), SIGKILL) == 0);
  REQUIRE(Eventually(
      [&] { return access((job.home() + "/exits/" + kFirst.str()).c_str(), F_OK) == 0; }));
  lab.StartHub();

  REQUIRE(job.Ends(kFirst));
  CHECK(lab.events.Latest(kFirst).exit_code == 4);
}

TEST_CASE("the job's end stops the containers with their grace and leaves their exits") {
  AgentLab lab;
  Job job(lab);
  job.Start();
  job.RunPod();
  job.RunContainer(kFirst, kReady);
  REQUIRE(job.Logs(kFirst, "ready"));

  job.Signal(SIGTERM);

  CHECK(job.End() == 0);
  CHECK(lab.events.Latest(kFirst).state == State::kDown);
  CHECK(lab.events.Latest(kFirst).exit_code == 9);
  CHECK(lab.events.Latest(ContainerId()).state == State::kDown);
  CHECK(Naming(job.home()).empty());
}

TEST_CASE("what one id cannot have is refused by name") {
  AgentLab lab;
  Job job(lab);
  job.Start();
  REQUIRE(Eventually([&] { return lab.events.complete_reports() > 0; }));
  Command run = RunSandboxCommand();
  auto* security =
      run.mutable_run_sandbox()->mutable_config()->mutable_linux()->mutable_security_context();
  security->mutable_namespace_options()->set_pid(runtime::v1::POD);
  CHECK(lab.Try(run).status().message().find("pid") != std::string::npos);

  job.RunPod();
  Command create = job.Create(kFirst, "true");
  create.mutable_create_container()
      ->mutable_config()
      ->mutable_linux()
      ->mutable_security_context()
      ->add_supplemental_groups(50000);
  const auto answer = lab.Try(create);
  CHECK(answer.status().code() == Code::kUnimplemented);
  CHECK(answer.status().message().find("50000") != std::string::npos);
}

TEST_CASE("a token that others can read is refused before anything is dialled") {
  AgentLab lab;
  Job job(lab);
  REQUIRE(chmod((job.home() + "/token").c_str(), 0644) == 0);

  job.Start();

  CHECK(job.End() == 2);
  CHECK(job.Said().find("0600") != std::string::npos);
  CHECK(lab.events.came() == 0);
}

TEST_CASE("a CA that is none is refused before anything is dialled") {
  AgentLab lab;
  Job job(lab);
  std::ofstream(job.home() + "/ca", std::ios::trunc) << "-----BEGIN CERTIFICATE-----\n";

  job.Start();

  CHECK(job.End() == 2);
  CHECK(job.Said().find("PEM") != std::string::npos);
}

TEST_CASE("the agent is one static file") {
  CHECK(OutputOf({"ldd", INTERLINK_AGENT}).find("not a dynamic executable") != std::string::npos);
}

}  // namespace
}  // namespace interlink::test
