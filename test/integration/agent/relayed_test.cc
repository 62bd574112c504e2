// An agent whose connection goes through a relay, and a hub that carries it: TLS from end to end.
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <csignal>
#include <future>

#include "agent/relay.h"
#include "running_agent.h"
#include "support/eventually.h"

namespace interlink::test {
namespace {

const ContainerId kOne(std::string(64, 'c'));

bool ReadLine(int fd, std::string& line) {
  char byte = 0;
  while (read(fd, &byte, 1) == 1) {
    if (byte == '\n') return true;
    line += byte;
  }
  return false;
}

// What a step's stdio is: one socket between the relay and whoever started it.
class RelayRun {
 public:
  explicit RelayRun(AgentLab& lab) {
    signal(SIGPIPE, SIG_IGN);
    std::array<int, 2> ends{};
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0);
    site_ = UniqueFd(ends[0]);
    agent::RelayOptions options;
    options.socket = Socket(lab);
    options.greeting = "hello";
    options.farewell = std::chrono::milliseconds(500);
    relay_ = std::async(std::launch::async, [options, in = ends[1], out = dup(ends[1])] {
      return agent::RunRelay(options, UniqueFd(in), UniqueFd(out));
    });
    std::string line;
    REQUIRE(ReadLine(site_.get(), line));
    REQUIRE(line == "hello");
  }
  ~RelayRun() { Cut(); }

  static std::string Socket(const AgentLab& lab) { return lab.folder.File("relay/hub.sock"); }
  Status Carry(AgentLab& lab) {
    return lab.hub->Carry(UniqueFd(dup(site_.get())), [over = over_] { ++*over; });
  }
  // As a killed srun.
  void Cut() {
    if (site_) shutdown(site_.get(), SHUT_RDWR);
  }
  bool Ends() { return relay_.wait_for(std::chrono::seconds(20)) == std::future_status::ready; }
  int over() const { return *over_; }

 private:
  UniqueFd site_;
  std::shared_ptr<std::atomic<int>> over_ = std::make_shared<std::atomic<int>>(0);
  std::future<Status> relay_;
};

struct RelayedLab : AgentLab {
  RelayedLab() { REQUIRE(MakeDirectories(folder.File("relay"), 0700).ok()); }
  agent::ChannelOptions Relayed() {
    agent::ChannelOptions relayed = ChannelOf(pod);
    relayed.address = "unix:" + RelayRun::Socket(*this);
    relayed.server_name = "127.0.0.1";
    return relayed;
  }
  // An agent that knows no other way.
  std::unique_ptr<RunningAgent> RelayedAgent() {
    return std::make_unique<RunningAgent>(*this, nonce, std::chrono::seconds(10), false, Relayed());
  }
};

}  // namespace

TEST_CASE("through a relay an agent is welcomed, runs a container and has sessions") {
  RelayedLab lab;
  RelayRun relay(lab);
  const auto agent = lab.RelayedAgent();
  REQUIRE(relay.Carry(lab).ok());
  REQUIRE(Eventually([&] { return lab.events.came(lab.nonce) == 1; }));
  lab.RunPod();
  lab.Ask(CreateCommand(kOne, {"run"}));
  lab.Ask(StartCommand(kOne));
  REQUIRE(
      Eventually([&] { return lab.events.Latest(kOne).state == sdk::Observation::State::kUp; }));

  const std::string much(60'000, 'x');
  const SessionOutput echo = lab.Exec(kOne, {"cat"}, much);
  CHECK((echo.out == much));
  CHECK(echo.code == 0);
  CHECK(lab.Exec(kOne, {"exit", "7"}).code == 7);
  CHECK(lab.Exec(kOne, {"flood", "5000000"}).out.size() == 5'000'000);
  CHECK(relay.over() == 0);
}

TEST_CASE("an agent whose relay is cut comes back through the next one") {
  RelayedLab lab;
  auto relay = std::make_unique<RelayRun>(lab);
  const auto agent = lab.RelayedAgent();
  REQUIRE(relay->Carry(lab).ok());
  REQUIRE(Eventually([&] { return lab.events.came(lab.nonce) == 1; }));

  relay->Cut();
  CHECK(relay->Ends());
  CHECK(Eventually([&] { return relay->over() == 1; }));
  CHECK(Eventually([&] { return lab.events.went() == 1; }));
  relay = std::make_unique<RelayRun>(lab);
  REQUIRE(relay->Carry(lab).ok());

  CHECK(Eventually([&] { return lab.events.came(lab.nonce) == 2; }));
}

TEST_CASE("a hub that ends ends what it carries, and the relay with it") {
  RelayedLab lab;
  auto relay = std::make_unique<RelayRun>(lab);
  const auto agent = lab.RelayedAgent();
  REQUIRE(relay->Carry(lab).ok());
  REQUIRE(Eventually([&] { return lab.events.came(lab.nonce) == 1; }));

  lab.StopHub();
  CHECK(Eventually([&] { return relay->over() == 1; }));
  relay->Cut();
  CHECK(relay->Ends());
  lab.StartHub();
  relay = std::make_unique<RelayRun>(lab);
  REQUIRE(relay->Carry(lab).ok());

  CHECK(Eventually([&] { return lab.events.came(lab.nonce) == 2; }));
}

TEST_CASE("a relay of nonsense gets nothing, and the hub goes on") {
  RelayedLab lab;
  std::array<int, 2> ends{};
  REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0);
  UniqueFd stranger(ends[0]);
  const auto over = std::make_shared<std::atomic<int>>(0);
  REQUIRE(lab.hub->Carry(UniqueFd(ends[1]), [over] { ++*over; }).ok());
  const std::string text = "GET / HTTP/1.1\r\n\r\n";
  REQUIRE(write(stranger.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()));

  char byte = 0;
  while (read(stranger.get(), &byte, 1) > 0) {
  }
  stranger.Reset();
  CHECK(Eventually([&] { return *over == 1; }));
  CHECK(lab.events.came() == 0);
  const RunningAgent agent(lab, lab.nonce);
  CHECK(Eventually([&] { return lab.events.came(lab.nonce) == 1; }));
}

TEST_CASE("a hub that was stopped carries nothing") {
  AgentLab lab;
  lab.hub->Stop();
  std::array<int, 2> ends{};
  REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0);
  const UniqueFd other(ends[0]);
  bool called = false;
  CHECK(lab.hub->Carry(UniqueFd(ends[1]), [&called] { called = true; }).code() ==
        Code::kUnavailable);
  CHECK(!called);
}

}  // namespace interlink::test
