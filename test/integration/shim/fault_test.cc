// What goes wrong around a shim.
#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <memory>
#include <random>
#include <sstream>

#include "lab.h"
#include "shim/client.h"
#include "shim/pidfile.h"

namespace interlink::shim {
namespace {

TEST_CASE("what is not the protocol is refused and does not harm the shim") {
  Lab lab;
  TestContainer container(lab, "c", {.args = {"sleep", "1000"}});
  container.Start();
  const auto answer_to = [&container](const std::string& bytes) {
    Client client(container.directory());
    client.SendRaw(bytes);
    const Client::Got got = client.Next();
    ErrorAnswer answer;
    return got.type == FrameType::kError && answer.Decode(got.payload) ? answer.error : 0;
  };
  CHECK(answer_to("GET / HTTP/1.1\r\n\r\n") == EPROTO);
  CHECK(answer_to(std::string("\x14\0\0\0\xff\xff\xff\xff", 8)) == EPROTO);   // 4 GiB announced
  CHECK(answer_to(std::string("\x02\0\0\0\0\0\0\0", 8)) == EPROTO);           // not a request
  CHECK(answer_to(std::string("\x13\0\0\0\1\0\0\0x", 9)) == EINVAL);          // malformed signal
  CHECK(answer_to(std::string("\x11\0\0\0\0\0\0\0", 8)) == EINVAL);           // malformed exec
  CHECK(answer_to(std::string("\x11\0\0\0\4\0\0\0\4\0\0\0", 12)) == EINVAL);  // exec of nothing

  std::mt19937 random(7);  // NOLINT: the same bytes each time
  for (int round = 0; round < 200; ++round) {
    Client client(container.directory());
    std::string bytes(1 + random() % 200, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random());
    // The peer may have hung up before all was sent.
    static_cast<void>(send(client.fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL));
  }
  CHECK(container.State().phase == Phase::kRunning);
  CHECK(container.Signal(SIGKILL) == 0);
  CHECK(container.Exit().code == 137);
  container.Remove();
}

TEST_CASE("too many connections are refused, the others go on") {
  Lab lab;
  TestContainer container(lab, "c", {.args = {"sleep", "1000"}});
  container.Start();
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 128; ++i) {
    clients.push_back(std::make_unique<Client>(container.directory()));
    clients.back()->Send(FrameType::kWatch);
    REQUIRE(clients.back()->Next().type == FrameType::kOk);
  }
  {
    Client more(container.directory());
    const Client::Got got = more.Next();
    ErrorAnswer answer;
    REQUIRE(got.type == FrameType::kError);
    REQUIRE(answer.Decode(got.payload));
    CHECK(answer.error == EMFILE);
  }
  clients.pop_back();
  CHECK(Eventually([&container] {
    Client client(container.directory());
    client.Send(FrameType::kState);
    return client.Next().type == FrameType::kStateAnswer;
  }));
  clients.pop_back();
  REQUIRE(Eventually([&container] {
    Client client(container.directory());
    char bytes[SignalRequest::kSize];
    client.Send(FrameType::kSignal,
                {bytes, SignalRequest{SIGKILL, false}.Encode(bytes, sizeof bytes)});
    return client.Next().type == FrameType::kOk;
  }));
  CHECK(clients.front()->Next().type == FrameType::kExited);
  clients.clear();
  container.Remove();
}

// 128 sessions took every connection: the request that was to stop the container was refused.
TEST_CASE("a container that is full of sessions can be stopped") {
  Lab lab;
  TestContainer container(lab, "c", {.args = {"sleep", "1000"}});
  container.Start();
  std::vector<std::unique_ptr<Client>> clients;
  SessionRequest request;
  request.out = true;
  char bytes[256];
  const std::string payload(bytes, request.Encode(bytes, sizeof bytes));
  bool refused = false;
  while (clients.size() < 128 && !refused) {
    clients.push_back(std::make_unique<Client>(container.directory()));
    clients.back()->Send(FrameType::kAttach, payload);
    const Client::Got got = clients.back()->Next();
    ErrorAnswer answer;
    refused = got.type == FrameType::kError && answer.Decode(got.payload) && answer.error == EMFILE;
  }
  CHECK(refused);

  CHECK(container.Signal(SIGKILL) == 0);
  CHECK(container.Exit().code == 137);
  clients.clear();
  container.Remove();
}

// A small file system on a container's directory.
class SmallDisk {
 public:
  explicit SmallDisk(const std::string& path) : path_(path) {
    REQUIRE(mount("tmpfs", path.c_str(), "tmpfs", 0, "size=256k") == 0);
  }
  ~SmallDisk() { umount2(path_.c_str(), MNT_DETACH); }

 private:
  std::string path_;
};

TEST_CASE("a full disk costs log lines, never the container or its exit") {
  const bool has_reserve = GENERATE(true, false);
  Lab lab;
  TestContainer container(
      lab, "c",
      {.args = {"sh", "-c", "read a; seq 20000; read a; echo after; read a; exit 5"},
       .flags = {"--stdin"}});
  const SmallDisk disk(container.directory());
  container.Start();
  Client client(container.directory());
  client.SendMessage(FrameType::kAttach, SessionRequest{false, true, true, true, false, {}});
  REQUIRE(client.Next().type == FrameType::kOk);
  const std::string ballast = container.directory() + "/ballast";
  const int fd = open(ballast.c_str(), O_WRONLY | O_CREAT, 0600);
  REQUIRE(fallocate(fd, 0, 0, 180 * 1024) == 0);
  close(fd);

  client.Send(FrameType::kStdin, "go\n");
  for (std::string seen; seen.find("\n20000\n") == std::string::npos;)
    seen += client.Next().payload;
  unlink(ballast.c_str());
  client.Send(FrameType::kStdin, "go\n");
  CHECK(client.Next().payload == "after\n");

  CHECK(container.Log("stderr").find("bytes of log were lost before this line") !=
        std::string::npos);
  const std::string log = container.Log("stdout");
  CHECK(log.substr(0, 6) == "1\n2\n3\n");
  CHECK(log.substr(log.size() - 6) == "after\n");

  // Without its reserve not even the exit record fits now.
  if (!has_reserve) REQUIRE(unlink((container.directory() + "/exit.tmp").c_str()) == 0);
  const int all = open(ballast.c_str(), O_WRONLY | O_CREAT, 0600);
  const std::string block(4096, 'x');
  while (write(all, block.data(), block.size()) > 0) {
  }
  close(all);
  client.Send(FrameType::kStdin, "go\n");
  if (!has_reserve) {
    REQUIRE(Eventually([&container] { return container.State().phase == Phase::kExited; }));
    CHECK(container.State().code == 5);
    CHECK(access((container.directory() + "/exit").c_str(), F_OK) != 0);
    unlink(ballast.c_str());
  }
  const ExitRecord record = container.Exit();
  CHECK(record.code == 5);
  CHECK(ReadSession(client).code == 5);

  PidFile shim;
  REQUIRE(ParsePidFile(ReadAll(container.directory() + "/shim.pid"), shim));
  CHECK(Eventually([&shim] { return IsAlive(shim) == Alive::kNo; }));
  CHECK(lab.Oci({"delete", "--force", container.id()}).code == 0);
}

TEST_CASE("a killed shim leaves no exit record, a free lock and a container to clean up") {
  Lab lab;
  TestContainer container(lab, "c", {.args = {"sleep", "1000"}});
  container.Start();
  PidFile shim;
  PidFile init;
  REQUIRE(ParsePidFile(ReadAll(container.directory() + "/shim.pid"), shim));
  REQUIRE(ParsePidFile(ReadAll(container.directory() + "/pid"), init));
  kill(shim.pid, SIGTERM);  // does nothing
  CHECK(container.State().phase == Phase::kRunning);

  kill(shim.pid, SIGKILL);

  REQUIRE(Eventually([&shim] { return IsAlive(shim) == Alive::kNo; }));
  int fd = -1;
  // A killed process may close its last descriptors after it looks dead.
  CHECK(Eventually([&container, &fd] {
    return ConnectControl(container.directory().c_str(), fd) == ECONNREFUSED;
  }));
  CHECK(access((container.directory() + "/exit").c_str(), F_OK) != 0);
  CHECK(IsAlive(init) == Alive::kYes);
  CHECK(lab.Oci({"delete", "--force", container.id()}).code == 0);
  CHECK(Eventually([&init] { return IsAlive(init) == Alive::kNo; }));
}

// crun start waited for a reader of its fifo that had died, the shim waited for crun: no record
// came.
TEST_CASE("a container whose first process dies while it is started has ended") {
  Lab lab;
  const std::string runtime = lab.path() + "/runtime";
  const std::string pid = lab.path() + "/pid";
  WriteAll(runtime, "#!/bin/sh\ncase \" $* \" in *\" start \"*) kill -9 $(cat " + pid +
                        "); exec sleep 1000;; esac\nexec crun \"$@\"\n");
  REQUIRE(chmod(runtime.c_str(), 0755) == 0);
  TestContainer container(lab, "c", {.args = {"sleep", "1000"}, .runtime = runtime});
  REQUIRE(container.Run().code == 0);
  WriteAll(pid, std::to_string(container.Pid()));
  const int64_t before = MonotonicMs();

  std::string text;
  CHECK(container.Ask(FrameType::kStart, "", &text) == ESRCH);

  CHECK(text == "the container has ended");
  const ExitRecord record = container.Exit();
  CHECK(record.code == 137);
  CHECK(record.started_ns == 0);
  CHECK(MonotonicMs() - before < 20'000);  // else the command's 1000 s
  container.Remove();
}

TEST_CASE("an idle shim is small") {
  Lab lab;
  TestContainer container(lab, "c", {.args = {"sh", "-c", "echo hello; sleep 1000"}});
  container.Start();
  REQUIRE(Eventually([&container] { return container.State().log_size > 0; }));
  std::istringstream rollup(
      ReadAll("/proc/" + std::to_string(container.ShimPid()) + "/smaps_rollup"));
  size_t kib = 0;
  for (std::string word; rollup >> word;) {
    // Of its own: the program and libc are pages of files, one copy for all shims.
    if (word == "Anonymous:") rollup >> kib;
  }
  WARN("private memory of a shim: " << kib << " KiB");
  CHECK(kib > 0);
#ifndef INTERLINK_SANITIZED
  CHECK(kib <= 200);
#endif
  CHECK(container.Signal(SIGKILL) == 0);
  container.Exit();
  container.Remove();
}

}  // namespace
}  // namespace interlink::shim
