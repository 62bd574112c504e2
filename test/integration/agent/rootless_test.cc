// The real interlink-agent as an ordinary user, with real containers, against a real hub.
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <fstream>

#include "rootless_job.h"
#include "support/eventually.h"

namespace interlink::test {
namespace {

using agent::v1::Command;
using State = sdk::Observation::State;

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
