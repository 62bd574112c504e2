// Exec and attach over WebSocket, through the whole server, with a site that the test plays.
#include <atomic>
#include <thread>

#include "streaming_lab.h"

namespace interlink::streaming {
namespace {

using Kind = node::StreamRequest::Kind;
using Output = node::SessionOutput;
using test::Eventually;
using test::StreamingLab;
using test::WebSocketClient;

const std::string kStatusChannel = "\x03";
const std::string kSuccess = R"({"metadata":{},"status":"Success"})";

struct Conversation {
  explicit Conversation(StreamingLab& lab, const std::string& protocol = "v5.channel.k8s.io",
                        const node::StreamRequest& request = StreamingLab::Exec())
      : script(lab.sessions.Next()), client(lab.server->port(), lab.PathFor(request), protocol) {
    INFO(client.head);
    REQUIRE(client.head.starts_with("HTTP/1.1 101"));
    // The older protocols begin with an empty message.
    if (protocol != "v5.channel.k8s.io") CHECK(client.Read().payload.size() == 1);
  }
  std::shared_ptr<test::Script> script;
  WebSocketClient client;
};

TEST_CASE("both outputs come on their channels, then the end, then the close") {
  StreamingLab lab;
  Conversation talk(lab);
  talk.script->Say("out1");
  talk.script->Say("err1", Output::Channel::kStderr);
  talk.script->Say("out2");
  talk.script->EndOutput();
  talk.script->EndOutput(Output::Channel::kStderr);
  talk.script->Exit(0);

  auto channels = talk.client.ReadToClose();

  CHECK(channels['\x01'] == "out1out2");
  CHECK(channels['\x02'] == "err1");
  CHECK(channels['\x03'] == kSuccess);
  CHECK(talk.client.order == "\x01\x02\x01\x03");
  CHECK(talk.client.close_code == 1000);
  CHECK(talk.client.AtEnd());
}

TEST_CASE("a failure is told in the words of the protocol") {
  const auto [protocol, status] = GENERATE(table<std::string, std::string>({
      {"v5.channel.k8s.io", "\"message\":\"3\""},
      {"v4.channel.k8s.io", "\"reason\":\"NonZeroExitCode\""},
      {"channel.k8s.io", "command terminated with non-zero exit code: exit status 3"},
      {"", "command terminated with non-zero exit code: exit status 3"},
  }));
  StreamingLab lab;
  Conversation talk(lab, protocol);
  talk.script->Exit(3);
  CHECK_THAT(talk.client.ReadToClose()['\x03'], Catch::Contains(status));
}

TEST_CASE("the older protocols say nothing on success") {
  StreamingLab lab;
  Conversation talk(lab, "channel.k8s.io");
  talk.script->Say("x");
  talk.script->Exit(0);
  auto channels = talk.client.ReadToClose();
  CHECK(channels.size() == 1);
  CHECK(channels['\x01'] == "x");
  CHECK(talk.client.close_code == 1000);
}

TEST_CASE("stdin reaches the command, and its end where the protocol has one") {
  StreamingLab lab;
  Conversation talk(lab);
  talk.client.SendTo('\0', "hello ");
  talk.client.SendTo('\0', "");
  talk.client.SendTo('\0', "world");
  talk.client.SendTo('\xff', std::string(1, '\x04'));  // the end of another channel
  talk.client.SendTo('\xff', std::string(1, '\0'));
  talk.client.SendTo('\0', "too late");
  talk.client.Send(WebSocketClient::kPing, "p");

  // The ping is answered after what came before it was taken.
  CHECK(talk.client.Read().opcode == WebSocketClient::kPong);
  CHECK(Eventually([&] { return talk.script->input_ended(); }));
  CHECK(talk.script->input() == "hello world");
}

TEST_CASE("text frames in base64 carry any byte") {
  const std::string protocol = GENERATE("v4.base64.channel.k8s.io", "base64.channel.k8s.io");
  StreamingLab lab;
  const auto script = lab.sessions.Next();
  WebSocketClient client(lab.server->port(), lab.PathFor(StreamingLab::Exec()), protocol);
  CHECK(client.Read().payload == "1");
  client.Send(WebSocketClient::kText, "0AP8=");

  CHECK(Eventually([&] { return script->input() == std::string("\0\xff", 2); }));
  script->Say(std::string("\xff\0", 2));
  const auto frame = client.Read();
  CHECK(frame.opcode == WebSocketClient::kText);
  CHECK(frame.payload == "1/wA=");
  script->Exit(1);
  CHECK(client.ReadToClose().contains('3'));
}

TEST_CASE("a terminal's sizes are handed on, and only a terminal's") {
  StreamingLab lab;
  node::StreamRequest request = StreamingLab::Exec();
  request.tty = true;
  Conversation talk(lab, "v4.channel.k8s.io", request);
  talk.client.SendTo('\x04', R"({"Width":80,"Height":24})");
  talk.client.SendTo('\x04', "{\"Width\":81,\"Height\":25}\n");
  CHECK(Eventually([&] { return talk.script->sizes().size() == 2; }));
  CHECK(talk.script->sizes().back() == std::pair<uint16_t, uint16_t>(81, 25));
  // A terminal has one output.
  talk.script->Say("one", Output::Channel::kStderr);
  talk.script->Say("two");
  talk.script->Exit(0);
  auto channels = talk.client.ReadToClose();
  CHECK(channels['\x01'] == "two");
  CHECK_FALSE(channels.contains('\x02'));

  Conversation plain(lab);
  plain.client.SendTo('\x04', R"({"Width":80,"Height":24})");
  plain.client.SendTo('\0', "x");
  CHECK(Eventually([&] { return plain.script->input() == "x"; }));
  CHECK(plain.script->sizes().empty());
}

TEST_CASE("a message of very many sizes is its last one, and keeps nobody waiting") {
  StreamingLab lab;
  node::StreamRequest request = StreamingLab::Exec();
  request.tty = true;
  Conversation talk(lab, "v4.channel.k8s.io", request);
  const std::string last = R"({"Width":81,"Height":25})";
  std::string many;
  while (many.size() < (1U << 20U) - 100) many += "{}";
  const auto begun = std::chrono::steady_clock::now();

  talk.client.SendTo('\x04', many + last);
  talk.client.SendTo('\0', "typed");

  CHECK(Eventually([&] { return talk.script->input() == "typed"; }));
  CHECK(std::chrono::steady_clock::now() - begun < std::chrono::seconds(5));
  REQUIRE(talk.script->sizes().size() == 1);
  CHECK(talk.script->sizes().back() == std::pair<uint16_t, uint16_t>(81, 25));
}

TEST_CASE("streams that were not asked for are neither taken nor sent") {
  StreamingLab lab;
  node::StreamRequest request = StreamingLab::Request(Kind::kAttach);
  request.in = request.err = false;
  Conversation talk(lab, "v5.channel.k8s.io", request);
  talk.client.SendTo('\0', "typed");
  talk.client.SendTo('\xff', std::string(1, '\0'));
  talk.script->Say("e", Output::Channel::kStderr);
  talk.script->Say("o");
  CHECK(talk.client.Read().payload == "\x01o");

  // The stdin of a container that goes on must not be closed by who never had it.
  CHECK_FALSE(talk.script->input_ended());
  CHECK(talk.script->input().empty());
}

TEST_CASE("a command that is not started is an error for the client") {
  StreamingLab lab;
  lab.sessions.RefuseWith(InvalidArgument("no such binary \"cot\""));
  WebSocketClient client(lab.server->port(), lab.PathFor(StreamingLab::Exec()),
                         "v5.channel.k8s.io");
  auto channels = client.ReadToClose();
  CHECK_THAT(channels['\x03'], Catch::Contains("\"reason\":\"InternalError\"") &&
                                   Catch::Contains("no such binary \\\"cot\\\"") &&
                                   Catch::Contains("\"code\":500"));
  CHECK(client.close_code == 1000);
}

TEST_CASE("a lost session is an error, before and after output, never exit code 0") {
  const bool after = GENERATE(false, true);
  StreamingLab lab;
  Conversation talk(lab);
  if (after) {
    talk.script->Say("partial");
    talk.script->EndOutput();
  }
  talk.script->Lose(Unavailable("connection lost, the command may still run"));

  auto channels = talk.client.ReadToClose();

  CHECK(channels['\x01'] == (after ? "partial" : ""));
  CHECK_THAT(channels['\x03'], Catch::Contains("connection lost, the command may still run") &&
                                   !Catch::Contains("Success"));
  CHECK(Eventually([&] { return talk.script->dead(); }));
}

TEST_CASE("a client that leaves ends its session") {
  StreamingLab lab({.tick = std::chrono::milliseconds(50)});
  SECTION("while the command runs") {
    Conversation talk(lab);
    talk.client.peer().Close();
    CHECK(Eventually([&] { return talk.script->cancelled() && talk.script->dead(); }));
  }
  SECTION("with a close frame") {
    Conversation talk(lab);
    talk.client.Send(WebSocketClient::kClose, "\x03\xe8");
    CHECK(Eventually([&] { return talk.script->dead(); }));
    CHECK(talk.client.Read().opcode == WebSocketClient::kClose);
    CHECK(talk.client.AtEnd());
  }
  SECTION("while it is being opened") {
    lab.sessions.Hold();
    const auto script = lab.sessions.Next();
    WebSocketClient client(lab.server->port(), lab.PathFor(StreamingLab::Exec()),
                           "v5.channel.k8s.io");
    REQUIRE(Eventually([&] { return lab.sessions.waiting(); }));
    client.peer().Close();
    // Nobody waits for the site any more.
    CHECK(Eventually([&] {
      return lab.metrics.Value("interlink_stream_sessions_total{exec,websocket,UNAVAILABLE}") == 1;
    }));
    lab.sessions.Release();
    CHECK(Eventually([&] { return script->dead(); }));
  }
  SECTION("while the command does not read its stdin") {
    Conversation talk(lab);
    talk.script->HoldWrites();
    for (int i = 0; i < 10; ++i) talk.client.SendTo('\0', std::string(10'000, 'x'));
    REQUIRE(Eventually([&] { return talk.script->held(); }));
    talk.client.peer().Close();
    CHECK(Eventually([&] { return talk.script->dead(); }));
  }
  SECTION("while it does not read the output") {
    Conversation talk(lab);
    talk.script->Flood(std::string(60'000, 'x'));
    size_t reads = 0;
    REQUIRE(Eventually([&] {
      return std::exchange(reads, talk.script->reads()) == talk.script->reads() && reads > 20;
    }));
    talk.client.peer().Close();
    CHECK(Eventually([&] { return talk.script->dead(); }));
  }
  CHECK(Eventually([&] { return lab.metrics.Value("interlink_stream_sessions_open{exec}") == 0; }));
}

TEST_CASE("a client that does not read holds the command back, and loses nothing") {
  StreamingLab lab;
  Conversation talk(lab);
  talk.script->Flood(std::string(64 * 1024, 'x'));
  size_t reads = 0;
  REQUIRE(Eventually([&] {
    return std::exchange(reads, talk.script->reads()) == talk.script->reads() && reads > 20;
  }));
  // What the kernel holds for both ends of a socket, and not more.
  CHECK(reads < 400);
  talk.script->Exit(7);

  auto channels = talk.client.ReadToClose();

  CHECK(channels['\x01'].size() == (talk.script->reads() - 1) * 64 * 1024);
  CHECK_THAT(channels['\x03'], Catch::Contains("\"message\":\"7\""));
  CHECK(talk.client.order.back() == '\x03');
}

TEST_CASE("a command that does not read its stdin holds the client back, not its output") {
  StreamingLab lab;
  Conversation talk(lab);
  talk.script->HoldWrites();
  const std::string block(60'000, 'i');
  std::atomic<size_t> sent = 0;
  std::jthread sender([&](const std::stop_token&) {
    for (int i = 0; i < 600; ++i) {
      if (!talk.client.SendTo('\0', block)) return;
      sent += block.size();
    }
  });
  size_t seen = 0;
  REQUIRE(Eventually([&] { return std::exchange(seen, sent) == sent && seen > 0; }));
  CHECK(sent < 600 * block.size());
  talk.script->Say("still here");
  CHECK(talk.client.Read().payload == "\x01still here");

  talk.script->TakeWrites();
  sender.join();
  CHECK(Eventually([&] { return talk.script->input().size() == 600 * block.size(); }));
}

TEST_CASE("a large message is handed on in pieces") {
  StreamingLab lab;
  Conversation talk(lab);
  std::string large;
  for (int i = 0; large.size() < 500'000; ++i) large += std::to_string(i);
  talk.client.SendTo('\0', large);
  CHECK(Eventually([&] { return talk.script->input().size() == large.size(); }));
  CHECK(talk.script->input() == large);
  CHECK(talk.script->largest_input() <= node::kMaxSessionMessage);
}

TEST_CASE("what breaks the protocol ends the session") {
  const auto [name, protocol, bytes] = GENERATE(table<std::string, std::string, std::string>({
      {"a frame that is too large", "v5.channel.k8s.io",
       std::string("\x82\xff\x00\x00\x00\x00\x00\x10\x00\x01", 10) + std::string(4, '\0')},
      {"not masked", "v5.channel.k8s.io", std::string("\x82\x02\x00x", 4)},
      {"not base64", "v4.base64.channel.k8s.io",
       WebSocketClient::FrameOf(WebSocketClient::kText, "0!!!!")},
      {"no channel", "v4.base64.channel.k8s.io",
       WebSocketClient::FrameOf(WebSocketClient::kText, "xZm9v")},
      {"a close of nothing", "v5.channel.k8s.io",
       WebSocketClient::FrameOf(WebSocketClient::kBinary, "\xff")},
  }));
  INFO(name);
  StreamingLab lab;
  Conversation talk(lab, protocol);
  talk.client.peer().Send(bytes);

  const auto frame = talk.client.Read();
  CHECK(frame.opcode == WebSocketClient::kClose);
  CHECK(frame.payload.substr(0, 2) == "\x03\xea");  // 1002
  CHECK(Eventually([&] { return talk.script->dead(); }));
  CHECK(talk.client.AtEnd());
}

TEST_CASE("a session where nothing happens ends after its time") {
  StreamingLab lab({.idle = std::chrono::milliseconds(300), .tick = std::chrono::milliseconds(50)});
  Conversation talk(lab);
  CHECK_THAT(talk.client.ReadToClose()['\x03'], Catch::Contains("nothing was sent either way"));
  CHECK(Eventually([&] { return talk.script->dead(); }));
}

TEST_CASE("what is sent after the session's end is dropped until the client closes") {
  StreamingLab lab;
  Conversation talk(lab);
  talk.script->RefuseWrites();
  for (int i = 0; i < 100; ++i) REQUIRE(talk.client.SendTo('\0', std::string(60'000, 'x')));
  talk.script->Say("last");
  talk.script->Exit(0);
  CHECK(talk.client.Read().payload == "\x01last");
  CHECK(talk.client.Read().payload == kStatusChannel + kSuccess);
  CHECK(talk.client.Read().opcode == WebSocketClient::kClose);
  // A late ping and late bytes must not reset the connection.
  for (int i = 0; i < 100; ++i) REQUIRE(talk.client.SendTo('\0', std::string(60'000, 'x')));
  talk.client.Send(WebSocketClient::kClose, "\x03\xe8");
  CHECK(talk.client.AtEnd());
  CHECK_FALSE(talk.client.peer().was_reset());
}

}  // namespace
}  // namespace interlink::streaming
