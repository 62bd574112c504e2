// The real interlink-agent as an ordinary user, with real containers, against a real hub.
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "agent_hub/left_log.h"
#include "base/file.h"
#include "rootless_job.h"
#include "shim/pidfile.h"
#include "support/eventually.h"

namespace interlink::test {
namespace {

using agent::v1::Command;
using State = sdk::Observation::State;

TEST_CASE(
    "an ordinary user's container runs, is looked into, stops with its grace and tells its exit") {
  AgentLab lab;
  Job job(lab);
  job.engine = GENERATE("crun", "ch-run");
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
  job.engine = GENERATE("crun", "ch-run");
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

TEST_CASE("containers of a pod that shares its processes see each other's, and nobody else's") {
  AgentLab lab;
  Job job(lab);
  job.engine = GENERATE("crun", "ch-run");
  job.shared_pid = true;
  job.Start();
  job.RunPod();
  job.RunContainer(kFirst, kReady + "; : first-of-two", 1000);
  REQUIRE(job.Logs(kFirst, "ready"));
  const size_t came = lab.events.came(lab.nonce);
  REQUIRE(kill(job.Agents().front(), SIGKILL) == 0);
  REQUIRE(Eventually([&] { return lab.events.came(lab.nonce) > came; }));
  job.RunContainer(kSecond, kReady);
  REQUIRE(job.Logs(kSecond, "ready"));

  const auto seen = lab.Exec(kSecond, {"/bin/sh", "-c", "cat /proc/[0-9]*/comm; kill -TERM 1"});
  CHECK(seen.out.find("interlink-init\n") == 0);
  CHECK(std::count(seen.out.begin(), seen.out.end(), '\n') < 12);
  // Another user in its own namespace, and yet it can be told to end.
  const auto told = lab.Exec(kSecond, {"/bin/sh", "-c",
                                       "kill -TERM $(busybox grep -l 'first-of-[t]wo' "
                                       "/proc/[0-9]*/cmdline | busybox cut -d/ -f3)"});
  INFO(told.err);
  REQUIRE(job.Ends(kFirst));
  CHECK(lab.events.Latest(kFirst).exit_code == 9);

  job.Signal(SIGTERM);
  CHECK(job.End() == 0);
  CHECK(Naming(job.home()).empty());
}

TEST_CASE("containers of root's agent have all users and groups, and no right over the machine") {
  if (geteuid() != 0) return;
  AgentLab lab;
  Job job(lab);
  job.of_root = true;
  job.shared_pid = true;
  const std::string tool = job.layer() + "/bin/as-owner";
  std::filesystem::copy_file(job.layer() + "/bin/busybox", tool);
  job.Start({"--allow-root"});
  REQUIRE(chown(tool.c_str(), 33, 33) == 0);
  REQUIRE(chmod(tool.c_str(), 04755) == 0);
  job.RunPod();
  Command create = job.Create(kFirst, kReady, 1000);
  auto& security = *create.mutable_create_container()
                        ->mutable_config()
                        ->mutable_linux()
                        ->mutable_security_context();
  security.mutable_run_as_group()->set_value(2000);
  security.add_supplemental_groups(3000);
  const auto created = lab.Try(create);
  INFO(created.status().ToString() << job.Said());
  REQUIRE(created.ok());
  lab.Ask(StartCommand(kFirst));
  REQUIRE(job.Logs(kFirst, "ready"));
  job.RunContainer(kSecond, kReady);
  REQUIRE(job.Logs(kSecond, "ready"));

  const std::string own = lab.Exec(kFirst, {"/bin/id"}).out;
  CHECK(own.find("uid=1000") == 0);
  CHECK(own.find("gid=2000") != std::string::npos);
  CHECK(own.find("3000") != std::string::npos);
  CHECK(lab.Exec(kFirst, {"/bin/busybox", "stat", "-c", "%u %a", "/bin/as-owner"}).out ==
        "33 4755\n");
  const auto root = lab.Exec(
      kSecond, {"/bin/sh", "-c",
                "touch /mine && busybox chown 4711:4712 /mine && busybox stat -c '%u %g' /mine; "
                "busybox hostname elsewhere; busybox mknod /null c 1 3"});
  CHECK(root.out == "4711 4712\n");
  CHECK(root.code != 0);
  job.Signal(SIGTERM);
  CHECK(job.End() == 0);
}

TEST_CASE("a container that ends takes all of its processes along, and nobody else's") {
  AgentLab lab;
  Job job(lab);
  job.engine = GENERATE("crun", "ch-run");
  job.shared_pid = true;
  job.Start();
  job.RunPod();
  job.RunContainer(kSecond, kReady);
  REQUIRE(job.Logs(kSecond, "ready"));

  SECTION("when its first process ends") {
    job.RunContainer(kFirst, "busybox setsid sleep 471100 & sleep 0.2; exit 3");
    REQUIRE(job.Ends(kFirst));
    CHECK(lab.events.Latest(kFirst).exit_code == 3);
  }
  SECTION("when its shim was killed") {
    job.RunContainer(kFirst, "busybox setsid sleep 471100 & echo ready; exec sleep 471100");
    REQUIRE(job.Logs(kFirst, "ready"));
    REQUIRE(Eventually([] { return Naming("471100").size() == 2; }));
    const auto shims = Naming("interlink-shim", kFirst.str());
    REQUIRE(shims.size() == 1);
    REQUIRE(kill(shims.front(), SIGKILL) == 0);
    REQUIRE(job.Ends(kFirst));
    CHECK(lab.events.Latest(kFirst).exit_code == 255);
  }

  CHECK(Naming("471100").empty());
  CHECK(lab.events.Latest(kSecond).state == State::kUp);
  CHECK(lab.Exec(kSecond, {"/bin/echo", "alive"}).out == "alive\n");
}

TEST_CASE("a killed agent comes back with its nonce, and finds everything as it was") {
  AgentLab lab;
  Job job(lab);
  job.engine = GENERATE("crun", "ch-run");
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
  job.engine = GENERATE("crun", "ch-run");
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
  job.engine = GENERATE("crun", "ch-run");
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

// What a container of the job has written, numbered.
size_t CountLines(const std::string& log) {
  size_t count = 0;
  for (size_t at = 0; (at = log.find("line ", at)) != std::string::npos; ++at) {
    CHECK(log.compare(at + 5, log.find('\n', at) - at - 5, std::to_string(count)) == 0);
    ++count;
  }
  return count;
}

// As the site reads it when the agent is gone, from what it has acknowledged.
std::string LeftOf(const Job& job, const sdk::Observation& end, uint64_t offset = 0) {
  std::string all;
  for (bool over = false; !over;) {
    const auto chunk =
        agent_hub::ReadLeftLog(job.home(), end.container, end.log_end, offset, 100'000);
    INFO(chunk.status().ToString());
    REQUIRE(chunk.ok());
    all += chunk->bytes;
    CHECK((chunk->next > offset || chunk->end));
    offset = chunk->next;
    over = chunk->end;
  }
  CHECK(offset == end.log_end);
  return all;
}

const std::string kWriteMuch = "i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done; ";

TEST_CASE("logs that the site has not read outlive the job") {
  AgentLab lab;
  Job job(lab);
  REQUIRE(mkdir((job.home() + "/heartbeat").c_str(), 0777) == 0);
  REQUIRE(chmod((job.home() + "/heartbeat").c_str(), 0777) == 0);
  job.Start({"--shared-folder"});
  job.RunPod();
  // One that ends by itself, and one that says its last words when it is stopped.
  job.RunContainer(kFirst, kWriteMuch);
  job.RunContainer(
      kSecond, "trap '" + kWriteMuch + "exit 9' TERM; echo ready; while true; do sleep 0.05; done");
  REQUIRE(job.Ends(kFirst));
  REQUIRE(job.Logs(kSecond, "ready"));

  job.Signal(SIGTERM);

  CHECK(job.End() == 0);
  const auto first = lab.events.Latest(kFirst);
  const auto second = lab.events.Latest(kSecond);
  REQUIRE(second.state == State::kDown);
  CHECK(second.exit_code == 9);
  CHECK(CountLines(LeftOf(job, first)) == 3000);
  CHECK(CountLines(LeftOf(job, second)) == 3000);
  CHECK(LeftOf(job, second).find("ready") != std::string::npos);
}

TEST_CASE("what the site has read and acknowledged is not kept for it") {
  AgentLab lab;
  Job job(lab);
  REQUIRE(mkdir((job.home() + "/heartbeat").c_str(), 0777) == 0);
  REQUIRE(chmod((job.home() + "/heartbeat").c_str(), 0777) == 0);
  job.Start({"--shared-folder"});
  job.RunPod();
  job.RunContainer(kFirst, kWriteMuch + "while true; do sleep 0.05; done");
  REQUIRE(job.Logs(kFirst, "line 2999\n"));
  const std::string read = lab.Log(kFirst);
  Command command;
  command.mutable_read_log()->set_container_id(kFirst.str());
  command.mutable_read_log()->set_offset(read.size() - 100);
  command.mutable_read_log()->set_max(1000);
  REQUIRE(lab.Ask(command).log().bytes() == read.substr(read.size() - 100));

  lab.Ask(StopCommand(kFirst, 0));
  REQUIRE(job.Ends(kFirst));
  job.Signal(SIGTERM);

  CHECK(job.End() == 0);
  CHECK(LeftOf(job, lab.events.Latest(kFirst), read.size() - 100) ==
        read.substr(read.size() - 100));
}

TEST_CASE("logs of a job that was killed with its agent are read as far as they were saved") {
  AgentLab lab;
  Job job(lab);
  REQUIRE(mkdir((job.home() + "/heartbeat").c_str(), 0777) == 0);
  REQUIRE(chmod((job.home() + "/heartbeat").c_str(), 0777) == 0);
  job.Start({"--shared-folder"});
  job.RunPod();
  job.RunContainer(kFirst, kWriteMuch + "while true; do sleep 0.05; done");
  REQUIRE(job.Logs(kFirst, "line 2999\n"));
  const size_t written = lab.Log(kFirst).size();
  REQUIRE(Eventually(
      [&] { return agent_hub::LeftLogEnd(job.home(), kFirst).value_or(0) == written + 1; }));

  job.Kill();

  sdk::Observation end;
  end.container = kFirst;
  end.log_end = agent_hub::LeftLogEnd(job.home(), kFirst).value();
  const std::string left = LeftOf(job, end);
  CHECK(CountLines(left) == 3000);
  CHECK(left.find("lost with the allocation") != std::string::npos);
}

// Those that files of that name tell of.
std::vector<shim::PidFile> ProcessesIn(const std::string& folder, const std::string& name) {
  std::vector<shim::PidFile> found;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    shim::PidFile process;
    if (entry.path().filename() != name) continue;
    REQUIRE(shim::ParsePidFile(ReadFile(entry.path()).value_or(""), process));
    found.push_back(process);
  }
  return found;
}

TEST_CASE("containers whose agent never comes back end with their lease") {
  AgentLab lab;
  Job job(lab);
  job.engine = GENERATE("crun", "ch-run");
  job.shared_pid = GENERATE(false, true);
  job.Start({"--shim-lease", "2"});
  job.RunPod();
  const auto inits = ProcessesIn(job.home(), "init.pid");
  REQUIRE(inits.size() == (job.shared_pid ? 1 : 0));
  job.RunContainer(kFirst, kReady);
  job.RunContainer(kSecond, "sleep 4; echo later; while true; do sleep 0.05; done");
  // With its agent it has no end.
  REQUIRE(job.Logs(kSecond, "later"));

  job.KillAgent();

  CHECK(Eventually([&] { return Naming(job.home()).empty(); }));
  for (const shim::PidFile& init : inits) {
    CHECK(Eventually([&] { return shim::IsAlive(init) == shim::Alive::kNo; }));
  }
}

TEST_CASE("what one id cannot have is refused by name") {
  AgentLab lab;
  Job job(lab);
  job.engine = GENERATE("crun", "ch-run");
  job.Start();
  REQUIRE(Eventually([&] { return lab.events.complete_reports() > 0; }));
  Command run = RunSandboxCommand();
  auto* security =
      run.mutable_run_sandbox()->mutable_config()->mutable_linux()->mutable_security_context();
  security->mutable_namespace_options()->set_pid(runtime::v1::NODE);
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
