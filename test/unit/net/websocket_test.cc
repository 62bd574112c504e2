#include "net/websocket.h"

#include <catch2/catch.hpp>
#include <future>

#include "net/http_client.h"
#include "net/http_server.h"
#include "raw_peer.h"

namespace interlink::net {
namespace {

using test::RawPeer;

SteadyTime Soon() { return std::chrono::steady_clock::now() + std::chrono::seconds(20); }

// More than a socket takes at once.
Awaitable<void> SendFlood(std::shared_ptr<WebSocket> socket) {
  const std::string message(64 << 10U, 'f');
  Status status;
  for (int i = 0; i < 256 && status.ok(); ++i)
    status = co_await socket->Write(WebSocket::Kind::kText, "", message, Soon());
  if (status.ok()) status = co_await socket->Write(WebSocket::Kind::kText, "flo", "oded", Soon());
  if (!status.ok()) socket->Cancel();
}

// Sends back each message; tells `ended` why the reading ended. "flood": much more than it got.
Awaitable<void> EchoMessages(HttpRequest request, Responder& responder,
                             std::promise<Status>* ended) {
  const auto offered = WebSocket::Protocols(request);
  const auto accept = WebSocket::Accept(request, offered.empty() ? "" : offered.back());
  if (!accept.ok()) {
    HttpResponse refusal;
    refusal.status = 400;
    refusal.body = accept.status().message();
    const Status sent = co_await responder.Send(std::move(refusal));
    ended->set_value(sent.ok() ? accept.status() : sent);
    co_return;
  }
  std::string early;
  auto connection = responder.Hijack(&early);
  Status status = co_await connection->Write(*accept, Soon());
  auto socket = std::make_shared<WebSocket>(connection, std::move(early), WebSocket::Role::kServer);
  while (status.ok()) {
    auto message = co_await socket->Read(Soon());
    if (!message.ok()) {
      status = message.status();
    } else if (!message->has_value()) {
      status = CancelledError("closed");
    } else if (**message == "flood") {
      Io::Spawn(connection->executor(), SendFlood(socket));
    } else {
      status = co_await socket->Write(**message, Soon());
    }
  }
  ended->set_value(status);
}

struct SocketFixture {
  SocketFixture() {
    auto listener = Listener::Tcp(io, "127.0.0.1", 0, nullptr);
    REQUIRE(listener.ok());
    server =
        std::make_unique<HttpServer>(io, *std::move(listener), HttpServerOptions{},
                                     [this](HttpRequest request, Responder& responder) {
                                       return EchoMessages(std::move(request), responder, &ended);
                                     });
    server->Start();
  }
  ~SocketFixture() { server->Stop(std::chrono::seconds(1)); }
  Status Ended() {
    auto future = ended.get_future();
    REQUIRE(future.wait_for(std::chrono::seconds(20)) == std::future_status::ready);
    return future.get();
  }

  std::promise<Status> ended;
  Io io;
  std::unique_ptr<HttpServer> server;
};

const std::string kUpgrade =
    "GET /x HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

// A client's frame, masked with zeros.
std::string Frame(uint8_t first, const std::string& payload) {
  std::string bytes(1, static_cast<char>(first));
  bytes += static_cast<char>(0x80U | payload.size());
  bytes += std::string(4, '\0');
  return bytes + payload;
}

Awaitable<void> Converse(HttpClient* client, boost::asio::any_io_executor strand,
                         std::promise<Status>* done) {
  HttpRequest request;
  request.target = "/x";
  const auto upgraded = co_await client->Upgrade(strand, request, Soon());
  if (!upgraded.ok() || upgraded->socket == nullptr) {
    done->set_value(upgraded.ok() ? Unavailable("refused") : upgraded.status());
    co_return;
  }
  const auto socket = upgraded->socket;
  Status status;
  for (const size_t size : {size_t{0}, size_t{1}, size_t{125}, size_t{126}, size_t{65535},
                            size_t{65536}, WebSocket::kMaxMessage}) {
    const std::string message(size, 'm');
    status = co_await socket->Write(message, Soon());
    if (!status.ok()) break;
    auto answer = co_await socket->Read(Soon());
    if (!answer.ok() || *answer != message) status = DataLoss("size " + std::to_string(size));
    if (!status.ok()) break;
  }
  if (status.ok()) status = co_await socket->Close(1000, "bye", Soon());
  if (status.ok()) {
    const auto end = co_await socket->Read(Soon());
    if (!end.ok() || end->has_value()) status = DataLoss("the close was not answered");
  }
  done->set_value(status);
}

TEST_CASE("client and server exchange messages of every length form and close properly") {
  SocketFixture fixture;
  HttpClientOptions options;
  options.endpoint = {"127.0.0.1", fixture.server->port(), "", nullptr};
  HttpClient client(fixture.io, std::move(options));
  std::promise<Status> done;
  const auto strand = fixture.io.Strand();

  Io::Spawn(strand, Converse(&client, strand, &done));

  auto future = done.get_future();
  REQUIRE(future.wait_for(std::chrono::seconds(30)) == std::future_status::ready);
  CHECK(future.get().ToString() == "OK");
  CHECK(fixture.Ended().code() == Code::kCancelled);
}

TEST_CASE("the handshake answers the key of RFC 6455") {
  SocketFixture fixture;
  RawPeer peer(fixture.server->port());
  peer.Send(kUpgrade);

  CHECK_THAT(peer.ReadUntil("\r\n\r\n"),
             Catch::StartsWith("HTTP/1.1 101") &&
                 Catch::Contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
}

TEST_CASE("fragments are joined, and control frames between them are answered") {
  SocketFixture fixture;
  RawPeer peer(fixture.server->port());
  // All with the upgrade: what is read beyond it is not lost.
  peer.Send(kUpgrade + Frame(0x02, "he") + Frame(0x89, "ping") + Frame(0x80, "llo"));

  const std::string text = peer.ReadUntil("hello");

  CHECK_THAT(text, Catch::Contains("\x8a\x04ping") && Catch::Contains("\x82\x05hello"));
}

TEST_CASE("the chosen subprotocol is in the answer") {
  SocketFixture fixture;
  RawPeer peer(fixture.server->port());
  std::string request = kUpgrade;
  request.insert(request.find("\r\n") + 2,
                 "sec-websocket-protocol: v5.channel.k8s.io ,v4.channel.k8s.io\r\n"
                 "Sec-WebSocket-Protocol: last\r\n");
  peer.Send(request);

  CHECK_THAT(peer.ReadUntil("\r\n\r\n"), Catch::StartsWith("HTTP/1.1 101") &&
                                             Catch::Contains("Sec-WebSocket-Protocol: last\r\n"));
}

TEST_CASE("masks of any value and messages of any length are taken off") {
  SocketFixture fixture;
  RawPeer peer(fixture.server->port());
  peer.Send(kUpgrade);
  peer.ReadUntil("\r\n\r\n");
  const std::string mask = "\x01\x80\xff\x7e";
  for (const size_t size : {1U, 3U, 7U, 8U, 9U, 31U, 125U}) {
    std::string masked(size, '\0');
    for (size_t i = 0; i < size; ++i) masked[i] = static_cast<char>(('a' + i % 26) ^ mask[i % 4]);
    std::string plain(size, '\0');
    for (size_t i = 0; i < size; ++i) plain[i] = static_cast<char>('a' + i % 26);
    peer.Send(std::string("\x82") + static_cast<char>(0x80U | size) + mask + masked);

    const std::string expected = std::string("\x82") + static_cast<char>(size) + plain;
    CHECK_THAT(peer.ReadUntil(expected), Catch::Contains(expected));
  }
}

TEST_CASE("a ping that comes while the peer does not read stops nothing and is answered") {
  SocketFixture fixture;
  RawPeer peer(fixture.server->port());
  peer.Send(kUpgrade);
  peer.ReadUntil("\r\n\r\n");
  peer.Send(Frame(0x82, "flood"));
  peer.ReadUntil("ffff");

  // The pings and what follows them are taken although nothing can be sent. Of the pings at least
  // the last one is answered.
  std::string pings;
  for (int i = 0; i < 100; ++i) pings += Frame(0x89, "ping" + std::to_string(i));
  peer.Send(pings + Frame(0x82, "after"));

  const std::string flooded = std::string("\x81\x07") + "flooded";
  const std::string after = std::string("\x82\x05") + "after";
  peer.ReadUntil(flooded);
  CHECK(peer.Count(flooded) == 1);
  CHECK_THAT(peer.ReadUntil(after), Catch::Contains("\x8a\x06ping99"));
}

TEST_CASE("the items of a header field come from all of its lines") {
  Headers headers;
  headers.Add("Upgrade", "a , b\t,,c");
  headers.Add("Other", "x");
  headers.Add("upgrade", " d ");
  CHECK(headers.List("UPGRADE") == std::vector<std::string>{"a", "b", "c", "d"});
  CHECK(headers.List("absent").empty());
}

TEST_CASE("frames that break the protocol end the connection") {
  struct Row {
    const char* name;
    std::string bytes;
  };
  const Row rows[] = {
      {"not masked", std::string("\x82\x01x")},
      {"reserved bits", Frame(0xc2, "x")},
      {"unknown opcode", Frame(0x83, "x")},
      {"continuation of nothing", Frame(0x80, "x")},
      {"a message inside another", Frame(0x02, "a") + Frame(0x82, "b")},
      {"a fragmented ping", Frame(0x09, "x")},
      {"a huge frame",
       std::string("\x82\xff\x7f\x00\x00\x00\x00\x00\x00\x00", 10) + std::string(4, '\0')},
  };
  for (const Row& row : rows) {
    SocketFixture fixture;
    RawPeer peer(fixture.server->port());
    peer.Send(kUpgrade + row.bytes);

    INFO(row.name);
    CHECK(fixture.Ended().code() == Code::kInvalidArgument);
  }
}

TEST_CASE("a peer that leaves without a close frame is noticed") {
  SocketFixture fixture;
  {
    RawPeer peer(fixture.server->port());
    peer.Send(kUpgrade + Frame(0x82, "hi"));
    peer.ReadUntil("hi");
  }

  CHECK(fixture.Ended().code() == Code::kUnavailable);
}

TEST_CASE("what is no upgrade is told what is missing") {
  SocketFixture fixture;
  RawPeer peer(fixture.server->port());
  peer.Send("GET /x HTTP/1.1\r\nHost: x\r\n\r\n");

  CHECK_THAT(peer.ReadUntil("upgrade request"), Catch::Contains("send an upgrade request"));
}

}  // namespace
}  // namespace interlink::net
