#include "agent_hub/relay_pump.h"

#include <array>
#include <memory>
#include <utility>

#include "net/reply_wait.h"

namespace interlink::agent_hub {
namespace {

constexpr size_t kRelayPiece = size_t{64} << 10U;
constexpr auto kDialWithin = std::chrono::seconds(10);
constexpr auto kRelayFarewell = std::chrono::seconds(10);
// Silence is the control stream's to notice, by its heartbeats.
constexpr auto kQuietRelay = std::chrono::hours(24);

SteadyTime FromNow(Duration time) { return std::chrono::steady_clock::now() + time; }

// Owners: its coroutines.
struct Relayed {
  explicit Relayed(std::function<void()> when_over) : over(std::move(when_over)) {}
  ~Relayed() { over(); }
  Relayed(const Relayed&) = delete;
  Relayed& operator=(const Relayed&) = delete;

  const std::function<void()> over;
  std::shared_ptr<net::Connection> relay;
  std::shared_ptr<net::Connection> hub;
  std::shared_ptr<net::Signal> ended;  // both directions have
  int ways = 2;                        // that go on
};
using RelayedPtr = std::shared_ptr<Relayed>;

void CutRelay(const RelayedPtr& relayed) {
  relayed->relay->Cancel();
  relayed->hub->Cancel();
  relayed->ended->Set();
}

net::Awaitable<void> CutAfterFarewell(RelayedPtr relayed) {
  const bool ended = co_await relayed->ended->Wait(FromNow(kRelayFarewell));
  if (!ended) CutRelay(relayed);
}

net::Awaitable<void> PumpWay(RelayedPtr relayed, std::shared_ptr<net::Connection> from,
                             std::shared_ptr<net::Connection> to) {
  const auto buffer = std::make_unique<std::array<char, kRelayPiece>>();
  while (true) {
    const auto read = co_await from->Read(*buffer, FromNow(kQuietRelay));
    if (!read.ok()) {
      CutRelay(relayed);
      co_return;
    }
    if (*read == 0) break;
    const std::string_view bytes(buffer->data(), *read);
    const Status written = co_await to->Write(bytes, FromNow(kQuietRelay));
    if (!written.ok()) {
      CutRelay(relayed);
      co_return;
    }
  }
  co_await to->ShutdownWrite();
  if (--relayed->ways == 0) {
    relayed->ended->Set();
  } else {
    net::Io::Spawn(from->executor(), CutAfterFarewell(relayed));
  }
}

net::Awaitable<void> DialAndPump(RelayedPtr relayed, net::Endpoint endpoint) {
  const auto strand = relayed->relay->executor();
  auto hub = co_await net::Connect(strand, endpoint, FromNow(kDialWithin));
  if (!hub.ok()) {
    relayed->relay->Cancel();
    co_return;
  }
  relayed->hub = *std::move(hub);
  relayed->ended = std::make_shared<net::Signal>(strand);
  relayed->relay->AllowPauses();
  relayed->hub->AllowPauses();
  net::Io::Spawn(strand, PumpWay(relayed, relayed->relay, relayed->hub));
  net::Io::Spawn(strand, PumpWay(relayed, relayed->hub, relayed->relay));
}

}  // namespace

Status CarryRelay(net::Io& io, UniqueFd relay, const net::Endpoint& hub,
                  std::function<void()> over) {
  const auto strand = io.Strand();
  ASSIGN_OR_RETURN(auto connection, net::Adopt(strand, std::move(relay)));
  const auto relayed = std::make_shared<Relayed>(std::move(over));
  relayed->relay = std::move(connection);
  net::Io::Spawn(strand, DialAndPump(relayed, hub));
  return {};
}

net::Endpoint LoopbackOf(const std::string& address, uint16_t port) {
  net::Endpoint endpoint;
  endpoint.port = port;
  endpoint.host = address;
  if (address == "0.0.0.0" || address.empty()) endpoint.host = "127.0.0.1";
  if (address == "::" || address == "[::]") endpoint.host = "::1";
  return endpoint;
}

}  // namespace interlink::agent_hub
