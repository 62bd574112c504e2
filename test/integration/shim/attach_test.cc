// Clients attached to the container itself.
#include <signal.h>

#include <catch2/catch.hpp>

#include "lab.h"
#include "shim/client.h"

namespace interlink::shim {
namespace {

constexpr SessionRequest kAll{.tty = false, .in = true, .out = true, .err = true};
constexpr SessionRequest kWatching{.tty = false, .in = false, .out = true, .err = true};

void Attach(Client& client, const SessionRequest& request) {
  client.SendMessage(FrameType::kAttach, request);
  REQUIRE(client.Next().type == FrameType::kOk);
}

TEST_CASE("all attached clients see the output, the log has it too") {
  Lab lab;
  TestContainer container(lab, "c", {.args = {"cat"}, .flags = {"--stdin", "--stdin-once"}});
  container.Start();
  Client writer(container.directory());
  Client watcher(container.directory());
  Attach(writer, kAll);
  Attach(watcher, kWatching);

  writer.Send(FrameType::kStdin, "hello\n");
  CHECK(writer.Next().payload == "hello\n");
  CHECK(watcher.Next().payload == "hello\n");
  writer.Send(FrameType::kClose, kCloseStdin);

  CHECK(ReadSession(writer).code == 0);
  CHECK(ReadSession(watcher).has_status);
  CHECK(container.Exit().code == 0);
  CHECK(container.Log("stdout") == "hello\n");
  container.Remove();
}

TEST_CASE("without stdin-once the container's input outlives its clients") {
  Lab lab;
  TestContainer container(lab, "c", {.args = {"cat"}, .flags = {"--stdin"}});
  container.Start();
  {
    Client first(container.directory());
    Attach(first, kAll);
    first.Send(FrameType::kStdin, "one\n");
    first.Send(FrameType::kClose, kCloseStdin);
    CHECK(first.Next().payload == "one\n");
  }
  Client second(container.directory());
  Attach(second, kAll);
  second.Send(FrameType::kStdin, "two\n");
  CHECK(second.Next().payload == "two\n");
  CHECK(container.Signal(SIGKILL) == 0);
  CHECK(ReadSession(second).code == 137);
  container.Exit();
  container.Remove();
}

TEST_CASE("much input passes through a container that reads slowly") {
  Lab lab;
  TestContainer container(
      lab, "c", {.args = {"sh", "-c", "read go; cat"}, .flags = {"--stdin", "--stdin-once"}});
  container.Start();
  Client client(container.directory());
  Attach(client, kAll);
  std::string sent;
  client.Send(FrameType::kStdin, "go\n");
  for (int i = 0; i < 3; ++i) {
    const std::string part(50'000, static_cast<char>('a' + i));
    client.Send(FrameType::kStdin, part);
    sent += part;
  }
  client.Send(FrameType::kClose, kCloseStdin);
  CHECK(ReadSession(client).out == sent);
  CHECK(container.Exit().code == 0);
  container.Remove();
}

TEST_CASE("a client that does not read is dropped and holds up nobody") {
  Lab lab;
  TestContainer container(lab, "c", {.args = {"sh", "-c", "seq 500000; exit 6"}});
  REQUIRE(container.Run().code == 0);
  Client sleeper(container.directory());
  Attach(sleeper, kWatching);
  REQUIRE(container.Ask(FrameType::kStart) == 0);

  CHECK(container.Exit().code == 6);

  CHECK_FALSE(ReadSession(sleeper).has_status);
  std::string expected;
  for (int i = 1; i <= 500'000; ++i) expected += std::to_string(i) + "\n";
  CHECK(container.Log("stdout") == expected);
  container.Remove();
}

TEST_CASE("a container's terminal is attached to and resized") {
  Lab lab;
  TestContainer container(
      lab, "c",
      {.args = {"sh", "-c", "read line; stty size; exit 9"}, .tty = true, .flags = {"--stdin"}});
  container.Start();
  char size[WindowSize::kSize];
  const std::string payload(size, WindowSize{90, 20}.Encode(size, sizeof size));
  CHECK(container.Ask(FrameType::kResize, payload) == 0);
  Client client(container.directory());
  Attach(client, kAll);
  client.Send(FrameType::kStdin, "go\n");

  const SessionEnd end = ReadSession(client);

  CHECK(end.code == 9);
  CHECK(end.out.find("20 90") != std::string::npos);
  CHECK(container.Exit().code == 9);
  CHECK(container.Log("stdout").find("20 90") != std::string::npos);
  container.Remove();
}

TEST_CASE("an attached client resizes the terminal, and the last size counts") {
  Lab lab;
  TestContainer container(
      lab, "c", {.args = {"sh", "-c", "read line; stty size"}, .tty = true, .flags = {"--stdin"}});
  container.Start();
  Client first(container.directory());
  Client second(container.directory());
  Attach(first, kAll);
  Attach(second, kAll);
  char size[WindowSize::kSize];
  first.Send(FrameType::kResize, {size, WindowSize{90, 20}.Encode(size, sizeof size)});
  first.Send(FrameType::kResize, {size, WindowSize{91, 21}.Encode(size, sizeof size)});
  first.Send(FrameType::kStdin, "go\n");

  CHECK(ReadSession(second).out.find("21 91") != std::string::npos);
  CHECK(ReadSession(first).out.find("21 91") != std::string::npos);
  container.Exit();
  container.Remove();
}

TEST_CASE("with stdin-once the first client that ends its input ends the container's") {
  Lab lab;
  TestContainer container(lab, "c", {.args = {"cat"}, .flags = {"--stdin", "--stdin-once"}});
  container.Start();
  Client watcher(container.directory());
  Attach(watcher, kWatching);
  {
    Client first(container.directory());
    Attach(first, kAll);
    first.Send(FrameType::kStdin, "last words");
    CHECK(first.Next().payload == "last words");
  }  // it leaves without a word

  const SessionEnd end = ReadSession(watcher);
  CHECK(end.out == "last words");
  CHECK(end.code == 0);
  CHECK(container.Exit().code == 0);
  container.Remove();
}

TEST_CASE("a container without a terminal cannot be resized") {
  Lab lab;
  TestContainer container(lab, "c", {.args = {"sleep", "1000"}});
  container.Start();
  CHECK(container.Ask(FrameType::kResize, std::string(4, '\1')) == EINVAL);
  CHECK(container.Ask(FrameType::kResize, "bad") == EINVAL);
  CHECK(container.Signal(SIGKILL) == 0);
  container.Exit();
  container.Remove();
}

}  // namespace
}  // namespace interlink::shim
