// When the log stream is made anew.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "base/log.h"
#include "base/unique_fd.h"
#include "net/io.h"
#include "site_client/site_client.h"

namespace interlink::site_client {
namespace {

using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace)

// A site that takes each connection and closes it.
class ClosingSite {
 public:
  ClosingSite() : socket_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    REQUIRE(bind(socket_.get(), generic, size) == 0);
    REQUIRE(listen(socket_.get(), 16) == 0);
    REQUIRE(getsockname(socket_.get(), generic, &size) == 0);
    port_ = ntohs(address.sin_port);
  }
  uint16_t port() const { return port_; }
  bool TakeOne(std::chrono::milliseconds limit) const {
    pollfd wait{socket_.get(), POLLIN, 0};
    if (poll(&wait, 1, static_cast<int>(limit.count())) != 1) return false;
    return UniqueFd(accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC)).valid();
  }

 private:
  UniqueFd socket_;
  uint16_t port_ = 0;
};

class NoLogs final : public node::LogSink {
 public:
  void OnLogStreamOpen() override {}
  void OnLogStreamLost(const Status&) override {}
  void OnLogChunk(const ContainerId&, uint64_t, std::string, uint64_t) override {}
  void OnLogEnd(const ContainerId&, uint64_t) override {}
  void OnLogFailed(const ContainerId&, const Status&) override {}
};

// The site was killed twice within seconds; the second time its log stream came back 6 s after the
// link, and a container that had ended meanwhile was shown without its log.
TEST_CASE("a site that comes into reach has its log stream at once, whatever went before") {
  const ClosingSite site;
  net::Io io(1);
  NullLog log;
  const auto client = Create(io, {.endpoint = {.host = "127.0.0.1", .port = site.port()}}, log);
  NoLogs sink;
  const auto stream = client->OpenLogs(sink);
  // After pauses of 0.1, 0.2 ... 1.6 s the next is one of 3.2 s.
  for (int i = 0; i < 6; ++i) REQUIRE(site.TakeOne(30s));

  client->SetReachable({});

  CHECK(site.TakeOne(2800ms));
}

TEST_CASE("a site that is out of reach is not called for logs") {
  const ClosingSite site;
  net::Io io(1);
  NullLog log;
  const auto client = Create(io, {.endpoint = {.host = "127.0.0.1", .port = site.port()}}, log);
  NoLogs sink;
  client->SetReachable(Unavailable("it does not answer"));
  const auto stream = client->OpenLogs(sink);

  CHECK_FALSE(site.TakeOne(400ms));
  client->SetReachable({});
  CHECK(site.TakeOne(30s));
}

}  // namespace
}  // namespace interlink::site_client
