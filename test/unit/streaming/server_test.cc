#include "streaming/server.h"

#include <future>
#include <thread>

#include "base/open_files.h"
#include "spdy_client.h"
#include "streaming_lab.h"
#include "support/certificates.h"
#include "support/temporary_folder.h"

namespace interlink::streaming {
namespace {

using Kind = node::StreamRequest::Kind;
using test::Eventually;
using test::RawPeer;
using test::SpdyClient;
using test::StreamingLab;
using test::WebSocketClient;

// The answer to a request that upgrades to WebSocket v4.
std::string Ask(uint16_t port, const std::string& path, const std::string& method = "GET") {
  RawPeer peer(port);
  peer.Send(method + " " + path +
            " HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            "Sec-WebSocket-Protocol: v4.channel.k8s.io\r\nContent-Length: 0\r\n\r\n");
  return peer.ReadUntil("\r\n\r\n");
}

TEST_CASE("an address is absolute and good for one use") {
  StreamingLab lab;
  const auto address = lab.server->AddressFor(StreamingLab::Exec());
  REQUIRE(address.ok());
  CHECK_THAT(*address, Catch::StartsWith("http://127.0.0.1:" + std::to_string(lab.server->port()) +
                                         "/exec/"));
  const std::string path = net::ParseUrl(*address)->target;
  lab.sessions.Next()->Exit(0);

  CHECK_THAT(Ask(lab.server->port(), path), Catch::StartsWith("HTTP/1.1 101"));
  CHECK_THAT(Ask(lab.server->port(), path), Catch::StartsWith("HTTP/1.1 404"));
}

TEST_CASE("the path says what is opened, whatever the query says") {
  StreamingLab lab;
  const auto [kind, path] = GENERATE(table<Kind, std::string>({
      {Kind::kExec, "/exec/"},
      {Kind::kAttach, "/attach/"},
  }));
  lab.sessions.Next()->Exit(0);
  const std::string target = lab.PathFor(StreamingLab::Request(kind));
  CHECK_THAT(target, Catch::StartsWith(path));
  CHECK_THAT(Ask(lab.server->port(), target + "?command=rm&tty=1"),
             Catch::StartsWith("HTTP/1.1 101"));
  REQUIRE(Eventually([&] { return lab.sessions.opened().size() == 1; }));
  const node::StreamRequest opened = lab.sessions.opened().front();
  CHECK(opened.kind == kind);
  CHECK(opened.container.str() == "container");
  CHECK_FALSE(opened.tty);
}

TEST_CASE("what is unknown, of another kind, or old gets 404 and opens nothing") {
  StreamingLab lab;
  const uint16_t port = lab.server->port();
  const std::string path = lab.PathFor(StreamingLab::Exec());
  const std::string token = path.substr(std::string("/exec/").size());

  CHECK_THAT(Ask(port, "/exec/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"), Catch::Contains(" 404 "));
  CHECK_THAT(Ask(port, "/exec/"), Catch::Contains(" 404 "));
  CHECK_THAT(Ask(port, "/attach/" + token), Catch::Contains(" 404 "));
  CHECK_THAT(Ask(port, "/portforward/" + token), Catch::Contains(" 404 "));
  CHECK_THAT(Ask(port, "/"), Catch::Contains(" 404 "));
  CHECK_THAT(Ask(port, path + "/x"), Catch::Contains(" 404 "));
  lab.clock.Advance(std::chrono::minutes(1));
  CHECK_THAT(Ask(port, path), Catch::Contains(" 404 "));
  CHECK(lab.sessions.opened().empty());
}

TEST_CASE("a request that cannot be served says why and leaves the address good") {
  StreamingLab lab;
  const uint16_t port = lab.server->port();
  const std::string path = lab.PathFor(StreamingLab::Exec());

  CHECK_THAT(Ask(port, path, "PUT"),
             Catch::Contains(" 405 ") && Catch::Contains("Allow: GET, POST"));
  RawPeer plain(port);
  plain.Send("GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n");
  CHECK_THAT(plain.ReadUntil("needed"), Catch::Contains(" 400 ") && Catch::Contains("SPDY/3.1"));
  RawPeer spdy(port);
  spdy.Send("POST " + path +
            " HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n"
            "X-Stream-Protocol-Version: v9\r\nContent-Length: 0\r\n\r\n");
  CHECK_THAT(spdy.ReadUntil("\r\n\r\n"),
             Catch::Contains(" 403 ") &&
                 Catch::Contains("X-Accepted-Stream-Protocol-Versions: v4.channel.k8s.io"));
  RawPeer body(port);
  body.Send("POST " + path + " HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello");
  CHECK_THAT(body.ReadUntil("\r\n\r\n"), Catch::Contains(" 413 "));

  lab.sessions.Next()->Exit(0);
  CHECK_THAT(Ask(port, path), Catch::Contains(" 101 "));
}

TEST_CASE("a handshake that is cut short opens nothing") {
  StreamingLab lab;
  const std::string path = lab.PathFor(StreamingLab::Exec());
  {
    RawPeer peer(lab.server->port());
    peer.Send("GET " + path + " HTTP/1.1\r\nHost: x\r\nUpgra");
    peer.FinishSending();
    CHECK_THAT(peer.ReadToEnd(), Catch::Contains(" 400 "));
  }
  lab.sessions.Next()->Exit(0);

  CHECK_THAT(Ask(lab.server->port(), path), Catch::Contains(" 101 "));
}

// A SPDY client after its upgrade.
SpdyClient Upgraded(StreamingLab& lab, const node::StreamRequest& request,
                    const std::string& protocol) {
  RawPeer peer(lab.server->port());
  peer.Send("POST " + lab.PathFor(request) +
            " HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n"
            "X-Stream-Protocol-Version: " +
            protocol + "\r\nContent-Length: 0\r\n\r\n");
  // Not one byte of SPDY comes with the answer.
  CHECK_THAT(peer.ReadUntil("\r\n\r\n"),
             Catch::StartsWith("HTTP/1.1 101") && Catch::EndsWith(protocol + "\r\n\r\n"));
  return SpdyClient(peer.Take());
}

TEST_CASE("SPDY is spoken at the same addresses: a command") {
  StreamingLab lab;
  const auto script = lab.sessions.Next();
  SpdyClient client = Upgraded(lab, StreamingLab::Exec(), "v4.channel.k8s.io");
  const uint32_t error = client.OpenType("error");
  const uint32_t in = client.OpenType("stdin");
  const uint32_t out = client.OpenType("stdout");
  const uint32_t err = client.OpenType("stderr");
  REQUIRE(client.UntilReplied(err));
  client.Data(in, "question", true);
  CHECK(Eventually([&] { return script->input() == "question" && script->input_ended(); }));
  script->Say("answer");
  script->Say("oops", node::SessionOutput::Channel::kStderr);
  script->Exit(4);

  client.ReadToEnd();

  CHECK(client.data[out] == "answer");
  CHECK(client.data[err] == "oops");
  CHECK_THAT(client.data[error], Catch::Contains("\"message\":\"4\""));
  CHECK(client.fins.contains(out));
  CHECK(client.closed);
  // Before the client has closed: the site is done with.
  CHECK(Eventually([&] { return script->dead(); }));
}

TEST_CASE("SPDY is spoken at the same addresses: a forwarded connection") {
  StreamingLab lab;
  const auto script = lab.sessions.Next();
  SpdyClient client =
      Upgraded(lab, StreamingLab::Request(Kind::kPortForward), "portforward.k8s.io");
  const uint32_t error =
      client.Open({{"streamtype", "error"}, {"port", "80"}, {"requestid", "0"}}, true);
  const uint32_t data = client.Open({{"streamtype", "data"}, {"port", "80"}, {"requestid", "0"}});
  client.Data(data, "GET", true);
  CHECK(Eventually([&] { return script->input() == "GET" && script->input_ended(); }));
  script->Say("200");
  script->EndOutput();
  CHECK(client.UntilFin(data));
  CHECK(client.UntilFin(error));
  CHECK(client.data[data] == "200");
  CHECK(client.data[error].empty());
  client.Close();
  CHECK(Eventually(
      [&] { return lab.metrics.Value("interlink_stream_sessions_open{port-forward}") == 0; }));
}

TEST_CASE("over the limit of sessions a client is told to come again, with the same address") {
  StreamingLab lab({.sessions = 1});
  const auto script = lab.sessions.Next();
  WebSocketClient first(lab.server->port(), lab.PathFor(StreamingLab::Exec()), "v4.channel.k8s.io");
  const std::string path = lab.PathFor(StreamingLab::Exec());

  CHECK_THAT(Ask(lab.server->port(), path),
             Catch::Contains(" 429 ") && Catch::Contains("Retry-After: 1\r\n"));

  script->Exit(0);
  first.ReadToClose();
  lab.sessions.Next()->Exit(0);
  CHECK(
      Eventually([&] { return Ask(lab.server->port(), path).find(" 101 ") != std::string::npos; }));
}

TEST_CASE("connections that ask for nothing are bounded, and do not shut others out for long") {
  StreamingLab lab({.sessions = 1});
  RaiseOpenFilesLimit(lab.log);
  std::vector<std::unique_ptr<RawPeer>> idle;
  for (int i = 0; i < 2000; ++i) idle.push_back(std::make_unique<RawPeer>(lab.server->port()));
  // Those over the bound are turned away at once.
  CHECK_THAT(idle.back()->ReadToEnd(), Catch::Contains(" 429 "));
  // The others hold their places only until they should have asked.
  lab.sessions.Next()->Exit(0);
  const std::string path = lab.PathFor(StreamingLab::Exec());
  CHECK(
      Eventually([&] { return Ask(lab.server->port(), path).find(" 101 ") != std::string::npos; }));
}

TEST_CASE("before Start and after Stop there are no addresses") {
  net::Io io;
  NullLog log;
  NullMetrics metrics;
  SystemClock clock;
  test::ScriptedSessions sessions;
  auto made = Server::Create({}, {io, log, metrics, clock});
  REQUIRE(made.ok());
  const auto& server = *made;
  CHECK(server->AddressFor(StreamingLab::Exec()).status().code() == Code::kUnavailable);

  server->Start(sessions);
  CHECK(server->AddressFor(StreamingLab::Exec()).ok());

  server->Stop(std::chrono::seconds(5));
  server->Stop(std::chrono::seconds(5));
  CHECK(server->AddressFor(StreamingLab::Exec()).status().code() == Code::kUnavailable);
}

TEST_CASE("an address that cannot be had is an error of Create") {
  net::Io io;
  NullLog log;
  NullMetrics metrics;
  SystemClock clock;
  CHECK(Server::Create({.address = "localhost"}, {io, log, metrics, clock}).status().code() ==
        Code::kInvalidArgument);
  auto first = Server::Create({}, {io, log, metrics, clock});
  REQUIRE(first.ok());
  CHECK(Server::Create({.port = (*first)->port()}, {io, log, metrics, clock}).status().code() ==
        Code::kUnavailable);
}

TEST_CASE("a thousand unused addresses are enough") {
  StreamingLab lab;
  for (int i = 0; i < 1000; ++i) REQUIRE(lab.server->AddressFor(StreamingLab::Exec()).ok());
  CHECK(lab.server->AddressFor(StreamingLab::Exec()).status().code() == Code::kResourceExhausted);
}

TEST_CASE("Stop tells the clients and ends their sessions") {
  StreamingLab lab;
  const auto script = lab.sessions.Next();
  WebSocketClient client(lab.server->port(), lab.PathFor(StreamingLab::Exec()),
                         "v4.channel.k8s.io");
  script->Say("before");
  REQUIRE(client.Read().payload == "\x01");
  REQUIRE(client.Read().payload ==
          "\x01"
          "before");
  std::jthread stop([&] { lab.server->Stop(std::chrono::seconds(20)); });

  auto channels = client.ReadToClose();

  CHECK_THAT(channels['\x03'], Catch::Contains("\"status\":\"Failure\"") &&
                                   Catch::Contains("interlink-cri is shutting down"));
  stop.join();
  CHECK(script->cancelled());
  CHECK(Eventually([&] { return script->dead(); }));
}

TEST_CASE("Stop does not wait for clients that do not read, nor for openings") {
  StreamingLab lab;
  const auto script = lab.sessions.Next();
  script->Flood(std::string(60'000, 'x'));
  WebSocketClient deaf(lab.server->port(), lab.PathFor(StreamingLab::Exec()), "v4.channel.k8s.io");
  size_t reads = 0;
  // The flood has come to a halt.
  REQUIRE(Eventually(
      [&] { return std::exchange(reads, script->reads()) == script->reads() && reads > 20; }));
  lab.sessions.Hold();
  WebSocketClient opening(lab.server->port(), lab.PathFor(StreamingLab::Exec()),
                          "v4.channel.k8s.io");
  REQUIRE(Eventually([&] { return lab.sessions.waiting(); }));

  const auto begun = std::chrono::steady_clock::now();
  lab.server->Stop(std::chrono::seconds(20));

  CHECK(std::chrono::steady_clock::now() - begun < std::chrono::seconds(10));
  CHECK(script->cancelled());
  lab.sessions.Release();
}

TEST_CASE("the log tells of sessions, but never their tokens or commands; metrics count them") {
  StreamingLab lab;
  node::StreamRequest request = StreamingLab::Exec();
  request.cmd = {"sh", "-c", "PASSWORD=hunter2"};
  const std::string path = lab.PathFor(request);
  const std::string token = path.substr(std::string("/exec/").size());
  Ask(lab.server->port(), "/attach/" + token);
  const auto script = lab.sessions.Next();
  script->Echo();
  {
    WebSocketClient client(lab.server->port(), path, "v5.channel.k8s.io");
    client.SendTo('\0', "12345");
    CHECK(client.Read().payload ==
          "\x01"
          "12345");
    CHECK(lab.metrics.Value("interlink_stream_sessions_open{exec}") == 1);
    client.SendTo('\xff', std::string(1, '\0'));
    CHECK_THAT(client.ReadToClose()['\x03'], Catch::Contains("Success"));
  }
  Ask(lab.server->port(), path);

  CHECK(Eventually([&] {
    return lab.metrics.Value("interlink_stream_sessions_total{exec,websocket,OK}") == 1 &&
           lab.log.Text().find("a streaming session has ended") != std::string::npos;
  }));
  CHECK(lab.metrics.Value("interlink_stream_sessions_open{exec}") == 0);
  CHECK(lab.metrics.Value("interlink_stream_bytes_total{in}") == 5);
  CHECK(lab.metrics.Value("interlink_stream_bytes_total{out}") == 5);
  CHECK_THAT(lab.log.Text(), Catch::Contains("kind=exec") &&
                                 Catch::Contains("container=container") &&
                                 Catch::Contains("status=404") && !Catch::Contains(token) &&
                                 !Catch::Contains("hunter2"));
}

// The first bytes that a TLS client gets for its request.
net::Awaitable<void> AskOverTls(net::Endpoint endpoint, std::string path,
                                boost::asio::any_io_executor strand, std::string* answer,
                                std::promise<void>* done) {
  const auto soon = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  auto connection = co_await net::Connect(strand, std::move(endpoint), soon);
  *answer = connection.status().ToString();
  if (connection.ok()) {
    const std::string request =
        "GET " + path +
        " HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    const Status sent = co_await (*connection)->Write(request, soon);
    std::array<char, 1024> buffer{};
    if (sent.ok()) {
      const auto n = co_await (*connection)->Read(buffer, soon);
      if (n.ok()) *answer = std::string(buffer.data(), *n);
    }
  }
  done->set_value();
}

TEST_CASE("with a certificate addresses are https") {
  const test::TemporaryFolder folder;
  test::CertificateAuthority authority(folder.path(), "ca");
  const auto files =
      authority.Issue("server", {.common_name = "node", .alternative_names = "IP:127.0.0.1"});
  auto tls = net::TlsContext::Server({files.cert, files.key, ""}, net::ClientAuth::kNone);
  INFO(tls.status().ToString());
  REQUIRE(tls.ok());
  auto trust = net::TlsContext::Client({"", "", authority.ca_file()});
  REQUIRE(trust.ok());
  net::Io io;
  NullLog log;
  NullMetrics metrics;
  SystemClock clock;
  test::ScriptedSessions sessions;
  auto made = Server::Create({.tls = *tls}, {io, log, metrics, clock});
  REQUIRE(made.ok());
  (*made)->Start(sessions);
  sessions.Next()->Exit(0);
  const auto address = (*made)->AddressFor(StreamingLab::Exec());
  REQUIRE(address.ok());
  CHECK_THAT(*address, Catch::StartsWith("https://127.0.0.1:"));

  std::string answer;
  std::promise<void> done;
  const auto strand = io.Strand();
  net::Io::Spawn(strand, AskOverTls({"127.0.0.1", (*made)->port(), "", *trust},
                                    net::ParseUrl(*address)->target, strand, &answer, &done));
  REQUIRE(done.get_future().wait_for(std::chrono::seconds(30)) == std::future_status::ready);
  CHECK_THAT(answer, Catch::StartsWith("HTTP/1.1 101"));
  (*made)->Stop(std::chrono::seconds(5));
  io.Stop();  // before what its coroutines use
}

}  // namespace
}  // namespace interlink::streaming
