// Namespaces of sandboxes, and what happens inside of them.
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <cstring>
#include <filesystem>
#include <thread>

#include "lab.h"
#include "shim/layout.h"
#include "shim/pidfile.h"

namespace interlink::shim {
namespace {

Ran Shim(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), SHIM_BINARY);
  return RunProgram(arguments);
}

std::string MakeSandbox(const Lab& lab) {
  std::filesystem::create_directory(lab.path() + "/sandbox");
  return lab.path() + "/sandbox";
}

TEST_CASE(
    "namespaces are pinned with hostname, sysctls and loopback, and unpinned without a trace") {
  Lab lab;
  const std::string dir = MakeSandbox(lab);
  const Ran pinned =
      Shim({"pin", "--dir", dir, "--net", "--ipc", "--uts", "--hostname", "pod-1", "--sysctl",
            "net.ipv4.ip_unprivileged_port_start=17", "--sysctl", "kernel.shm_rmid_forced=1"});
  INFO(pinned.err);
  REQUIRE(pinned.code == 0);

  const auto inside = [&dir](const std::string& kind, const std::vector<std::string>& command) {
    std::vector<std::string> argv{"nsenter", "--" + kind + "=" + dir + "/" + kind};
    argv.insert(argv.end(), command.begin(), command.end());
    return RunProgram(argv).out;
  };
  CHECK(inside("uts", {"hostname"}) == "pod-1\n");
  CHECK(inside("net", {"cat", "/proc/sys/net/ipv4/ip_unprivileged_port_start"}) == "17\n");
  CHECK(inside("ipc", {"cat", "/proc/sys/kernel/shm_rmid_forced"}) == "1\n");
  CHECK(inside("net", {"cat", "/sys/class/net/lo/flags"}) != "");
  CHECK(inside("net", {"ip", "-o", "addr", "show", "lo"}).find("127.0.0.1/8") != std::string::npos);

  CHECK(Shim({"pin", "--dir", dir, "--net"}).code == kCommandExists);
  CHECK(Shim({"unpin", "--dir", dir}).code == 0);
  CHECK(Shim({"unpin", "--dir", dir}).code == 0);
  CHECK(Shim({"unpin", "--dir", dir + "/absent"}).code == 0);
  CHECK(std::filesystem::is_empty(dir));
  CHECK(CountLines("/proc/self/mountinfo", lab.path()) == 0);
}

TEST_CASE("a sysctl of the host cannot be reached") {
  Lab lab;
  const std::string dir = MakeSandbox(lab);
  const std::string setting =
      GENERATE(as<std::string>{}, "kernel.panic=1", "vm.swappiness=1", "net.ipv4.ip_forward=1",
               "net/../kernel/panic=1", "net..kernel=1", "/net/ipv4/ip_forward=1", "=1", "kernel",
               "kernel.hostname=x", "fs.mqueue/../file-max=1");
  const std::string before = ReadAll("/proc/sys/net/ipv4/ip_forward");

  const Ran ran = Shim({"pin", "--dir", dir, "--ipc", "--sysctl", setting});

  CHECK(ran.code == kCommandUsage);
  CHECK(std::filesystem::is_empty(dir));
  CHECK(ReadAll("/proc/sys/net/ipv4/ip_forward") == before);
}

TEST_CASE("a failed pin leaves nothing") {
  Lab lab;
  const std::string dir = MakeSandbox(lab);
  const Ran ran = Shim({"pin", "--dir", dir, "--net", "--pid", "--sysctl", "net.no.such=1"});
  CHECK(ran.code == kCommandFailed);
  CHECK(ran.err.find("/proc/sys/net/no/such") != std::string::npos);
  CHECK(std::filesystem::is_empty(dir));
  CHECK(CountLines("/proc/self/mountinfo", lab.path()) == 0);
}

TEST_CASE("a user namespace owns the namespaces that are pinned with it") {
  Lab lab;
  const std::string dir = MakeSandbox(lab);
  const Ran pinned =
      Shim({"pin", "--dir", dir, "--user", "200000:65536", "--net", "--ipc", "--uts", "--pid",
            "--hostname", "pod-1", "--sysctl", "net.ipv4.ip_unprivileged_port_start=17", "--sysctl",
            "kernel.shm_rmid_forced=1", "--sysctl", "fs.mqueue.msg_max=100", "--sysctl",
            "kernel.domainname=pods"});
  INFO(pinned.err);
  REQUIRE(pinned.code == 0);
  PidFile init;
  REQUIRE(ParsePidFile(ReadAll(dir + "/init.pid"), init));
  const std::string proc = "/proc/" + std::to_string(init.pid);
  CHECK(ReadAll(proc + "/uid_map") == "         0     200000      65536\n");
  CHECK(ReadAll(proc + "/gid_map") == "         0     200000      65536\n");
  CHECK(CountLines(proc + "/status", "Uid:\t200000\t200000\t200000\t200000") == 1);
  CHECK(CountLines(proc + "/status", "Gid:\t200000\t200000\t200000\t200000") == 1);
  CHECK(CountLines(proc + "/status", "Groups:\t ") == 1);
  CHECK(CountLines(proc + "/status", "CapEff:\t0000000000000000") == 1);
  CHECK(std::filesystem::is_empty(proc + "/root"));
  const auto inside = [&dir](const std::string& kind, const std::vector<std::string>& command) {
    std::vector<std::string> argv{"nsenter", "--" + kind + "=" + dir + "/" + kind};
    argv.insert(argv.end(), command.begin(), command.end());
    return RunProgram(argv).out;
  };
  CHECK(inside("uts", {"hostname"}) == "pod-1\n");
  CHECK(inside("uts", {"cat", "/proc/sys/kernel/domainname"}) == "pods\n");
  CHECK(inside("net", {"cat", "/proc/sys/net/ipv4/ip_unprivileged_port_start"}) == "17\n");
  CHECK(inside("ipc", {"cat", "/proc/sys/kernel/shm_rmid_forced"}) == "1\n");
  for (const char* kind : {"net", "ipc", "uts", "pid"}) {
    const int fd = open((dir + "/" + kind).c_str(), O_RDONLY | O_CLOEXEC);
    const int owner = ioctl(fd, NS_GET_USERNS);
    struct stat got {};
    struct stat wanted {};
    CHECK(fstat(owner, &got) == 0);
    CHECK(stat((dir + "/user").c_str(), &wanted) == 0);
    CHECK(got.st_ino == wanted.st_ino);
    close(owner);
    close(fd);
  }
  // A pid namespace that comes later is made in the same one.
  const std::string late = dir + "/late";
  std::filesystem::create_directory(late);
  const Ran again = Shim({"pin", "--dir", late, "--user-namespace", dir + "/user", "--pid"});
  INFO(again.err);
  CHECK(again.code == 0);
  PidFile second;
  REQUIRE(ParsePidFile(ReadAll(late + "/init.pid"), second));
  CHECK(ReadAll("/proc/" + std::to_string(second.pid) + "/uid_map") ==
        "         0     200000      65536\n");

  CHECK(Shim({"unpin", "--dir", late}).code == 0);
  std::filesystem::remove(late);
  CHECK(Shim({"unpin", "--dir", dir}).code == 0);
  CHECK(IsAlive(init) == Alive::kNo);
  CHECK(std::filesystem::is_empty(dir));
  CHECK(CountLines("/proc/self/mountinfo", lab.path()) == 0);
}

TEST_CASE("what is no range of ids makes no user namespace") {
  Lab lab;
  const std::string dir = MakeSandbox(lab);
  const std::string map = GENERATE(as<std::string>{}, "", "1000", "1000:", "1000:0", ":1", "-1:5",
                                   "0:4294967296", "4294967295:1", "4294967290:6", "1000:5x");
  const Ran ran = Shim({"pin", "--dir", dir, "--user", map, "--ipc"});
  CHECK(ran.code == kCommandUsage);
  CHECK(std::filesystem::is_empty(dir));
}

TEST_CASE("a failed pin with a user namespace leaves nothing") {
  Lab lab;
  const std::string dir = MakeSandbox(lab);
  const std::vector<std::string> wrong = GENERATE(
      std::vector<std::string>{"--user", "200000:65536", "--sysctl", "net.no.such=1"},
      std::vector<std::string>{"--user-namespace", "/no/such"},
      std::vector<std::string>{"--user", "200000:65536", "--cgroup-procs", "/no/such/procs"});
  std::vector<std::string> argv = {"pin", "--dir", dir, "--net", "--pid"};
  argv.insert(argv.end(), wrong.begin(), wrong.end());
  const Ran ran = Shim(argv);
  CHECK(ran.code == kCommandFailed);
  CHECK(ran.err.find("o such") != std::string::npos);
  CHECK(std::filesystem::is_empty(dir));
  CHECK(CountLines("/proc/self/mountinfo", lab.path()) == 0);
}

TEST_CASE("containers share the pid namespace of their pod, and take nothing of it along") {
  Lab lab;
  const std::string dir = MakeSandbox(lab);
  const Ran pinned = Shim({"pin", "--dir", dir, "--pid"});
  INFO(pinned.err);
  REQUIRE(pinned.code == 0);
  PidFile init;
  REQUIRE(ParsePidFile(ReadAll(dir + "/init.pid"), init));
  CHECK(IsAlive(init) == Alive::kYes);
  const std::string proc = "/proc/" + std::to_string(init.pid);
  CHECK(std::filesystem::is_empty(proc + "/root"));
  CHECK(CountLines(proc + "/status", "CapEff:\t0000000000000000") == 1);
  TestContainer first(
      lab, "first",
      {.args = {"sh", "-c", "kill -TERM 1; sleep 1000 & setsid sleep 1000 & exit 3"},
       .pid_namespace = dir + "/pid"});
  TestContainer second(lab, "second", {.args = {"sleep", "1000"}, .pid_namespace = dir + "/pid"});
  second.Start();
  first.Start();

  CHECK(first.Exit().code == 3);

  CHECK(first.Processes() == 0);  // its background processes did not outlive it
  CHECK(second.State().phase == Phase::kRunning);
  CHECK(IsAlive(init) == Alive::kYes);  // a TERM from inside does not end the pod
  first.Remove();
  CHECK(second.Signal(SIGKILL) == 0);
  second.Exit();
  second.Remove();
  CHECK(Shim({"unpin", "--dir", dir}).code == 0);
  CHECK(IsAlive(init) == Alive::kNo);
  CHECK(std::filesystem::is_empty(dir));
}

// Listens on 127.0.0.1 in the network namespace and echoes one connection.
class EchoInside {
 public:
  explicit EchoInside(const std::string& netns)
      : thread_([this, netns] {
          const int ns = open(netns.c_str(), O_RDONLY);
          if (setns(ns, CLONE_NEWNET) == 0) listener_ = socket(AF_INET, SOCK_STREAM, 0);
          close(ns);
          sockaddr_in address{};
          address.sin_family = AF_INET;
          address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
          socklen_t size = sizeof address;
          ::bind(listener_, reinterpret_cast<sockaddr*>(&address), size);
          listen(listener_, 1);
          getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
          port_ = ntohs(address.sin_port);
          const int peer = accept(listener_, nullptr, nullptr);
          char bytes[64];
          const ssize_t count = read(peer, bytes, sizeof bytes);
          if (count > 0 && write(peer, bytes, static_cast<size_t>(count)) < 0) port_ = -1;
          close(peer);
          close(listener_);
        }) {}
  ~EchoInside() { thread_.join(); }
  int port() const { return port_; }

 private:
  int listener_ = -1;  // the thread's
  std::atomic<int> port_{0};
  std::thread thread_;
};

int ReceiveDescriptor(int from) {
  char byte = 0;
  iovec part{&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  if (recvmsg(from, &message, MSG_DONTWAIT) != 1 || CMSG_FIRSTHDR(&message) == nullptr) return -1;
  int fd = -1;
  std::memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
  return fd;
}

TEST_CASE("a port inside of a sandbox is dialled from outside") {
  Lab lab;
  const std::string dir = MakeSandbox(lab);
  REQUIRE(Shim({"pin", "--dir", dir, "--net"}).code == 0);
  int pair[2];
  REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
  {
    EchoInside echo(dir + "/net");
    REQUIRE(Eventually([&echo] { return echo.port() > 0; }));
    const Ran ran = RunProgram(
        {SHIM_BINARY, "dial", "--netns", dir + "/net", "--port", std::to_string(echo.port())},
        pair[1]);
    INFO(ran.err);
    CHECK(ran.code == 0);
    const int fd = ReceiveDescriptor(pair[0]);
    REQUIRE(fd >= 0);
    REQUIRE(write(fd, "ping", 4) == 4);
    char bytes[8] = {};
    CHECK(read(fd, bytes, sizeof bytes) == 4);
    CHECK(std::string(bytes) == "ping");
    close(fd);
  }
  const Ran refused =
      RunProgram({SHIM_BINARY, "dial", "--netns", dir + "/net", "--port", "9"}, pair[1]);
  CHECK(refused.code == kCommandRefused);
  CHECK(refused.err == "interlink-shim: nothing listens on 127.0.0.1 and [::1], port 9\n");
  CHECK(ReceiveDescriptor(pair[0]) == -1);
  close(pair[0]);
  close(pair[1]);
  CHECK(Shim({"unpin", "--dir", dir}).code == 0);
}

TEST_CASE("wrong usage is said and changes nothing") {
  Lab lab;
  const auto arguments = GENERATE(
      as<std::vector<std::string>>{}, std::vector<std::string>{}, std::vector<std::string>{"fly"},
      std::vector<std::string>{"run", "--dir"},
      std::vector<std::string>{"run", "--", "/usr/bin/crun"},
      std::vector<std::string>{"run", "--dir", "/tmp", "--id", "x", "--bundle", "relative", "--",
                               "/x"},
      std::vector<std::string>{"run", "--dir", "/tmp", "--id", "--x", "--bundle", "/b", "--", "/x"},
      std::vector<std::string>{"oci", "crun"}, std::vector<std::string>{"pin", "--dir", "/tmp"},
      std::vector<std::string>{"pin", "--net"}, std::vector<std::string>{"unpin"},
      std::vector<std::string>{"dial", "--port", "0"},
      std::vector<std::string>{"dial", "--port", "x"});
  const Ran ran = Shim(arguments);
  CHECK(ran.code == kCommandUsage);
  CHECK(ran.err.substr(0, 16) == "interlink-shim: ");
}

}  // namespace
}  // namespace interlink::shim
