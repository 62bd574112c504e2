// Port-forward over WebSocket, through the whole server, with a pod that the test plays.
#include "spdy_client.h"
#include "streaming/channels.h"
#include "streaming_lab.h"

namespace interlink::streaming {
namespace {

using Kind = node::StreamRequest::Kind;
using test::Eventually;
using test::StreamingLab;
using test::WebSocketClient;

node::StreamRequest Forward(std::vector<uint16_t> ports) {
  node::StreamRequest request = StreamingLab::Request(Kind::kPortForward);
  request.ports = std::move(ports);
  return request;
}

TEST_CASE("each port has two channels that begin with its number") {
  StreamingLab lab;
  const auto first = lab.sessions.Next();
  const auto second = lab.sessions.Next();
  WebSocketClient client(lab.server->port(), lab.PathFor(Forward({80, 8443})), "v4.channel.k8s.io");

  CHECK(client.Read().payload == std::string("\0\x50\0", 3));
  CHECK(client.Read().payload == std::string("\x01\x50\0", 3));
  CHECK(client.Read().payload == std::string("\x02\xfb\x20", 3));
  CHECK(client.Read().payload == std::string("\x03\xfb\x20", 3));
  REQUIRE(Eventually([&] { return lab.sessions.dialled().size() == 2; }));
  CHECK(lab.sessions.dialled()[0] == std::pair<std::string, uint16_t>("sandbox", 80));
  CHECK(lab.sessions.dialled()[1] == std::pair<std::string, uint16_t>("sandbox", 8443));

  client.SendTo('\x02', "to the second");
  client.SendTo('\0', "to the first");
  client.SendTo('\x01', "nobody reads this");
  client.SendTo('\x09', "nor this");
  CHECK(Eventually(
      [&] { return first->input() == "to the first" && second->input() == "to the second"; }));
  second->Say("from the second");
  CHECK(client.Read().payload ==
        "\x02"
        "from the second");
}

TEST_CASE("a port where nothing listens is told on its error channel, and the other goes on") {
  StreamingLab lab;
  lab.sessions.RefuseWith(FailedPrecondition("nothing listens on port 81"));
  const auto script = lab.sessions.Next();
  WebSocketClient client(lab.server->port(), lab.PathFor(Forward({80, 81})), "v4.channel.k8s.io");
  for (int i = 0; i < 4; ++i) client.Read();

  CHECK(client.Read().payload ==
        "\x03"
        "nothing listens on port 81");
  script->Say("alive");
  CHECK(client.Read().payload == std::string(1, '\0') + "alive");
  script->EndOutput();
  auto channels = client.ReadToClose();
  CHECK(client.close_code == 1000);
  CHECK(channels.empty());
}

TEST_CASE("the pod's end comes after all of its bytes, and closes") {
  StreamingLab lab;
  const auto script = lab.sessions.Next();
  WebSocketClient client(lab.server->port(), lab.PathFor(Forward({80})), "");
  std::string sent;
  for (int i = 0; i < 100; ++i) {
    const std::string block(50'000, static_cast<char>('a' + i % 26));
    script->Say(block);
    sent += block;
  }
  script->EndOutput();

  auto channels = client.ReadToClose();

  CHECK(channels['\0'] == std::string("\x50\0", 2) + sent);
  CHECK(channels['\x01'] == std::string("\x50\0", 2));
  CHECK(client.close_code == 1000);
  CHECK(Eventually([&] { return script->dead(); }));
}

TEST_CASE("base64 is spoken too") {
  StreamingLab lab;
  const auto script = lab.sessions.Next();
  WebSocketClient client(lab.server->port(), lab.PathFor(Forward({80})),
                         "v4.base64.channel.k8s.io");
  CHECK(client.Read().payload == "0UAA=");
  CHECK(client.Read().payload == "1UAA=");
  client.Send(WebSocketClient::kText, "0Zm9v");
  CHECK(Eventually([&] { return script->input() == "foo"; }));
}

TEST_CASE("a client that leaves ends what was forwarded") {
  StreamingLab lab({.tick = std::chrono::milliseconds(50)});
  const auto script = lab.sessions.Next();
  WebSocketClient client(lab.server->port(), lab.PathFor(Forward({80})), "v4.channel.k8s.io");
  SECTION("while it is quiet") { REQUIRE(client.Read().opcode == 2); }
  SECTION("while the pod does not read") {
    script->HoldWrites();
    for (int i = 0; i < 100; ++i) client.SendTo('\0', std::string(10'000, 'x'));
    REQUIRE(Eventually([&] { return script->held(); }));
  }
  client.peer().Close();

  CHECK(Eventually([&] { return script->dead(); }));
  CHECK(Eventually(
      [&] { return lab.metrics.Value("interlink_stream_sessions_open{port-forward}") == 0; }));
}

TEST_CASE("a lost session is told on the error channel") {
  StreamingLab lab;
  const auto script = lab.sessions.Next();
  WebSocketClient client(lab.server->port(), lab.PathFor(Forward({80})), "v4.channel.k8s.io");
  script->Lose(Unavailable("connection lost: the site is out of reach"));
  CHECK_THAT(client.ReadToClose()['\x01'], Catch::Contains("connection lost"));
}

TEST_CASE("forwarded connections count against the limit of sessions") {
  StreamingLab lab({.sessions = 2});
  const auto script = lab.sessions.Next();
  WebSocketClient client(lab.server->port(), lab.PathFor(Forward({80, 81})), "v4.channel.k8s.io");
  for (int i = 0; i < 4; ++i) client.Read();
  CHECK_THAT(client.Read().payload,
             Catch::StartsWith("\x03") && Catch::Contains("CRI.StreamSessions"));
  script->Say("alive");
  CHECK(client.Read().payload == std::string(1, '\0') + "alive");
}

// SPDY in the messages of a WebSocket, as kubectl and crictl send it.
class TunnelClient {
 public:
  TunnelClient(uint16_t port, const std::string& path)
      : socket_(port, path, std::string(kTunnelProtocol)) {
    CHECK_THAT(socket_.head,
               Catch::Contains("Sec-WebSocket-Protocol: SPDY/3.1+portforward.k8s.io"));
  }
  uint32_t Open(const std::string& type, const std::string& request) {
    const uint32_t id = next_;
    next_ += 2;
    Send(encoder_
             .SynStream(id, {{"streamtype", type}, {"port", "80"}, {"requestid", request}}, false)
             .value());
    return id;
  }
  void Data(uint32_t stream, const std::string& bytes, bool fin = false) {
    std::string frame;
    AppendSpdyData(frame, stream, bytes, fin);
    // Cut anywhere: messages are no frames.
    Send(frame.substr(0, frame.size() / 2));
    Send(frame.substr(frame.size() / 2));
  }
  bool Until(const std::function<bool()>& condition) {
    while (!condition()) {
      const auto message = socket_.Read();
      if (message.opcode != WebSocketClient::kBinary) return false;
      std::string_view bytes = message.payload;
      while (true) {
        auto frame = decoder_.Next(bytes);
        REQUIRE(frame.ok());
        if (!frame->has_value()) break;
        if ((*frame)->kind == SpdyFrame::Kind::kData) data[(*frame)->stream] += (*frame)->data;
        if ((*frame)->fin) fins.insert((*frame)->stream);
      }
    }
    return true;
  }
  WebSocketClient& socket() { return socket_; }
  std::map<uint32_t, std::string> data;
  std::set<uint32_t> fins;

 private:
  void Send(const std::string& bytes) { socket_.Send(WebSocketClient::kBinary, bytes); }
  WebSocketClient socket_;
  SpdyEncoder encoder_;
  SpdyDecoder decoder_;
  uint32_t next_ = 1;
};

TEST_CASE("a tunnel carries SPDY's port-forward, many connections and half-closes") {
  StreamingLab lab;
  const auto first = lab.sessions.Next();
  const auto second = lab.sessions.Next();
  TunnelClient client(lab.server->port(), lab.PathFor(Forward({})));
  const uint32_t error1 = client.Open("error", "0");
  const uint32_t data1 = client.Open("data", "0");
  REQUIRE(Eventually([&] { return lab.sessions.dialled().size() == 1; }));
  client.Open("error", "1");
  const uint32_t data2 = client.Open("data", "1");
  REQUIRE(Eventually([&] { return lab.sessions.dialled().size() == 2; }));

  client.Data(data1, "question", true);
  CHECK(Eventually([&] { return first->input() == "question" && first->input_ended(); }));
  // The client has finished, the pod has not.
  first->Say("answer");
  first->EndOutput();
  CHECK(client.Until([&] { return client.fins.contains(data1) && client.fins.contains(error1); }));
  CHECK(client.data[data1] == "answer");
  CHECK(client.data[error1].empty());
  client.Data(data2, "still");
  CHECK(Eventually([&] { return second->input() == "still"; }));
  CHECK_FALSE(second->cancelled());

  client.socket().Send(WebSocketClient::kClose, "\x03\xe8");
  CHECK(Eventually([&] { return second->dead(); }));
}

}  // namespace
}  // namespace interlink::streaming
