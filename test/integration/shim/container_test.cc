// The life of a container.
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "lab.h"
#include "shim/client.h"
#include "shim/cri_log.h"
#include "shim/layout.h"

namespace interlink::shim {
namespace {

TEST_CASE("a container runs, logs both streams and leaves its exit code") {
  Lab lab;
  TestContainer container(lab, "c",
                          {.args = {"sh", "-c", "echo out; echo err >&2; printf end; exit 7"}});
  REQUIRE(container.Run().code == 0);
  CHECK(container.State().phase == Phase::kCreated);
  Client watch(container.directory());
  watch.Send(FrameType::kWatch);
  REQUIRE(watch.Next().type == FrameType::kOk);
  watch.SendMessage(FrameType::kArm, LogOffset{0});

  REQUIRE(container.Ask(FrameType::kStart) == 0);

  CHECK(watch.Next().type == FrameType::kLogGrew);
  CHECK(watch.Next().type == FrameType::kExited);
  CHECK(watch.Next().end);
  const ExitRecord record = container.Exit();  // durable before `exited` was told
  CHECK(record.code == 7);
  CHECK(record.signal == 0);
  CHECK(record.started_ns > 0);
  CHECK(record.finished_ns > record.started_ns);
  CHECK(record.log_end == ReadAll(container.directory() + "/log").size());
  CHECK(container.Log("stdout") == "out\nend");
  CHECK(container.Log("stderr") == "err\n");
  container.Remove();
}

TEST_CASE("a killed container says 137 and its signal") {
  Lab lab;
  TestContainer container(lab, "c", {.args = {"sleep", "1000"}});
  container.Start();
  CHECK(container.State().phase == Phase::kRunning);
  CHECK(container.Signal(SIGTERM) == 0);  // ignored: it is process 1 and has no handler
  CHECK(container.Signal(SIGKILL) == 0);

  const ExitRecord record = container.Exit();

  CHECK(record.code == 137);
  CHECK(record.signal == SIGKILL);
  CHECK(record.oom_kills == 0);
  container.Remove();
}

TEST_CASE("a container that nobody watches ends with its lease, and its record says why") {
  Lab lab;
  TestContainer container(lab, "c", {.args = {"sleep", "1000"}, .flags = {"--lease", "8"}});
  REQUIRE(container.Run().code == 0);
  if (GENERATE(true, false)) REQUIRE(container.Ask(FrameType::kStart) == 0);

  const ExitRecord record = container.Exit();

  CHECK(record.code == 137);
  CHECK(ReadAll(container.directory() + "/exit").find("lease") != std::string::npos);
  container.Remove();
}

// It may be silent all the time, as a computation is: nothing wakes its shim then.
TEST_CASE("a container outlives its lease while somebody watches, and by one more afterwards") {
  Lab lab;
  TestContainer container(lab, "c", {.args = {"sleep", "1000"}, .flags = {"--lease", "8"}});
  TestContainer clock(lab, "clock", {.args = {"sh", "-c", "sleep 10; echo late"}});
  REQUIRE(container.Run().code == 0);
  {
    Client watch(container.directory());
    watch.Send(FrameType::kWatch);
    REQUIRE(watch.Next().type == FrameType::kOk);
    REQUIRE(container.Ask(FrameType::kStart) == 0);
    clock.Start();
    REQUIRE(Eventually([&] { return clock.Log("stdout") == "late\n"; }));
  }

  const ExitRecord record = container.Exit();

  CHECK(record.code == 137);
  CHECK(record.finished_ns - record.started_ns >= 17'900'000'000);
  CHECK(ReadAll(container.directory() + "/exit").find("lease") != std::string::npos);
  container.Remove();
  clock.Remove();
}

TEST_CASE("a lease is a number of seconds") {
  Lab lab;
  const std::string lease = GENERATE(as<std::string>{}, "0", "x", "-1", "99999999999");
  const TestContainer container(lab, "c", {.args = {"true"}, .flags = {"--lease", lease}});

  CHECK(container.Run().code == 2);
}

TEST_CASE("a container that was never started leaves a record without a start") {
  Lab lab;
  TestContainer container(lab, "c", {.args = {"sleep", "1000"}});
  REQUIRE(container.Run().code == 0);
  CHECK(container.Signal(SIGKILL, true) == 0);
  const ExitRecord record = container.Exit();
  CHECK(record.code == 137);
  CHECK(record.started_ns == 0);
  container.Remove();
}

TEST_CASE("start is idempotent while it runs") {
  Lab lab;
  TestContainer container(lab, "c", {.args = {"sleep", "1000"}});
  container.Start();
  CHECK(container.Ask(FrameType::kStart) == 0);
  CHECK(container.Signal(SIGKILL) == 0);
  container.Exit();
  container.Remove();
}

TEST_CASE("lines longer than 16 KiB are cut and lose nothing") {
  Lab lab;
  TestContainer container(
      lab, "c",
      {.args = {"sh", "-c", "yes | head -c 100000 | tr '[:space:]' y | tr y x; echo; seq 20000"}});
  container.Start();

  CHECK(container.Exit().code == 0);

  std::string expected = std::string(100000, 'x') + "\n";
  for (int i = 1; i <= 20000; ++i) expected += std::to_string(i) + "\n";
  CHECK(container.Log("stdout") == expected);
  container.Remove();
}

TEST_CASE("a container outlives its starter, also one that is killed during the creation") {
  Lab lab;
  const std::string fifo = lab.path() + "/go";
  REQUIRE(mkfifo(fifo.c_str(), 0600) == 0);
  WriteAll(lab.path() + "/slow-crun", "#!/bin/sh\ncase \"$*\" in *\" create \"*) read line <" +
                                          fifo + ";; esac\nexec /usr/bin/crun \"$@\"\n");
  REQUIRE(chmod((lab.path() + "/slow-crun").c_str(), 0755) == 0);
  TestContainer container(
      lab, "c", {.args = {"sh", "-c", "echo alive; exit 3"}, .runtime = lab.path() + "/slow-crun"});
  const pid_t starter = StartProgram(container.RunCommandLine());
  const int go = open(fifo.c_str(), O_WRONLY);  // answers when the runtime reads
  CHECK(container.State().phase == Phase::kCreating);
  CHECK(container.Ask(FrameType::kStart) == EAGAIN);

  kill(starter, SIGKILL);
  REQUIRE(waitpid(starter, nullptr, 0) == starter);
  REQUIRE(write(go, "\n", 1) == 1);
  close(go);

  REQUIRE(Eventually([&container] { return container.State().phase == Phase::kCreated; }));
  CHECK(container.Ask(FrameType::kStart) == 0);
  CHECK(container.Exit().code == 3);
  CHECK(container.Log("stdout") == "alive\n");
  container.Remove();
}

TEST_CASE("a directory is used once and by one shim") {
  Lab lab;
  TestContainer container(lab, "c", {.args = {"sleep", "1000"}});
  container.Start();
  const Ran second = container.Run();
  CHECK(second.code == kCommandExists);
  CHECK(second.err == "interlink-shim: run: a shim lives in this directory\n");
  CHECK(container.State().phase == Phase::kRunning);
  CHECK(container.Signal(SIGKILL) == 0);
  container.Exit();
  container.Remove();

  CHECK(container.Run().code == kCommandExists);
}

TEST_CASE("a failed creation says why in the runtime's words and leaves nothing") {
  Lab lab;
  TestContainer container(lab, "c", {.args = {"/no/such/program"}});

  const Ran ran = container.Run();

  CHECK(ran.code == kCommandFailed);
  CHECK(ran.err.find("/no/such/program") != std::string::npos);
  int fd = -1;
  CHECK(ConnectControl(container.directory().c_str(), fd) == ENOENT);
  CHECK(access((container.directory() + "/pid").c_str(), F_OK) != 0);
  CHECK(access((container.directory() + "/exit").c_str(), F_OK) != 0);
  CHECK(CountLines("/proc/self/mountinfo", lab.path()) == 0);
  CHECK(container.Run().code == kCommandFailed);  // the lock is free again
}

TEST_CASE(
    "a program that the kernel refuses ends like one that failed, with the reason in its log") {
  Lab lab;
  WriteAll(lab.path() + "/rootfs/bin/text", "no program");
  REQUIRE(chmod((lab.path() + "/rootfs/bin/text").c_str(), 0755) == 0);
  TestContainer container(lab, "c", {.args = {"/bin/text"}});
  REQUIRE(container.Run().code == 0);
  static_cast<void>(container.Ask(FrameType::kStart));  // the runtime may see it or not
  CHECK(container.Exit().code != 0);
  CHECK(container.Log("stderr").find("Exec format error") != std::string::npos);
  container.Remove();
}

TEST_CASE("paths longer than a socket address work, for terminals and commands too") {
  Lab lab;
  TestContainer container(lab, std::string(200, 'c'),
                          {.args = {"sh", "-c", "stty size; sleep 1000"}, .tty = true});
  container.Start();
  auto client = container.Exec(SessionRequest{true, false, true, false, false, {}}, {"stty"});
  CHECK(ReadSession(*client).out.find("speed") != std::string::npos);
  CHECK(container.Signal(SIGKILL) == 0);
  CHECK(container.Exit().code == 137);
  container.Remove();
}

TEST_CASE("the shim enters the cgroup it is given, its container has its own") {
  Lab lab;
  const std::string pids = std::string(access("/sys/fs/cgroup/pids", F_OK) == 0 ? "/pids" : "");
  const std::string cgroup = "/sys/fs/cgroup" + pids + lab.cgroup();
  REQUIRE(mkdir(cgroup.c_str(), 0755) == 0);
  REQUIRE(mkdir((cgroup + "/shims").c_str(), 0755) == 0);
  TestContainer container(
      lab, "c",
      {.args = {"sleep", "1000"}, .flags = {"--cgroup-procs", cgroup + "/shims/cgroup.procs"}});
  container.Start();
  CHECK(ReadAll(cgroup + "/shims/cgroup.procs") == std::to_string(container.ShimPid()) + "\n");
  CHECK(container.Processes() == 1);
  CHECK(container.Signal(SIGKILL) == 0);
  container.Exit();
  container.Remove();
  CHECK(Eventually([&cgroup] { return rmdir((cgroup + "/shims").c_str()) == 0; }));
}

TEST_CASE("a cgroup that cannot be entered fails the creation") {
  Lab lab;
  TestContainer container(
      lab, "c", {.args = {"sleep", "1000"}, .flags = {"--cgroup-procs", "/no/such/file"}});
  const Ran ran = container.Run();
  CHECK(ran.code == kCommandFailed);
  CHECK(ran.err == "interlink-shim: /no/such/file: No such file or directory\n");
}

TEST_CASE("a container that the kernel kills for memory is known as such") {
  Lab lab;
  TestContainer container(
      lab, "c",
      {.args = {"sh", "-c", "x=aaaaaaaaaaaaaaaa; while :; do x=$x$x; done"}, .memory = 16 << 20});
  container.Start();

  const ExitRecord record = container.Exit();

  CHECK(record.code == 137);
  CHECK(record.oom_kills >= 1);
  container.Remove();
}

TEST_CASE("the host keeps its cgroups, and no mount of the runtime stays") {
  Lab lab;
  // Others may mount meanwhile: only what concerns us is compared.
  const auto mounts = [&lab] {
    return CountLines("/proc/self/mountinfo", lab.path()) * 1000 +
           CountLines("/proc/self/mountinfo", "/sys/fs/cgroup");
  };
  const size_t before = mounts();
  REQUIRE(before > 0);
  TestContainer container(lab, "c", {.args = {"sleep", "1000"}});
  container.Start();
  CHECK(mounts() == before);
  // The shim itself is in the host's mount namespace.
  char ours[64] = {};
  char its[64] = {};
  REQUIRE(readlink("/proc/self/ns/mnt", ours, sizeof ours - 1) > 0);
  const std::string ns = "/proc/" + std::to_string(container.ShimPid()) + "/ns/mnt";
  REQUIRE(readlink(ns.c_str(), its, sizeof its - 1) > 0);
  CHECK(std::string(ours) == its);
  CHECK(container.Signal(SIGKILL) == 0);
  container.Exit();
  container.Remove();
  CHECK(mounts() == before);
}

TEST_CASE("acknowledged log does not count for the limit") {
  Lab lab;
  TestContainer container(lab, "c",
                          {.args = {"seq", "100000"}, .flags = {"--log-limit", "1048576"}});
  WriteAll(container.directory() + "/log.ack", std::string("\0\0\0\x10\0\0\0\0", 8));
  container.Start();
  container.Exit();
  CHECK(access((container.directory() + "/log.start").c_str(), F_OK) != 0);
  CHECK(container.Log("stdout").size() == 588'895);
  container.Remove();
}

TEST_CASE("unacknowledged log is bounded and says where it begins") {
  Lab lab;
  TestContainer container(lab, "c",
                          {.args = {"sh", "-c", "seq 400000; cat"},
                           .flags = {"--stdin", "--stdin-once", "--log-limit", "1048576"}});
  container.Start();
  REQUIRE(Eventually([&container] { return container.State().log_size > 15'000'000; }));

  const std::string log = ReadAll(container.directory() + "/log");
  const int fd = open((container.directory() + "/log.start").c_str(), O_RDONLY);
  REQUIRE(fd >= 0);
  const uint64_t start = ReadLogOffset(fd);
  close(fd);
  CHECK(start + 1048576 + 1048576 > log.size());
  CHECK(log[start - 1] == '\n');
  LogLine line;
  CHECK(ParseLogLine(log.substr(start, log.find('\n', start) - start), line));
  struct stat info {};
  REQUIRE(stat((container.directory() + "/log").c_str(), &info) == 0);
  CHECK(info.st_blocks * 512 < 4 << 20);
  CHECK(container.Signal(SIGKILL) == 0);
  container.Exit();
  container.Remove();
}

}  // namespace
}  // namespace interlink::shim
