#include "net/http_client.h"

#include <fcntl.h>
#include <sys/un.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <functional>
#include <future>
#include <thread>

#include "net/http_server.h"
#include "raw_peer.h"
#include "support/eventually.h"

namespace interlink::net {
namespace {

using test::Eventually;

// One accepted connection of a server that does what a test says.
class RawServed {
 public:
  explicit RawServed(int fd) : fd_(fd) {}
  // Reads to the end of a head; false: the client has closed.
  bool ReadHead() {
    while (text_.find("\r\n\r\n") == std::string::npos) {
      std::array<char, 4096> chunk{};
      const ssize_t n = recv(fd_.get(), chunk.data(), chunk.size(), 0);
      if (n <= 0) return false;
      text_.append(chunk.data(), static_cast<size_t>(n));
    }
    text_.clear();
    return true;
  }
  void Send(std::string_view bytes) { send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL); }
  void WaitForClose() {
    std::array<char, 4096> chunk{};
    while (recv(fd_.get(), chunk.data(), chunk.size(), 0) > 0) {
    }
  }

 private:
  UniqueFd fd_;
  std::string text_;
};

// Serves its connections one after the other on a thread.
class RawServer {
 public:
  explicit RawServer(std::function<void(RawServed&, int number)> serve)
      : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    REQUIRE(bind(fd_.get(), reinterpret_cast<sockaddr*>(&address), size) == 0);
    REQUIRE(listen(fd_.get(), 16) == 0);
    getsockname(fd_.get(), reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    thread_ = std::jthread([this, serve = std::move(serve)] {
      while (true) {
        const int accepted = accept(fd_.get(), nullptr, nullptr);
        if (accepted < 0) return;
        RawServed served(accepted);
        serve(served, ++connections_);
      }
    });
  }
  ~RawServer() { shutdown(fd_.get(), SHUT_RDWR); }
  uint16_t port() const { return port_; }
  int connections() const { return connections_; }

 private:
  UniqueFd fd_;
  uint16_t port_ = 0;
  std::atomic<int> connections_ = 0;
  std::jthread thread_;
};

HttpRequest Get(std::string target) {
  HttpRequest request;
  request.method = "GET";
  request.target = std::move(target);
  return request;
}

HttpClientOptions To(uint16_t port) {
  HttpClientOptions options;
  options.endpoint.host = "127.0.0.1";
  options.endpoint.port = port;
  return options;
}

constexpr std::string_view kOk = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

TEST_CASE("a kept connection serves several requests") {
  RawServer server([](RawServed& served, int) {
    while (served.ReadHead()) served.Send(kOk);
  });
  Io io;
  HttpClient client(io, To(server.port()));

  for (int i = 0; i < 5; ++i) {
    const auto response = client.Do(Call::WithTimeout(std::chrono::seconds(10)), Get("/"));
    REQUIRE(response.ok());
    CHECK(response->body == "ok");
  }

  CHECK(server.connections() == 1);
  client.DropIdle();
}

TEST_CASE("a kept connection that nobody uses is closed in its time") {
  // The leak test found twenty sockets of the daemons' busiest moment, half closed, for ever.
  std::atomic<bool> closed = false;
  RawServer server([&closed](RawServed& served, int) {
    while (served.ReadHead()) served.Send(kOk);
    closed = true;
  });
  Io io;
  HttpClientOptions options = To(server.port());
  options.idle_timeout = std::chrono::milliseconds(100);
  HttpClient client(io, std::move(options));

  REQUIRE(client.Do(Call::WithTimeout(std::chrono::seconds(10)), Get("/")).ok());

  CHECK(Eventually([&] { return closed.load(); }));
  CHECK(client.Do(Call::WithTimeout(std::chrono::seconds(10)), Get("/")).ok());
}

TEST_CASE("an idempotent request survives a kept connection that the server has closed") {
  RawServer server([](RawServed& served, int) {
    if (served.ReadHead()) served.Send(kOk);  // then closes without saying so
  });
  Io io;
  HttpClient client(io, To(server.port()));
  const Call call = Call::WithTimeout(std::chrono::seconds(10));

  REQUIRE(client.Do(call, Get("/1")).ok());
  REQUIRE(Eventually([&] { return server.connections() == 1; }));
  const auto second = client.Do(call, Get("/2"));

  INFO(second.status().ToString());
  CHECK(second.ok());
  CHECK(server.connections() == 2);
}

TEST_CASE("a request that must not be repeated is sent once, on a connection of its own") {
  RawServer server([](RawServed& served, int number) {
    if (number == 1) {
      while (served.ReadHead()) served.Send(kOk);
    } else {
      served.ReadHead();  // and closes without an answer
    }
  });
  Io io;
  const Call call = Call::WithTimeout(std::chrono::seconds(10));
  HttpClient client(io, To(server.port()));
  REQUIRE(client.Do(call, Get("/1")).ok());
  client.DropIdle();

  const auto once = client.Do(call, Get("/once"), false);

  CHECK(once.status().code() == Code::kUnavailable);
  CHECK(server.connections() == 2);
}

TEST_CASE("answers that make no sense are errors") {
  const auto answer = GENERATE(as<std::string>(), "hello\r\n\r\n",
                               "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
                               "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
                               "HTTP/1.1 200 OK\r\nContent-Le", "");
  RawServer server([answer](RawServed& served, int) {
    if (served.ReadHead()) served.Send(answer);
  });
  Io io;
  HttpClient client(io, To(server.port()));

  INFO(answer);
  const auto response = client.Do(Call::WithTimeout(std::chrono::seconds(10)), Get("/"));
  CHECK(response.status().code() == Code::kUnavailable);
}

TEST_CASE("a server that does not answer costs the call's time and no more") {
  RawServer server([](RawServed& served, int) { served.WaitForClose(); });
  Io io;
  HttpClient client(io, To(server.port()));
  const auto begun = std::chrono::steady_clock::now();

  const auto response = client.Do(Call::WithTimeout(std::chrono::milliseconds(150)), Get("/"));

  CHECK(response.status().code() == Code::kDeadlineExceeded);
  CHECK(std::chrono::steady_clock::now() - begun < std::chrono::seconds(5));
}

TEST_CASE("a cancelled call ends its request") {
  std::atomic<bool> arrived = false;
  RawServer server([&](RawServed& served, int) {
    served.ReadHead();
    arrived = true;
    served.WaitForClose();
  });
  Io io;
  HttpClient client(io, To(server.port()));
  const Call call = Call::WithTimeout(std::chrono::seconds(60));
  std::jthread canceller([&] {
    Eventually([&] { return arrived.load(); });
    call.Cancel();
  });

  CHECK(client.Do(call, Get("/")).status().code() == Code::kCancelled);
}

TEST_CASE("a refused connection and an unknown name say so") {
  uint16_t unused = 0;
  {
    RawServer server([](RawServed&, int) {});
    unused = server.port();
  }
  Io io;

  HttpClient refused(io, To(unused));
  const auto response = refused.Do(Call::WithTimeout(std::chrono::seconds(10)), Get("/"));

  CHECK(response.status().code() == Code::kUnavailable);
  CHECK_THAT(response.status().message(), Catch::Contains("Connection refused"));
}

TEST_CASE("an answer above the limit is refused") {
  RawServer server([](RawServed& served, int) {
    served.ReadHead();
    served.Send("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
    served.WaitForClose();
  });
  Io io;
  HttpClientOptions options = To(server.port());
  options.max_response = 1000;
  HttpClient client(io, std::move(options));

  CHECK_FALSE(client.Do(Call::WithTimeout(std::chrono::seconds(10)), Get("/")).ok());
}

TEST_CASE("an endless head of a chunk, and endless trailers, end the request") {
  const auto begin = GENERATE(as<std::string>(), "1;", "0\r\nX-Trailer: ");
  RawServer server([&](RawServed& served, int) {
    served.ReadHead();
    served.Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + begin);
    for (int i = 0; i < 100; ++i) served.Send(std::string(1000, 'x'));
    served.WaitForClose();
  });
  Io io;
  HttpClient client(io, To(server.port()));
  const Call call = Call::WithTimeout(std::chrono::seconds(10));

  SECTION("whole") { CHECK(client.Do(call, Get("/")).status().code() == Code::kUnavailable); }
  SECTION("as a stream") {
    const Status end = client.Stream(
        call, Get("/"), std::chrono::seconds(10), [](const HttpResponse&) { return Status::Ok(); },
        [](std::string_view) { return Status::Ok(); });
    CHECK(end.code() == Code::kUnavailable);
  }
}

TEST_CASE("a stream is handed over piece by piece") {
  RawServer server([](RawServed& served, int) {
    served.ReadHead();
    served.Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n");
    served.Send("3\r\ntwo\r\n0\r\n\r\n");
  });
  Io io;
  HttpClient client(io, To(server.port()));
  std::string text;
  int status = 0;

  const Status end = client.Stream(
      Call::WithTimeout(std::chrono::seconds(10)), Get("/"), std::chrono::seconds(5),
      [&](const HttpResponse& head) {
        status = head.status;
        return Status::Ok();
      },
      [&](std::string_view bytes) {
        text += bytes;
        return Status::Ok();
      });

  CHECK(end.ok());
  CHECK(status == 200);
  CHECK(text == "onetwo");
}

TEST_CASE("a stream that falls silent, is cut or is refused ends with the reason") {
  const auto none = [](const HttpResponse&) { return Status::Ok(); };
  const auto drop = [](std::string_view) { return Status::Ok(); };
  const Call call = Call::WithTimeout(std::chrono::seconds(30));
  Io io;

  SECTION("silent") {
    RawServer server([](RawServed& served, int) {
      served.ReadHead();
      served.Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n");
      served.WaitForClose();
    });
    HttpClient client(io, To(server.port()));
    CHECK(client.Stream(call, Get("/"), std::chrono::milliseconds(100), none, drop).code() ==
          Code::kDeadlineExceeded);
  }
  SECTION("cut") {
    RawServer server([](RawServed& served, int) {
      served.ReadHead();
      served.Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n");
    });
    HttpClient client(io, To(server.port()));
    CHECK(client.Stream(call, Get("/"), std::chrono::seconds(5), none, drop).code() ==
          Code::kUnavailable);
  }
  SECTION("refused, with the whole body of the refusal") {
    RawServer server([](RawServed& served, int) {
      served.ReadHead();
      served.Send("HTTP/1.1 409 Conflict\r\nContent-Length: 6\r\n\r\nwh");
      served.Send("y not");
    });
    HttpClient client(io, To(server.port()));
    std::string body;
    const Status end = client.Stream(
        call, Get("/"), std::chrono::seconds(5),
        [&](const HttpResponse& head) {
          body = head.body;
          return FailedPrecondition(head.body);
        },
        drop);
    CHECK(end.code() == Code::kFailedPrecondition);
    CHECK(body == "why no");
  }
  SECTION("a consumer that fails") {
    RawServer server([](RawServed& served, int) {
      served.ReadHead();
      served.Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n");
      served.WaitForClose();
    });
    HttpClient client(io, To(server.port()));
    CHECK(client
              .Stream(call, Get("/"), std::chrono::seconds(5), none,
                      [](std::string_view) { return DataLoss("no"); })
              .code() == Code::kDataLoss);
  }
}

// A disk that stalls for longer than the call's patience: what the function uses is its caller's.
TEST_CASE("a stream does not return while a function of its caller runs") {
  RawServer server([](RawServed& served, int) {
    served.ReadHead();
    served.Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n");
    served.WaitForClose();
  });
  std::atomic<bool> inside = false;
  std::promise<void> disk;
  Io io;
  HttpClient client(io, To(server.port()));

  const Status end = client.Stream(
      Call::WithTimeout(std::chrono::seconds(8)), Get("/"), std::chrono::seconds(60),
      [](const HttpResponse&) { return Status::Ok(); },
      [&](std::string_view) {
        inside = true;
        const auto stall = disk.get_future().wait_for(std::chrono::seconds(20));
        inside = false;
        return stall == std::future_status::timeout ? Status::Ok() : DataLoss("no stall");
      });

  CHECK_FALSE(inside);
  CHECK(end.code() == Code::kUnavailable);
}

// Whoever asks may hold a lock that the reply takes.
TEST_CASE("a request whose time is over is not answered within its call") {
  Io io(1);
  HttpClient client(io, To(1));
  bool within = false;  // of the one io thread
  std::promise<Status> replied;
  const auto ask = [&]() -> Awaitable<void> {
    within = true;
    client.DoAsync(Call::WithTimeout(Duration::zero()), Get("/"), true,
                   [&](Result<HttpResponse> answer) {
                     replied.set_value(within ? InternalError("within") : answer.status());
                   });
    within = false;
    co_return;
  };

  Io::Spawn(io.Strand(), ask());

  CHECK(replied.get_future().get().code() == Code::kDeadlineExceeded);
}

Awaitable<void> EchoTo(HttpRequest request, Responder& responder, std::atomic<int>* failed) {
  HttpResponse response;
  response.body = std::move(request.body);
  if (!(co_await responder.Send(std::move(response))).ok()) ++*failed;
}

TEST_CASE("a hundred callers at once each get their own answer") {
  Io io;
  std::atomic<int> failed = 0;
  auto listener = Listener::Tcp(io, "127.0.0.1", 0, nullptr);
  REQUIRE(listener.ok());
  HttpServer server(io, *std::move(listener), {}, [&](HttpRequest request, Responder& responder) {
    return EchoTo(std::move(request), responder, &failed);
  });
  server.Start();
  HttpClient client(io, To(server.port()));
  std::atomic<int> right = 0;
  {
    std::vector<std::jthread> callers;
    for (int i = 0; i < 100; ++i) {
      callers.emplace_back([&, i] {
        for (int j = 0; j < 5; ++j) {
          HttpRequest request = Get("/");
          request.method = "POST";
          request.body = std::to_string(i) + "/" + std::to_string(j) + std::string(5000, 'x');
          const std::string body = request.body;
          const auto response =
              client.Do(Call::WithTimeout(std::chrono::seconds(30)), std::move(request));
          if (response.ok() && response->body == body) ++right;
        }
      });
    }
  }

  CHECK(right == 500);
  CHECK(failed == 0);
  server.Stop(std::chrono::seconds(5));
}

TEST_CASE("HTTP works over a unix socket, which goes when its listener closes") {
  Io io;
  std::atomic<int> failed = 0;
  const std::string path = "/tmp/interlink-net-test-" + std::to_string(getpid()) + ".sock";
  {
    auto listener = Listener::OnUnix(io, path, 0600);
    REQUIRE(listener.ok());
    CHECK(Listener::OnUnix(io, path, 0600).status().code() == Code::kAlreadyExists);
    HttpServer server(io, *std::move(listener), {}, [&](HttpRequest request, Responder& responder) {
      return EchoTo(std::move(request), responder, &failed);
    });
    server.Start();
    HttpClientOptions options;
    options.endpoint.unix_path = path;
    HttpClient client(io, std::move(options));
    HttpRequest request = Get("/");
    request.method = "PUT";
    request.body = "hello";
    const auto response = client.Do(Call::WithTimeout(std::chrono::seconds(10)), request);
    REQUIRE(response.ok());
    CHECK(response->body == "hello");
    server.Stop(std::chrono::seconds(5));
  }
  CHECK(access(path.c_str(), F_OK) != 0);
}

TEST_CASE("a unix socket that a dead process left behind is replaced, a file is not") {
  Io io;
  const std::string path = "/tmp/interlink-net-test-" + std::to_string(getpid()) + ".left";
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  {
    const UniqueFd dead(socket(AF_UNIX, SOCK_STREAM, 0));
    REQUIRE(bind(dead.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  }
  { CHECK(Listener::OnUnix(io, path, 0600).ok()); }

  const UniqueFd file(open(path.c_str(), O_CREAT | O_WRONLY, 0600));
  CHECK_FALSE(Listener::OnUnix(io, path, 0600).ok());
  CHECK(access(path.c_str(), F_OK) == 0);
  unlink(path.c_str());
}

}  // namespace
}  // namespace interlink::net
