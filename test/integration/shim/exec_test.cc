// Commands in a running container.
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cerrno>

#include "lab.h"
#include "shim/client.h"
#include "shim/process_stat.h"

namespace interlink::shim {
namespace {

constexpr SessionRequest kOutput{.tty = false, .in = false, .out = true, .err = true};
constexpr SessionRequest kInput{.tty = false, .in = true, .out = true, .err = true};
constexpr SessionRequest kTerminal{.tty = true, .in = true, .out = true, .err = false};
constexpr SessionRequest kSync{
    .tty = false, .in = false, .out = true, .err = true, .kill_on_close = true};

// A container that does nothing, for commands.
class ExecFixture {
 public:
  ExecFixture() : container_(lab_, "c", {.args = {"sh", "-c", "sleep 1000; true"}}) {
    container_.Start();
    REQUIRE(Eventually([this] { return container_.Processes() == 2; }));
  }
  ~ExecFixture() {
    CHECK(container_.Signal(SIGKILL) == 0);
    container_.Exit();
    container_.Remove();
  }

 protected:
  Lab lab_;
  TestContainer container_;
};

TEST_CASE_METHOD(ExecFixture, "a command gives its output, its code, and nothing after that") {
  auto client = container_.Exec(kOutput, {"sh", "-c", "echo out; echo err >&2; exit 42"});
  const SessionEnd end = ReadSession(*client);
  CHECK(end.out == "out\n");
  CHECK(end.err == "err\n");
  CHECK(end.has_status);
  CHECK(end.code == 42);
  CHECK(container_.Log("stdout").empty());  // of the container, not of its commands
}

TEST_CASE_METHOD(ExecFixture, "many short commands each get their own code") {
  for (int code = 0; code < 30; ++code) {
    auto client = container_.Exec(kOutput, {"sh", "-c", "exit " + std::to_string(code)});
    const SessionEnd end = ReadSession(*client);
    REQUIRE(end.has_status);
    REQUIRE(end.code == code);
  }
}

TEST_CASE_METHOD(ExecFixture, "a command that cannot be started is an error in crun's words") {
  SessionRequest request = kOutput;
  const std::string path = container_.Process({"/no/such/program"});
  request.process = path;
  Client client(container_.directory());
  client.SendMessage(FrameType::kExec, request);
  const Client::Got got = client.Next();
  ErrorAnswer answer;
  REQUIRE(got.type == FrameType::kError);
  REQUIRE(answer.Decode(got.payload));
  CHECK(answer.error == EIO);
  CHECK(answer.text.find("/no/such/program") != std::string::npos);
  CHECK(client.Next().end);
}

TEST_CASE_METHOD(ExecFixture, "stdin reaches the command and is half-closed") {
  auto client = container_.Exec(kInput, {"cat"});
  std::string sent;
  for (int i = 0; i < 20; ++i) {
    const std::string part(10'000, static_cast<char>('a' + i));
    client->Send(FrameType::kStdin, part);
    sent += part;
  }
  client->Send(FrameType::kClose, kCloseStdin);

  const SessionEnd end = ReadSession(*client);

  CHECK(end.out == sent);
  CHECK(end.code == 0);
}

TEST_CASE_METHOD(ExecFixture, "output is lossless and in order for a slow reader") {
  auto client = container_.Exec(kOutput, {"seq", "1000000"});
  REQUIRE(Eventually([this] { return container_.Processes() == 3; }));
  CHECK(container_.State().sessions == 1);  // it waits for us; the shim does not

  const SessionEnd end = ReadSession(*client);

  std::string expected;
  for (int i = 1; i <= 1'000'000; ++i) expected += std::to_string(i) + "\n";
  CHECK(end.out == expected);
  CHECK(end.code == 0);
}

TEST_CASE_METHOD(ExecFixture, "a terminal echoes, has a size and ends its input") {
  auto client = container_.Exec(kTerminal, {"sh", "-c", "read line; stty size; cat; exit 5"});
  char size[WindowSize::kSize];
  client->Send(FrameType::kResize, {size, WindowSize{101, 33}.Encode(size, sizeof size)});
  client->Send(FrameType::kStdin, "go\nmore\n");
  client->Send(FrameType::kClose, kCloseStdin);

  const SessionEnd end = ReadSession(*client);

  CHECK(end.out.find("33 101") != std::string::npos);
  CHECK(end.out.find("more") != std::string::npos);
  CHECK(end.code == 5);
}

// The shim looked at the time in a loop for as long as nobody took the last bytes. What fits into a
// socket depends on the kernel and on the pieces: the command writes until nothing fits, and ends.
TEST_CASE_METHOD(ExecFixture, "the end of an output that nobody reads costs no time") {
  auto client =
      container_.Exec(kOutput, {"sh", "-c", "cat /dev/zero & sleep 2; kill $!; wait; exit 5"});
  REQUIRE(Eventually([this] { return container_.Processes() > 2; }));
  REQUIRE(Eventually([this] { return container_.Processes() == 2; }));
  CHECK(container_.State().sessions == 1);  // its last bytes wait for us
  const auto ticks = [this] {
    ProcessStat stat;
    REQUIRE(ReadProcessStat(container_.ShimPid(), stat));
    return stat.cpu_ticks;
  };
  const uint64_t before = ticks();

  poll(nullptr, 0, 1000);

  CHECK(ticks() - before <= 5);
  const SessionEnd end = ReadSession(*client);
  CHECK(end.out.size() > 65'536);  // more than a pipe
  CHECK(end.out.find_first_not_of('\0') == std::string::npos);
  CHECK(end.code == 5);
}

const std::vector<std::string> kTree{
    "sh", "-c", "sleep 1001 & setsid sleep 1002 & (sleep 1003 & sleep 1004) & echo up; sleep 1005"};

TEST_CASE_METHOD(ExecFixture, "a killed command leaves no process when its status comes") {
  auto client = container_.Exec(kSync, kTree);
  CHECK(client->Next().payload == "up\n");
  REQUIRE(Eventually([this] { return container_.Processes() >= 7; }));

  client->Send(FrameType::kKill);
  const SessionEnd end = ReadSession(*client);

  CHECK(end.code == 137);
  CHECK(end.signal == SIGKILL);
  CHECK(container_.Processes() == 2);
}

TEST_CASE_METHOD(ExecFixture, "a command dies with the client that asked for that") {
  auto client = container_.Exec(kSync, kTree);
  CHECK(client->Next().payload == "up\n");
  REQUIRE(Eventually([this] { return container_.Processes() >= 7; }));

  client.reset();

  CHECK(Eventually([this] { return container_.Processes() == 2; }));
  CHECK(Eventually([this] { return container_.State().sessions == 0; }));
}

TEST_CASE_METHOD(ExecFixture,
                 "an interactive command gets HUP and end of input when its client leaves") {
  auto client = container_.Exec(kInput, {"cat"});
  auto stubborn = container_.Exec(kInput, {"sh", "-c", "trap '' HUP; echo up; sleep 1000; true"});
  CHECK(stubborn->Next().payload == "up\n");
  client.reset();
  CHECK(Eventually([this] { return container_.State().sessions == 1; }));
  stubborn.reset();
  CHECK(container_.State().sessions == 1);
  CHECK(Eventually([this] { return container_.State().sessions == 0; }));  // after ten seconds
  CHECK(Eventually([this] { return container_.Processes() == 2; }));
}

TEST_CASE_METHOD(ExecFixture, "a command that leaves a process behind ends all the same") {
  const int64_t before = MonotonicMs();
  auto client = container_.Exec(kOutput, {"sh", "-c", "sleep 1000 & echo done; exit 4"});
  const SessionEnd end = ReadSession(*client);
  CHECK(end.out == "done\n");
  CHECK(end.code == 4);
  CHECK(MonotonicMs() - before < 20'000);
}

TEST_CASE("a container that is killed ends its sessions, its record is not held up") {
  Lab lab;
  TestContainer container(lab, "c", {.args = {"sleep", "1000"}});
  container.Start();
  auto client = container.Exec(kInput, {"sleep", "1000"});
  CHECK(container.Signal(SIGKILL) == 0);
  CHECK(container.Exit().code == 137);
  const SessionEnd end = ReadSession(*client);
  CHECK(end.has_status);
  CHECK(end.code == 137);
  container.Remove();
}

int ErrorOf(const Client::Got& got) {
  ErrorAnswer answer;
  REQUIRE(got.type == FrameType::kError);
  REQUIRE(answer.Decode(got.payload));
  CHECK(answer.text == "the container has ended");
  return answer.error;
}

// kubelet heard InvalidArgument "fail startup": the kernel had killed the command with its
// container before the runtime saw it start.
TEST_CASE("a container that dies while a command starts has ended, whatever the runtime says") {
  Lab lab;
  const std::string runtime = lab.path() + "/runtime";
  const std::string pid = lab.path() + "/pid";
  WriteAll(runtime, "#!/bin/sh\ncase \" $* \" in *\" exec \"*) kill -9 $(cat " + pid +
                        "); echo 'fail startup' >&2; exit 1;; esac\nexec crun \"$@\"\n");
  REQUIRE(chmod(runtime.c_str(), 0755) == 0);
  TestContainer container(lab, "c", {.args = {"sleep", "1000"}, .runtime = runtime});
  container.Start();
  WriteAll(pid, std::to_string(container.Pid()));
  SessionRequest request = kOutput;
  const std::string process = container.Process({"true"});
  request.process = process;
  Client client(container.directory());
  client.SendMessage(FrameType::kExec, request);

  CHECK(ErrorOf(client.Next()) == ESRCH);
  CHECK(container.Exit().signal == SIGKILL);
  container.Remove();
}

TEST_CASE("a command and the end of its container never make a wrong request") {
  Lab lab;
  for (int i = 0; i < 12; ++i) {
    TestContainer container(lab, "c" + std::to_string(i), {.args = {"sleep", "1000"}});
    container.Start();
    SessionRequest request = kOutput;
    const std::string process = container.Process({"sleep", "1001"});
    request.process = process;
    Client client(container.directory());
    client.SendMessage(FrameType::kExec, request);
    // Before the runtime starts, when it has put something into the container, and in between.
    for (int asked = 0; asked < 10 * i && i % 3 == 1; ++asked) container.State();
    if (i % 3 == 2) REQUIRE(Eventually([&] { return container.Processes() >= 2; }));
    CHECK(container.Signal(SIGKILL, i % 2 == 0) == 0);

    const Client::Got got = client.Next();

    if (got.type != FrameType::kOk) CHECK(ErrorOf(got) == ESRCH);
    CHECK(container.Exit().signal == SIGKILL);
    container.Remove();
  }
}

TEST_CASE("a container that was not started refuses commands") {
  Lab lab;
  TestContainer container(lab, "c", {.args = {"sleep", "1000"}});
  REQUIRE(container.Run().code == 0);
  SessionRequest request = kOutput;
  request.process = "relative.json";
  Client relative(container.directory());
  relative.SendMessage(FrameType::kExec, request);
  CHECK(relative.Next().type == FrameType::kError);
  CHECK(container.Signal(SIGKILL) == 0);
  container.Exit();
  container.Remove();
}

}  // namespace
}  // namespace interlink::shim
