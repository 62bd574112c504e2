#include "net/http_server.h"

#include <atomic>
#include <catch2/catch.hpp>

#include "base/mutex.h"
#include "net/body_budget.h"
#include "raw_peer.h"
#include "support/eventually.h"

namespace interlink::net {
namespace {

using test::Eventually;
using test::RawPeer;

// Echoes "METHOD target body"; some targets do more.
Awaitable<void> Echo(HttpRequest request, Responder& responder, std::atomic<int>* gone) {
  if (request.target == "/silent") co_return;
  if (request.target == "/stream") {
    HttpResponse head;
    if (!(co_await responder.Begin(std::move(head))).ok()) co_return;
    for (const char* piece : {"one", "two", "three"}) {
      if (!(co_await responder.Write(piece)).ok()) co_return;
    }
    co_return;
  }
  if (request.target == "/flood") {
    HttpResponse head;
    if (!(co_await responder.Begin(std::move(head))).ok()) co_return;
    const std::string piece(1U << 20U, 'x');
    while ((co_await responder.Write(piece)).ok()) {
    }
    ++*gone;
    co_return;
  }
  if (request.target == "/watched") {
    responder.WatchPeer([gone] { ++*gone; });
  }
  HttpResponse response;
  response.body = request.method + " " + request.target + " " + request.body;
  const Status sent = co_await responder.Send(std::move(response));
  if (!sent.ok()) ++*gone;
}

struct ServerFixture {
  explicit ServerFixture(HttpServerOptions options = {}) {
    auto listener = Listener::Tcp(io, "127.0.0.1", 0, nullptr);
    REQUIRE(listener.ok());
    server = std::make_unique<HttpServer>(io, *std::move(listener), std::move(options),
                                          [this](HttpRequest request, Responder& responder) {
                                            ++requests;
                                            return Echo(std::move(request), responder, &gone);
                                          });
    server->Start();
  }
  ~ServerFixture() {
    server.reset();
    io.Stop();
  }
  std::string Ask(std::string_view bytes) {
    RawPeer peer(server->port());
    peer.Send(bytes);
    peer.FinishSending();
    return peer.ReadToEnd();
  }

  std::atomic<int> requests = 0;
  std::atomic<int> gone = 0;
  Io io;
  std::unique_ptr<HttpServer> server;
};

// Under tsan: a listener is closed on the strand that accepts, never beside it.
TEST_CASE("a server may end at the moment it begins to take connections") {
  for (int i = 0; i < 300; ++i) {
    ServerFixture fixture;
    if (i % 4 == 3) fixture.Ask("GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    fixture.server->Stop(Duration::zero());
  }
}

TEST_CASE("a kept connection answers one request after the other") {
  ServerFixture fixture;
  RawPeer peer(fixture.server->port());

  peer.Send("GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
  peer.ReadUntil("GET /a ");
  peer.Send("POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc");

  CHECK_THAT(peer.ReadUntil("POST /b abc"), Catch::Contains("POST /b abc"));
}

TEST_CASE("pipelined requests are answered in order") {
  ServerFixture fixture;
  RawPeer peer(fixture.server->port());
  std::string all;
  for (int i = 0; i < 20; ++i)
    all += "PUT /" + std::to_string(i) + " HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nb";

  peer.Send(all);
  const std::string text = peer.ReadUntil("PUT /19 b");

  size_t last = 0;
  for (int i = 0; i < 20; ++i) {
    const size_t at = text.find("PUT /" + std::to_string(i) + " b");
    REQUIRE(at != std::string::npos);
    CHECK(at >= last);
    last = at;
  }
}

TEST_CASE("a request that comes byte by byte is understood") {
  ServerFixture fixture;
  RawPeer peer(fixture.server->port());
  for (const char c : std::string("PUT /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                                  "3\r\nabc\r\n2;ext=1\r\nde\r\n0\r\n\r\n"))
    peer.Send({&c, 1});

  CHECK_THAT(peer.ReadUntil("abcde"), Catch::Contains("PUT /x abcde"));
}

TEST_CASE("the body of a GET is read as its body and never as the next request") {
  ServerFixture fixture;
  const std::string inner = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";

  const std::string text = fixture.Ask("GET /outer HTTP/1.1\r\nHost: x\r\nContent-Length: " +
                                       std::to_string(inner.size()) + "\r\n\r\n" + inner);

  CHECK(fixture.requests == 1);
  CHECK_THAT(text, Catch::Contains("GET /outer GET /smuggled"));
}

TEST_CASE("requests whose length is ambiguous are refused and nothing of them is served") {
  const auto head =
      GENERATE(as<std::string>(), "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
               "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
               "Content-Length: 4\r\nContent-Length: 5\r\n", "Content-Length: 4, 5\r\n",
               "Content-Length: -1\r\n", "Content-Length: 4x\r\n",
               "Content-Length: 99999999999999999999\r\n", "Content-Length : 4\r\n",
               "Transfer-Encoding: chunked, identity\r\n", "Transfer-Encoding: xchunked\r\n");
  ServerFixture fixture;

  const std::string text = fixture.Ask("POST /a HTTP/1.1\r\nHost: x\r\n" + head +
                                       "\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n");

  INFO(head << " -> " << text);
  CHECK(fixture.requests == 0);
  CHECK_THAT(text, Catch::StartsWith("HTTP/1.1 4"));
  CHECK_THAT(text, Catch::Contains("Connection: close"));
}

TEST_CASE("what is no HTTP request gets 400") {
  const auto bytes = GENERATE(
      as<std::string>(), "hello\r\n\r\n", "GET\r\n\r\n", "GET /a HTTP/1.1\r\nno colon\r\n\r\n",
      "GET /a b HTTP/1.1\r\n\r\n", "GET /a HTTP/9.9\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00",
      "GET /a HTTP/1.1\r\nX: a\rb\r\n\r\n",
      "POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
      "POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n");
  ServerFixture fixture;

  const std::string text = fixture.Ask(bytes);

  INFO(bytes);
  CHECK(fixture.requests == 0);
  CHECK_THAT(text, Catch::StartsWith("HTTP/1.1 400 Bad Request\r\n"));
}

TEST_CASE("a request that ends too early gets 400 and is not served") {
  ServerFixture fixture;

  CHECK_THAT(fixture.Ask("PUT /a HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc"),
             Catch::StartsWith("HTTP/1.1 400"));

  CHECK(fixture.requests == 0);
}

TEST_CASE("an endless head gets 431") {
  ServerFixture fixture;
  RawPeer peer(fixture.server->port());
  peer.Send("GET /a HTTP/1.1\r\n");
  const std::string line = "X-Filler: " + std::string(1000, 'x') + "\r\n";
  for (int i = 0; i < 200 && peer.Send(line); ++i) {
  }

  CHECK_THAT(peer.ReadToEnd(), Catch::StartsWith("HTTP/1.1 431"));
  CHECK_FALSE(peer.was_reset());
  CHECK(fixture.requests == 0);
}

TEST_CASE("an endless head of a chunk, and endless trailers, get 431") {
  const auto begin = GENERATE(as<std::string>(), "1;", "0\r\nX-Trailer: ", "1\r\nx\r\n1;");
  ServerFixture fixture;
  RawPeer peer(fixture.server->port());
  peer.Send("PUT /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + begin);
  const std::string filler(1000, 'x');
  for (int i = 0; i < 200 && peer.Send(filler); ++i) {
  }

  CHECK_THAT(peer.ReadToEnd(), Catch::StartsWith("HTTP/1.1 431"));
  CHECK_FALSE(peer.was_reset());
  CHECK(fixture.requests == 0);
}

TEST_CASE("a body over the limit gets 413, which the sender also sees while it still sends") {
  HttpServerOptions options;
  options.max_body = 1000;
  const bool chunked = GENERATE(false, true);
  ServerFixture fixture(std::move(options));
  RawPeer peer(fixture.server->port());
  const std::string megabyte(1U << 20U, 'x');

  peer.Send(chunked ? "PUT /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n100000\r\n" + megabyte
                    : "PUT /a HTTP/1.1\r\nContent-Length: 1048576\r\n\r\n" + megabyte);
  peer.FinishSending();

  CHECK_THAT(peer.ReadToEnd(), Catch::StartsWith("HTTP/1.1 413"));
  CHECK_FALSE(peer.was_reset());
  CHECK(fixture.requests == 0);
}

TEST_CASE("a client that says nothing is closed without a word") {
  HttpServerOptions options;
  options.idle_timeout = std::chrono::milliseconds(150);
  ServerFixture fixture(std::move(options));
  RawPeer peer(fixture.server->port());

  CHECK(peer.ReadToEnd().empty());
  CHECK(fixture.requests == 0);
}

TEST_CASE("slow clients get 408 or an end, never for ever") {
  HttpServerOptions options;
  options.head_timeout = std::chrono::milliseconds(100);
  options.body_timeout = std::chrono::milliseconds(100);
  ServerFixture fixture(std::move(options));

  SECTION("a head that does not end") {
    RawPeer peer(fixture.server->port());
    peer.Send("GET /a HTTP/1.1\r\nX-A");
    CHECK_THAT(peer.ReadToEnd(), Catch::StartsWith("HTTP/1.1 408"));
  }
  SECTION("a head that trickles") {
    RawPeer peer(fixture.server->port());
    bool open = true;
    for (int i = 0; i < 1000 && open; ++i) {
      open = peer.Send("X");
      poll(nullptr, 0, 5);
    }
    CHECK_FALSE(open);
  }
  SECTION("a body that does not come") {
    RawPeer peer(fixture.server->port());
    peer.Send("PUT /a HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc");
    CHECK_THAT(peer.ReadToEnd(), Catch::StartsWith("HTTP/1.1 408"));
  }
  CHECK(fixture.requests == 0);
}

TEST_CASE("Expect: 100-continue is answered before the body is sent") {
  ServerFixture fixture;
  RawPeer peer(fixture.server->port());

  peer.Send("PUT /a HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
  CHECK_THAT(peer.ReadUntil("\r\n\r\n"), Catch::StartsWith("HTTP/1.1 100 Continue\r\n\r\n"));
  peer.Send("abc");

  CHECK_THAT(peer.ReadUntil("PUT /a abc"), Catch::Contains("PUT /a abc"));
}

TEST_CASE("a HEAD request gets the head of the answer only") {
  ServerFixture fixture;

  const std::string text = fixture.Ask("HEAD /abc HTTP/1.1\r\nConnection: close\r\n\r\n");

  CHECK_THAT(text, Catch::Contains("Content-Length: 10\r\n"));
  CHECK_THAT(text, Catch::EndsWith("\r\n\r\n"));
}

TEST_CASE("a handler that does not answer is a 500, not a hang") {
  ServerFixture fixture;

  CHECK_THAT(fixture.Ask("GET /silent HTTP/1.1\r\n\r\n"), Catch::StartsWith("HTTP/1.1 500"));
}

TEST_CASE("an endless answer comes in chunks and ends properly") {
  ServerFixture fixture;

  const std::string text = fixture.Ask("GET /stream HTTP/1.1\r\n\r\n");

  CHECK_THAT(text, Catch::Contains("Transfer-Encoding: chunked"));
  CHECK_THAT(text, Catch::EndsWith("\r\n\r\n3\r\none\r\n3\r\ntwo\r\n5\r\nthree\r\n0\r\n\r\n"));
}

TEST_CASE("an endless answer notices that its reader is gone") {
  ServerFixture fixture;
  {
    RawPeer peer(fixture.server->port());
    peer.Send("GET /flood HTTP/1.1\r\n\r\n");
    peer.ReadUntil("xxx");
  }

  CHECK(Eventually([&] { return fixture.gone == 1; }));
}

TEST_CASE("a watched peer is reported once and its connection is not kept") {
  ServerFixture fixture;

  const std::string text = fixture.Ask("GET /watched HTTP/1.1\r\n\r\n");

  CHECK_THAT(text, Catch::Contains("Connection: close"));
  CHECK(Eventually([&] { return fixture.gone == 1; }));
}

TEST_CASE("connections above the limit of one peer get 429") {
  HttpServerOptions options;
  options.max_connections_per_peer = 3;
  ServerFixture fixture(std::move(options));
  std::vector<std::unique_ptr<RawPeer>> peers;
  for (int i = 0; i < 3; ++i) {
    peers.push_back(std::make_unique<RawPeer>(fixture.server->port()));
    peers.back()->Send("GET /a HTTP/1.1\r\n\r\n");
    peers.back()->ReadUntil("GET /a");
  }

  CHECK_THAT(fixture.Ask("GET /b HTTP/1.1\r\n\r\n"), Catch::StartsWith("HTTP/1.1 429"));

  peers.clear();
  CHECK(Eventually(
      [&] { return fixture.Ask("GET /c HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 200"); }));
}

std::string PutOf(size_t bytes) {
  return "PUT /a HTTP/1.1\r\nContent-Length: " + std::to_string(bytes) + "\r\n\r\n" +
         std::string(bytes, 'x');
}

// 512 connections of a peer that was not even known could hold 8 GiB.
TEST_CASE("bodies that are held at once have a bound, and small ones are not counted") {
  HttpServerOptions options;
  const bool of_all = GENERATE(false, true);
  // Who has no certificate has half of what all have.
  (of_all ? options.max_bodies : options.max_bodies_per_peer) = (of_all ? 2U : 1U) << 20U;
  ServerFixture fixture(std::move(options));

  const std::string refused = fixture.Ask(PutOf(1'100'000));

  CHECK_THAT(refused, Catch::StartsWith("HTTP/1.1 429"));
  CHECK_THAT(refused, Catch::Contains("Retry-After: 1"));
  CHECK(fixture.requests == 0);
  // What was held is given back.
  for (int i = 0; i < 3; ++i)
    CHECK_THAT(fixture.Ask(PutOf(1'000'000)), Catch::StartsWith("HTTP/1.1 200"));
}

TEST_CASE("a budget of bodies is shared by all and by those of one peer") {
  BodyBudget budget(1'000'000, 600'000);
  const std::string one = "one";
  const std::string two = "two";
  BodyBudget::Share first(budget, one, true);
  BodyBudget::Share second(budget, one, true);
  BodyBudget::Share third(budget, two, true);
  CHECK(first.Hold(400'000));

  CHECK_FALSE(second.Hold(200'001));
  CHECK(second.Hold(200'000));
  CHECK_FALSE(third.Hold(400'001));
  CHECK(third.Hold(BodyBudget::kUncounted));
  CHECK(third.Hold(400'000));
  CHECK(first.Hold(300'000));
  CHECK(second.Hold(300'000));
  {
    BodyBudget::Share fourth(budget, two, true);
    CHECK_FALSE(fourth.Hold(100'000));
    CHECK(second.Hold(0));
    CHECK(fourth.Hold(100'000));
  }
  CHECK(second.Hold(300'000));
}

TEST_CASE("strangers leave room for who has a certificate") {
  BodyBudget budget(1'000'000, 1'000'000);
  const std::string address = "address 10.0.0.1";
  const std::string node = "certificate node-1";
  BodyBudget::Share stranger(budget, address, false);
  BodyBudget::Share known(budget, node, true);

  CHECK_FALSE(stranger.Hold(500'001));
  CHECK(stranger.Hold(500'000));
  CHECK(known.Hold(500'000));
  CHECK(stranger.Hold(0));
  CHECK(stranger.Hold(400'000));
}

// A byte within each time-out kept a body for hours.
TEST_CASE("a body that comes too slowly gets 408, however often something of it comes") {
  HttpServerOptions options;
  options.body_timeout = std::chrono::seconds(1);
  options.max_body = 1000;
  options.least_body_rate = 1000;
  ServerFixture fixture(std::move(options));
  RawPeer peer(fixture.server->port());
  peer.Send("PUT /a HTTP/1.1\r\nContent-Length: 1000\r\n\r\n");
  const auto begun = std::chrono::steady_clock::now();

  // 1000 bytes may take 2 s; one each 20 ms takes 20 s.
  while (peer.Send("x") && !peer.HasInput(20)) {
  }

  CHECK_THAT(peer.ReadUntil("\r\n"), Catch::StartsWith("HTTP/1.1 408"));
  CHECK(std::chrono::steady_clock::now() - begun < std::chrono::seconds(15));
  CHECK(fixture.requests == 0);
}

TEST_CASE("errors of the server itself have the body that the edge wants") {
  HttpServerOptions options;
  options.error_page = [](int status, const std::string&) {
    HttpResponse response;
    response.status = status;
    response.body = "{\"page\":" + std::to_string(status) + "}";
    return response;
  };
  ServerFixture fixture(std::move(options));

  CHECK_THAT(fixture.Ask("nonsense\r\n\r\n"), Catch::EndsWith("{\"page\":400}"));
}

TEST_CASE("a stop closes idle connections at once and refuses new ones") {
  ServerFixture fixture;
  RawPeer idle(fixture.server->port());
  idle.Send("GET /a HTTP/1.1\r\n\r\n");
  idle.ReadUntil("GET /a");

  fixture.server->Stop(std::chrono::seconds(5));

  CHECK_THAT(idle.ReadToEnd(), Catch::Contains("GET /a") && !Catch::Contains("TIMEOUT"));
}

}  // namespace
}  // namespace interlink::net
