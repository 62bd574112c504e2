#include "net/connection.h"

#include <dirent.h>
#include <netinet/tcp.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <future>

#include "raw_peer.h"
#include "support/eventually.h"

namespace interlink::net {
namespace {

using test::Eventually;
using test::RawPeer;

using ConnectionResult = Result<std::shared_ptr<Connection>>;

Awaitable<void> AcceptOne(Listener* listener, Io* io, std::promise<ConnectionResult>* accepted) {
  accepted->set_value(co_await listener->Accept(*io));
}

struct ConnectionFixture {
  ConnectionFixture() {
    auto made = Listener::Tcp(io, "127.0.0.1", 0, nullptr);
    REQUIRE(made.ok());
    listener = *std::move(made);
    Io::Spawn(listener->executor(), AcceptOne(listener.get(), &io, &accepted));
  }
  std::shared_ptr<Connection> Accepted() {
    auto future = accepted.get_future();
    REQUIRE(future.wait_for(std::chrono::seconds(20)) == std::future_status::ready);
    auto connection = future.get();
    REQUIRE(connection.ok());
    return *connection;
  }

  std::promise<ConnectionResult> accepted;
  Io io;
  std::unique_ptr<Listener> listener;
};

// The descriptor of this process whose peer is `port` here.
int FindPeer(uint16_t port) {
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(opendir("/proc/self/fd"), closedir);
  REQUIRE(folder != nullptr);
  while (const dirent* entry = readdir(folder.get())) {  // NOLINT(concurrency-mt-unsafe)
    const int fd = std::atoi(entry->d_name);
    sockaddr_in address{};
    socklen_t size = sizeof address;
    if (getpeername(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0 &&
        address.sin_family == AF_INET && ntohs(address.sin_port) == port) {
      return fd;
    }
  }
  return -1;
}

unsigned UserTimeout(int fd) {
  unsigned value = 1;
  socklen_t size = sizeof value;
  REQUIRE(getsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &value, &size) == 0);
  return value;
}

TEST_CASE("a peer that has finished is noticed while its bytes are unread") {
  ConnectionFixture fixture;
  RawPeer peer(fixture.listener->port());
  const auto connection = fixture.Accepted();
  peer.Send("unread");
  CHECK_FALSE(connection->PeerFinished());

  peer.FinishSending();

  CHECK(Eventually([&] { return connection->PeerFinished(); }));
}

TEST_CASE("a connection that allows pauses has no limit of its own for a peer that takes nothing") {
  ConnectionFixture fixture;
  const RawPeer peer(fixture.listener->port());
  const auto connection = fixture.Accepted();
  const int fd = FindPeer(peer.port());
  REQUIRE(fd >= 0);
  CHECK(UserTimeout(fd) == 30'000);

  connection->AllowPauses();

  CHECK(UserTimeout(fd) == 0);
}

}  // namespace
}  // namespace interlink::net
