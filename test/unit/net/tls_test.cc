#include "net/tls.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <array>
#include <atomic>
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <future>
#include <optional>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "base/unique_fd.h"
#include "net/http_client.h"
#include "net/http_server.h"
#include "net/tls_state.h"
#include "support/certificates.h"
#include "support/eventually.h"
#include "support/temporary_folder.h"

namespace interlink::net {
namespace {

using test::CertificateAuthority;
using test::CertificateFiles;

// Answers who it takes the caller for.
Awaitable<void> WhoAreYou(HttpRequest request, Responder& responder) {
  HttpResponse response;
  response.body = request.peer.verified ? request.peer.common_name : "nobody";
  for (const std::string& name : request.peer.names) response.body += " " + name;
  for (const std::string& uri : request.peer.uris) response.body += " " + uri;
  const Status sent = co_await responder.Send(std::move(response));
  if (!sent.ok()) co_return;
}

struct TlsFixture {
  Result<std::string> Ask(ClientAuth auth, const TlsFiles& server_files,
                          const TlsFiles& client_files, const std::string& host = "127.0.0.1") {
    auto server_tls = TlsContext::Server(server_files, auth);
    if (!server_tls.ok()) return server_tls.status();
    auto listener = Listener::Tcp(io, "127.0.0.1", 0, *server_tls);
    if (!listener.ok()) return listener.status();
    HttpServerOptions options;
    options.on_handshake_error = [this](const Peer&, const Status& why) {
      MutexLock lock(mutex);
      server_side = why.message();
    };
    HttpServer https(io, *std::move(listener), std::move(options), WhoAreYou);
    https.Start();
    auto client_tls = TlsContext::Client(client_files);
    if (!client_tls.ok()) return client_tls.status();
    HttpClientOptions client_options;
    client_options.endpoint = {host, https.port(), "", *client_tls};
    HttpClient http(io, std::move(client_options));
    HttpRequest request;
    request.method = "GET";
    request.target = "/";
    const auto response = http.Do(Call::WithTimeout(std::chrono::seconds(10)), request);
    // The server learns of a failed handshake later than the client; its end would hide that.
    const bool told = response.ok() || test::Eventually(
                                           [this] {
                                             MutexLock lock(mutex);
                                             return !server_side.empty();
                                           },
                                           std::chrono::seconds(5));
    if (!told) UNSCOPED_INFO("the server has noticed nothing");
    http.DropIdle();
    https.Stop(std::chrono::seconds(5));
    if (!response.ok()) return response.status();
    return response->body;
  }
  TlsFiles Server() { return {server.cert, server.key, authority.ca_file()}; }
  TlsFiles Client() { return {client.cert, client.key, authority.ca_file()}; }

  test::TemporaryFolder folder;
  CertificateAuthority authority{folder.path(), "site-ca"};
  CertificateAuthority stranger{folder.path(), "other-ca"};
  CertificateFiles server = authority.Issue("server", {"server", "DNS:localhost,IP:127.0.0.1"});
  CertificateFiles client =
      authority.Issue("client", {"node-1", "DNS:node-1.example,URI:interlink://node/one"});
  Mutex mutex;
  std::string server_side GUARDED_BY(mutex);
  Io io;
};

TEST_CASE("a verified client certificate names its peer") {
  TlsFixture fixture;

  const auto who = fixture.Ask(ClientAuth::kRequire, fixture.Server(), fixture.Client());

  INFO(who.status().ToString());
  REQUIRE(who.ok());
  CHECK(*who == "node-1 node-1.example interlink://node/one");
}

TEST_CASE("a name is verified as well as an address") {
  TlsFixture fixture;

  CHECK(fixture.Ask(ClientAuth::kRequire, fixture.Server(), fixture.Client(), "localhost").ok());
}

TEST_CASE("verify takes clients without a certificate, but not those with a wrong one") {
  TlsFixture fixture;
  const CertificateFiles wrong = fixture.stranger.Issue("wrong", {"node-1", ""});

  const auto none =
      fixture.Ask(ClientAuth::kVerify, fixture.Server(), {"", "", fixture.authority.ca_file()});
  const auto bad = fixture.Ask(ClientAuth::kVerify, fixture.Server(),
                               {wrong.cert, wrong.key, fixture.authority.ca_file()});

  CHECK(none.value_or("") == "nobody");
  CHECK(bad.status().code() == Code::kUnavailable);
}

TEST_CASE("without client verification nobody is taken for anybody") {
  TlsFixture fixture;

  CHECK(fixture.Ask(ClientAuth::kNone, fixture.Server(), fixture.Client()).value_or("") ==
        "nobody");
}

TEST_CASE("a client without a certificate, with a stranger's or an expired one is refused") {
  TlsFixture fixture;
  const CertificateFiles stranger = fixture.stranger.Issue("stranger", {"node-1", ""});

  SECTION("none") {
    const auto who =
        fixture.Ask(ClientAuth::kRequire, fixture.Server(), {"", "", fixture.authority.ca_file()});
    CHECK(who.status().code() == Code::kUnavailable);
    MutexLock lock(fixture.mutex);
    CHECK_THAT(fixture.server_side, Catch::Contains("peer did not return a certificate"));
  }
  SECTION("of another CA") {
    const auto who = fixture.Ask(ClientAuth::kRequire, fixture.Server(),
                                 {stranger.cert, stranger.key, fixture.authority.ca_file()});
    CHECK(who.status().code() == Code::kUnavailable);
    MutexLock lock(fixture.mutex);
    CHECK_THAT(fixture.server_side, Catch::Contains("certificate of the other side"));
  }
}

TEST_CASE("a client refuses a server with the wrong CA, name or time, and says which") {
  TlsFixture fixture;
  SECTION("CA") {
    const auto who =
        fixture.Ask(ClientAuth::kNone, fixture.Server(), {"", "", fixture.stranger.ca_file()});
    CHECK(who.status().code() == Code::kUnavailable);
    CHECK_THAT(who.status().message(),
               Catch::Contains("no CA of \"TLS.CACertFile\" has signed it"));
  }
  SECTION("name") {
    const CertificateFiles other = fixture.authority.Issue("other", {"other", "DNS:other.example"});
    const auto who = fixture.Ask(ClientAuth::kNone, {other.cert, other.key, ""}, fixture.Client());
    CHECK(who.status().code() == Code::kUnavailable);
    CHECK_THAT(who.status().message(),
               Catch::Contains("127.0.0.1") && Catch::Contains("IP address mismatch"));
  }
}

TEST_CASE("plain HTTP to a TLS port is refused without a hang") {
  TlsFixture fixture;
  auto tls = TlsContext::Server(fixture.Server(), ClientAuth::kRequire);
  REQUIRE(tls.ok());
  auto listener = Listener::Tcp(fixture.io, "127.0.0.1", 0, *tls);
  REQUIRE(listener.ok());
  HttpServer server(fixture.io, *std::move(listener), {}, WhoAreYou);
  server.Start();
  HttpClientOptions options;
  options.endpoint = {"127.0.0.1", server.port(), "", nullptr};
  HttpClient client(fixture.io, std::move(options));
  HttpRequest request;
  request.method = "GET";
  request.target = "/";

  CHECK(client.Do(Call::WithTimeout(std::chrono::seconds(10)), request).status().code() ==
        Code::kUnavailable);
  server.Stop(std::chrono::seconds(5));
}

TEST_CASE("files that cannot be used are refused with the reason") {
  TlsFixture fixture;
  const std::string garbage = fixture.folder.File("garbage.pem");
  std::ofstream(garbage) << "this is no PEM\n";
  const CertificateFiles expired = fixture.authority.Issue("expired", {"x", "", -7200, -3600});
  const CertificateFiles future = fixture.authority.Issue("future", {"x", "", 3600, 7200});
  const std::string ca = fixture.authority.ca_file();
  struct Row {
    TlsFiles files;
    Code code;
    std::string text;
  };
  const Row rows[] = {
      {{fixture.folder.File("absent.crt"), fixture.server.key, ca}, Code::kNotFound, "absent.crt"},
      {{fixture.server.cert, fixture.folder.File("absent.key"), ca}, Code::kNotFound, "absent.key"},
      {{fixture.server.cert, fixture.server.key, fixture.folder.File("absent.ca")},
       Code::kNotFound,
       "absent.ca"},
      {{garbage, fixture.server.key, ca}, Code::kInvalidArgument, "is not a PEM certificate"},
      {{fixture.server.cert, garbage, ca}, Code::kInvalidArgument, "garbage.pem"},
      {{fixture.server.cert, fixture.server.key, garbage}, Code::kInvalidArgument, "garbage.pem"},
      {{fixture.server.cert, fixture.client.key, ca}, Code::kInvalidArgument, "does not fit"},
      {{expired.cert, expired.key, ca}, Code::kFailedPrecondition, "has expired"},
      {{future.cert, future.key, ca}, Code::kFailedPrecondition, "not valid yet"},
      {{"", "", ca}, Code::kInvalidArgument, "TLS.CertFile"},
      {{fixture.server.cert, fixture.server.key, ""}, Code::kInvalidArgument, "TLS.CACertFile"},
  };
  for (const Row& row : rows) {
    const auto context = TlsContext::Server(row.files, ClientAuth::kRequire);
    INFO(row.text << ": " << context.status().ToString());
    CHECK(context.status().code() == row.code);
    CHECK_THAT(context.status().message(), Catch::Contains(row.text));
  }
}

TEST_CASE("whether clients will take a server's certificate is known before there is a client") {
  TlsFixture fixture;
  const std::string cert =
      fixture.authority.Issue("site", {"a", "DNS:site.example.org,IP:10.0.0.1"}).cert;
  const std::string ca = fixture.authority.ca_file();
  const CertificateFiles expired =
      fixture.authority.Issue("old", {"x", "DNS:site.example.org", -7200, -3600});

  CHECK(CheckServerCertificate(cert, ca, "site.example.org").ok());
  CHECK(CheckServerCertificate(cert, ca, "10.0.0.1").ok());
  struct Row {
    std::string cert, ca, name, text;
  };
  const Row rows[] = {
      {cert, ca, "other.example.org", "ostname mismatch"},
      {cert, ca, "10.0.0.2", "IP address mismatch"},
      {cert, fixture.stranger.ca_file(), "site.example.org",
       "unable to get local issuer certificate"},
      {expired.cert, ca, "site.example.org", "certificate has expired"},
  };
  for (const Row& row : rows) {
    const Status refused = CheckServerCertificate(row.cert, row.ca, row.name);
    INFO(row.text << ": " << refused.ToString());
    CHECK(refused.code() == Code::kInvalidArgument);
    CHECK_THAT(refused.message(), Catch::Contains(row.text));
    CHECK_THAT(refused.message(), Catch::Contains("\"" + row.name + "\""));
  }
  CHECK(CheckServerCertificate(cert, fixture.folder.File("absent.crt"), "x").code() ==
        Code::kNotFound);
}

TEST_CASE("a context that was reloaded is another one for new connections, old ones go on") {
  TlsFixture fixture;
  const TlsFiles files = fixture.Server();
  TlsFiles trusting = fixture.Client();
  trusting.ca_file = fixture.folder.File("trusted.crt");
  std::filesystem::copy(fixture.authority.ca_file(), trusting.ca_file);
  const auto server_tls = TlsContext::Server(files, ClientAuth::kRequire);
  const auto client_tls = TlsContext::Client(trusting);
  REQUIRE(server_tls.ok());
  REQUIRE(client_tls.ok());
  auto listener = Listener::Tcp(fixture.io, "127.0.0.1", 0, *server_tls);
  REQUIRE(listener.ok());
  HttpServer https(fixture.io, *std::move(listener), {}, WhoAreYou);
  https.Start();
  HttpClientOptions options;
  options.endpoint = {"127.0.0.1", https.port(), "", *client_tls};
  const auto ask = [](HttpClient& http) {
    HttpRequest request;
    request.method = "GET";
    request.target = "/";
    return http.Do(Call::WithTimeout(std::chrono::seconds(10)), request).ok();
  };
  const auto replace = [](const std::string& with, const std::string& file) {
    REQUIRE(rename(with.c_str(), file.c_str()) == 0);
  };
  HttpClient old(fixture.io, options);
  REQUIRE(ask(old));

  SECTION("of another authority: who trusts the old one only does not come in") {
    const auto fresh = fixture.stranger.Issue("fresh", {"server", "IP:127.0.0.1"});
    replace(fresh.cert, files.cert_file);
    replace(fresh.key, files.key_file);
    REQUIRE((*server_tls)->Reload().ok());

    CHECK(ask(old));
    HttpClient strict(fixture.io, options);
    CHECK_FALSE(ask(strict));
    replace(fixture.stranger.ca_file(), trusting.ca_file);
    REQUIRE((*client_tls)->Reload().ok());
    HttpClient renewed(fixture.io, options);
    CHECK(ask(renewed));
  }
  SECTION("what cannot be used changes nothing") {
    const int64_t before = (*server_tls)->not_after();
    const auto fresh = fixture.authority.Issue("fresh", {"server", "IP:127.0.0.1", -3600, 200'000});
    replace(fresh.cert, files.cert_file);

    CHECK((*server_tls)->Reload().code() == Code::kInvalidArgument);
    CHECK((*server_tls)->not_after() == before);
    HttpClient fine(fixture.io, options);
    CHECK(ask(fine));

    replace(fresh.key, files.key_file);
    REQUIRE((*server_tls)->Reload().ok());
    CHECK((*server_tls)->not_after() > before);
    HttpClient again(fixture.io, options);
    CHECK(ask(again));
  }
}

TEST_CASE("who has finished writing still reads all that the other side sends") {
  TlsFixture fixture;
  const auto server = TlsContext::Server(fixture.Server(), ClientAuth::kRequire);
  const auto client = TlsContext::Client(fixture.Client());
  REQUIRE(server.ok());
  REQUIRE(client.ok());
  auto listener = Listener::Tcp(fixture.io, "127.0.0.1", 0, *server);
  REQUIRE(listener.ok());
  const SteadyTime soon = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  std::promise<std::string> heard;
  const auto read = [&](std::shared_ptr<Connection> connection) -> Awaitable<void> {
    std::string all;
    std::array<char, 16> bytes{};
    while (true) {
      const auto n = co_await connection->Read(bytes, soon);
      if (!n.ok()) all += n.status().ToString();
      if (!n.ok() || *n == 0) break;
      all.append(bytes.data(), *n);
    }
    heard.set_value(all);
  };
  const auto serve = [&](std::shared_ptr<Connection> connection) -> Awaitable<void> {
    const Status shaken = co_await Handshake(*connection, soon);
    if (shaken.ok()) {
      Io::Spawn(connection->executor(), read(connection));
      co_await connection->ShutdownWrite();
    } else {
      heard.set_value(shaken.ToString());
    }
  };
  const auto accept = [&]() -> Awaitable<void> {
    auto accepted = co_await (*listener)->Accept(fixture.io);
    Io::Spawn((*accepted)->executor(), serve(*accepted));
  };
  const Endpoint endpoint{"127.0.0.1", (*listener)->port(), "", *client};
  const auto strand = fixture.io.Strand();
  const auto call = [&]() -> Awaitable<void> {
    const auto connected = co_await Connect(strand, endpoint, soon);
    if (!connected.ok()) co_return;
    std::array<char, 16> bytes{};
    const auto end = co_await (*connected)->Read(bytes, soon);
    Status sent = end.status();
    // Records of their own, many of them in one packet.
    for (int i = 0; i < 500 && sent.ok(); ++i) sent = co_await (*connected)->Write("late", soon);
    co_await (*connected)->ShutdownWrite();
  };

  Io::Spawn((*listener)->executor(), accept());
  Io::Spawn(strand, call());

  std::string expected;
  for (int i = 0; i < 500; ++i) expected += "late";
  CHECK(heard.get_future().get() == expected);
  fixture.io.Stop();
}

TEST_CASE("an address that begins handshakes and ends none keeps nobody else out") {
  TlsFixture fixture;
  const auto server = TlsContext::Server(fixture.Server(), ClientAuth::kRequire);
  REQUIRE(server.ok());
  auto listener = Listener::Tcp(fixture.io, "127.0.0.1", 0, *server);
  REQUIRE(listener.ok());
  HttpServerOptions options;
  options.max_connections = 8;
  options.max_connections_per_peer = 4;
  HttpServer https(fixture.io, *std::move(listener), std::move(options), WhoAreYou);
  https.Start();
  // From an address of its own; silent.
  const auto connect_from = [&https](const char* address) {
    UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in own{};
    own.sin_family = AF_INET;
    REQUIRE(inet_pton(AF_INET, address, &own.sin_addr) == 1);
    REQUIRE(bind(fd.get(), reinterpret_cast<const sockaddr*>(&own), sizeof own) == 0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(https.port());
    REQUIRE(inet_pton(AF_INET, "127.0.0.1", &to.sin_addr) == 1);
    REQUIRE(connect(fd.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0);
    return fd;
  };
  const auto is_closed = [](const UniqueFd& fd) {
    pollfd item{fd.get(), POLLIN, 0};
    char byte = 0;
    return ::poll(&item, 1, 5000) == 1 && recv(fd.get(), &byte, 1, 0) <= 0;
  };

  std::vector<UniqueFd> hostile;
  for (int i = 0; i < 4; ++i) hostile.push_back(connect_from("127.0.0.66"));
  CHECK(is_closed(connect_from("127.0.0.66")));

  const auto client = TlsContext::Client(fixture.Client());
  REQUIRE(client.ok());
  HttpClientOptions client_options;
  client_options.endpoint = {"127.0.0.1", https.port(), "", *client};
  HttpClient http(fixture.io, std::move(client_options));
  CHECK(
      http.Do(Call::WithTimeout(std::chrono::seconds(10)), {.method = "GET", .target = "/"}).ok());
  http.DropIdle();
  hostile.clear();
  https.Stop(std::chrono::seconds(5));
}

TEST_CASE("clients whose certificates have no common name have each a budget of connections") {
  TlsFixture fixture;
  const auto server = TlsContext::Server(fixture.Server(), ClientAuth::kRequire);
  REQUIRE(server.ok());
  auto listener = Listener::Tcp(fixture.io, "127.0.0.1", 0, *server);
  REQUIRE(listener.ok());
  HttpServerOptions options;
  options.max_connections_per_peer = 1;
  HttpServer https(fixture.io, *std::move(listener), std::move(options), WhoAreYou);
  https.Start();
  // Each keeps its connection.
  std::vector<std::unique_ptr<HttpClient>> clients;
  const auto ask = [&](const std::string& name) {
    const CertificateFiles files = fixture.authority.Issue(name, {"", "URI:spiffe://site/" + name});
    const auto tls = TlsContext::Client({files.cert, files.key, fixture.authority.ca_file()});
    REQUIRE(tls.ok());
    HttpClientOptions to;
    to.endpoint = {"127.0.0.1", https.port(), "", *tls};
    clients.push_back(std::make_unique<HttpClient>(fixture.io, std::move(to)));
    HttpRequest request;
    request.method = "GET";
    request.target = "/";
    const auto answer = clients.back()->Do(Call::WithTimeout(std::chrono::seconds(10)), request);
    INFO(answer.status().ToString());
    REQUIRE(answer.ok());
    return answer->status;
  };

  CHECK(ask("one") == 200);
  CHECK(ask("two") == 200);
  CHECK(ask("one") == 429);

  clients.clear();
  https.Stop(std::chrono::seconds(5));
}

TEST_CASE("a revoked client is refused, and others are not") {
  TlsFixture fixture;
  const CertificateFiles lost = fixture.authority.Issue("lost", {"node-2", ""});
  TlsFiles server = fixture.Server();
  server.crl_file = fixture.authority.Revoke({lost.serial});

  CHECK(fixture.Ask(ClientAuth::kRequire, server, fixture.Client()).ok());
  const auto refused =
      fixture.Ask(ClientAuth::kRequire, server, {lost.cert, lost.key, fixture.authority.ca_file()});
  CHECK(refused.status().code() == Code::kUnavailable);
  INFO(refused.status().ToString());
  CHECK(refused.status().message().find("revoked") != std::string::npos);
}

// A site and a client of it; each Ask needs a connection of its own.
struct ResumingFixture : TlsFixture {
  ResumingFixture() {
    REQUIRE(server_tls.ok());
    REQUIRE(client_tls.ok());
    auto listener = Listener::Tcp(io, "127.0.0.1", 0, *server_tls);
    REQUIRE(listener.ok());
    https.emplace(io, *std::move(listener), HttpServerOptions{},
                  [this](HttpRequest request, Responder& responder) -> Awaitable<void> {
                    {
                      MutexLock lock(mutex);
                      peer = request.peer;
                    }
                    co_await WhoAreYou(std::move(request), responder);
                  });
    https->Start();
    HttpClientOptions options;
    options.endpoint = {"127.0.0.1", https->port(), "", *client_tls};
    http.emplace(io, std::move(options));
  }
  ~ResumingFixture() {
    http->DropIdle();
    https->Stop(std::chrono::seconds(5));
  }

  void AskAnew() {
    const auto answer = http->Do(Call::WithTimeout(std::chrono::seconds(10)),
                                 {.method = "POST", .target = "/"}, /*idempotent=*/false);
    INFO(answer.status().ToString());
    REQUIRE(answer.ok());
    CHECK(answer->body == "node-1 node-1.example interlink://node/one");
    // Its end, without TLS's own good-bye, must not spoil the session.
    http->DropIdle();
    MutexLock lock(mutex);
    CHECK(peer.verified);
    CHECK(peer.not_after > 0);
  }
  // Of the server's context in force.
  long Resumed() { return SSL_CTX_sess_hits((*server_tls)->state()->context.native_handle()); }

  TlsFiles files = Server();
  Result<std::shared_ptr<TlsContext>> server_tls = TlsContext::Server(files, ClientAuth::kRequire);
  Result<std::shared_ptr<TlsContext>> client_tls = TlsContext::Client(Client());
  Peer peer GUARDED_BY(mutex);
  std::optional<HttpServer> https;
  std::optional<HttpClient> http;
};

TEST_CASE("a new connection to a known server is resumed, and is the same peer's") {
  ResumingFixture fixture;
  fixture.AskAnew();
  CHECK(fixture.Resumed() == 0);

  fixture.AskAnew();
  fixture.AskAnew();

  CHECK(fixture.Resumed() == 2);
}

TEST_CASE("nothing is resumed over a change of certificates") {
  ResumingFixture fixture;
  fixture.AskAnew();
  const bool at_server = GENERATE(true, false);
  CAPTURE(at_server);
  REQUIRE((at_server ? *fixture.server_tls : *fixture.client_tls)->Reload().ok());

  fixture.AskAnew();
  CHECK(fixture.Resumed() == 0);
  fixture.AskAnew();
  CHECK(fixture.Resumed() == 1);
}

TEST_CASE("a kept connection is not used any more when the client has another certificate") {
  ResumingFixture fixture;
  const auto ask = [&fixture] {
    REQUIRE(fixture.http
                ->Do(Call::WithTimeout(std::chrono::seconds(10)), {.method = "GET", .target = "/"})
                .ok());
    MutexLock lock(fixture.mutex);
    return fixture.peer.address;
  };
  const std::string first = ask();
  CHECK(ask() == first);

  REQUIRE((*fixture.client_tls)->Reload().ok());

  CHECK(ask() != first);
}

TEST_CASE("a session is not kept for another port of the host") {
  ResumingFixture fixture;
  fixture.AskAnew();
  auto listener = Listener::Tcp(fixture.io, "127.0.0.1", 0, *fixture.server_tls);
  REQUIRE(listener.ok());
  HttpServer other(fixture.io, *std::move(listener), {}, WhoAreYou);
  other.Start();
  HttpClientOptions options;
  options.endpoint = {"127.0.0.1", other.port(), "", *fixture.client_tls};
  HttpClient http(fixture.io, std::move(options));

  CHECK(http.Do(Call::WithTimeout(std::chrono::seconds(10)), {.method = "POST", .target = "/"},
                /*idempotent=*/false)
            .ok());

  CHECK(fixture.Resumed() == 0);
  http.DropIdle();
  other.Stop(std::chrono::seconds(5));
}

TEST_CASE("a hundred connections at once share what they resume") {
  ResumingFixture fixture;
  fixture.AskAnew();
  std::atomic<int> good = 0;
  std::vector<std::jthread> callers;
  for (int i = 0; i < 10; ++i) {
    callers.emplace_back([&fixture, &good] {
      for (int j = 0; j < 10; ++j) {
        const auto answer = fixture.http->Do(Call::WithTimeout(std::chrono::seconds(30)),
                                             {.method = "POST", .target = "/"},
                                             /*idempotent=*/false);
        if (answer.ok()) ++good;
      }
    });
  }
  callers.clear();

  CHECK(good == 100);
  CHECK(fixture.Resumed() == 100);
}

TEST_CASE("a certificate that was revoked later is known, though its connection stands") {
  TlsFixture fixture;
  TlsFiles files = fixture.Server();
  files.crl_file = fixture.authority.Revoke({});
  const auto server = TlsContext::Server(files, ClientAuth::kRequire);
  REQUIRE(server.ok());
  std::string id;
  auto listener = Listener::Tcp(fixture.io, "127.0.0.1", 0, *server);
  REQUIRE(listener.ok());
  HttpServer https(fixture.io, *std::move(listener), {},
                   [&id](HttpRequest request, Responder& responder) -> Awaitable<void> {
                     id = request.peer.certificate_id;
                     HttpResponse response;
                     const Status sent = co_await responder.Send(std::move(response));
                     if (!sent.ok()) co_return;
                   });
  https.Start();
  const auto client = TlsContext::Client(fixture.Client());
  REQUIRE(client.ok());
  HttpClientOptions options;
  options.endpoint = {"127.0.0.1", https.port(), "", *client};
  HttpClient http(fixture.io, std::move(options));
  REQUIRE(
      http.Do(Call::WithTimeout(std::chrono::seconds(10)), {.method = "GET", .target = "/"}).ok());
  REQUIRE_FALSE(id.empty());
  CHECK_FALSE((*server)->Revokes(id));

  fixture.authority.Revoke({fixture.client.serial});
  REQUIRE((*server)->Reload().ok());

  CHECK((*server)->Revokes(id));
  http.DropIdle();
  https.Stop(std::chrono::seconds(5));
}

TEST_CASE("a revocation list that is none, has expired or is not there is refused by its file") {
  TlsFixture fixture;
  TlsFiles files = fixture.Server();
  const auto open = [&files] { return TlsContext::Server(files, ClientAuth::kRequire).status(); };

  files.crl_file = fixture.authority.Revoke({}, -3600);
  CHECK(open().code() == Code::kFailedPrecondition);
  CHECK(open().message().find("has expired: get a newer one") != std::string::npos);
  files.crl_file = fixture.server.cert;
  CHECK(open().code() == Code::kInvalidArgument);
  files.crl_file = fixture.folder.File("nothing");
  CHECK(open().code() == Code::kNotFound);
}

TEST_CASE("the end of our own certificate is known") {
  TlsFixture fixture;

  const auto context = TlsContext::Client(fixture.Client());

  REQUIRE(context.ok());
  CHECK((*context)->not_after() > std::time(nullptr) + 80'000);
  CHECK((*context)->not_after() <= std::time(nullptr) + 86'400);
}

}  // namespace
}  // namespace interlink::net
