// The relay with both of its ends: what passes, in which order it ends, and who is kept out.
#include "agent/relay.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <csignal>
#include <cstring>
#include <future>
#include <optional>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "base/file.h"
#include "support/eventually.h"
#include "support/temporary_folder.h"

namespace interlink::agent {
namespace {

constexpr const char* kGreeting = "hello-1";
constexpr int kPatienceMs = 10'000;

std::pair<UniqueFd, UniqueFd> Pipe() {
  std::array<int, 2> fds{};
  REQUIRE(pipe2(fds.data(), O_CLOEXEC) == 0);
  return {UniqueFd(fds[0]), UniqueFd(fds[1])};
}

UniqueFd Connect(const std::string& path) {
  UniqueFd end(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  if (connect(end.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return UniqueFd();
  }
  return end;
}

bool Readable(const UniqueFd& fd, int millis = kPatienceMs) {
  pollfd item{fd.get(), POLLIN, 0};
  return poll(&item, 1, millis) > 0;
}

// Until the end, or `size` bytes.
std::string ReadUpTo(const UniqueFd& fd, size_t size = std::string::npos) {
  std::string text;
  std::array<char, 65536> buffer{};
  while (text.size() < size && Readable(fd)) {
    const ssize_t n = read(fd.get(), buffer.data(), std::min(buffer.size(), size - text.size()));
    if (n <= 0) break;
    text.append(buffer.data(), static_cast<size_t>(n));
  }
  return text;
}

void Send(const UniqueFd& fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = write(fd.get(), text.data(), text.size());
    if (n <= 0) return;
    text.remove_prefix(static_cast<size_t>(n));
  }
}

std::string Noise(size_t size) {
  std::string noise(size, '\0');
  std::minstd_rand random(7);
  for (char& c : noise) c = static_cast<char>(random());
  return noise;
}

// A relay in a thread, as a step has it: the site's ends of its stdin and stdout.
struct Relaying {
  explicit Relaying(Duration wait = std::chrono::seconds(10),
                    Duration farewell = std::chrono::milliseconds(300)) {
    signal(SIGPIPE, SIG_IGN);
    REQUIRE(chmod(folder.path().c_str(), 0700) == 0);
    options = {folder.File("hub.sock"), kGreeting, wait, farewell};
  }
  void Start() {
    auto [in, to] = Pipe();
    auto [from, out] = Pipe();
    to_relay = std::move(to);
    from_relay = std::move(from);
    end = std::async(std::launch::async, [this, in = in.Release(), out = out.Release()] {
      return RunRelay(options, UniqueFd(in), UniqueFd(out));
    });
  }
  void StartAndGreet() {
    Start();
    REQUIRE(ReadUpTo(from_relay, 8) == "hello-1\n");
  }
  UniqueFd Agent() {
    UniqueFd agent = Connect(options.socket);
    REQUIRE(agent.valid());
    return agent;
  }
  // Its end, which must come.
  Status End() {
    REQUIRE(end.wait_for(std::chrono::seconds(20)) == std::future_status::ready);
    return end.get();
  }
  bool Goes() {
    return end.wait_for(std::chrono::milliseconds(100)) == std::future_status::timeout;
  }

  test::TemporaryFolder folder;
  RelayOptions options;
  UniqueFd to_relay;
  UniqueFd from_relay;
  std::future<Status> end;
};

}  // namespace

TEST_CASE("A relay greets the site, and carries what the agent and the site say") {
  Relaying relay;
  relay.StartAndGreet();
  const UniqueFd agent = relay.Agent();

  Send(agent, "client hello");
  CHECK(ReadUpTo(relay.from_relay, 12) == "client hello");
  Send(relay.to_relay, "server hello");
  CHECK(ReadUpTo(agent, 12) == "server hello");
  CHECK(relay.Goes());
}

TEST_CASE("The agent ends: the site reads what it said last, then the end") {
  // srun tells of the end by its own only: whoever is gone has no farewell.
  Relaying relay(std::chrono::seconds(10), std::chrono::hours(1));
  relay.StartAndGreet();
  UniqueFd agent = relay.Agent();

  Send(agent, "last words");
  agent.Reset();

  CHECK(ReadUpTo(relay.from_relay) == "last words");
  CHECK(relay.End().ok());
}

TEST_CASE("The site ends: the agent reads what it said last, then the end, and may still answer") {
  Relaying relay(std::chrono::seconds(10), std::chrono::seconds(10));
  relay.StartAndGreet();
  UniqueFd agent = relay.Agent();

  Send(relay.to_relay, "bye");
  relay.to_relay.Reset();
  CHECK(ReadUpTo(agent) == "bye");
  CHECK(relay.Goes());
  Send(agent, "bye too");
  agent.Reset();

  CHECK(ReadUpTo(relay.from_relay) == "bye too");
  CHECK(relay.End().ok());
}

TEST_CASE("A half of a connection that does not end is cut after the farewell") {
  const bool site = GENERATE(true, false);
  Relaying relay;
  relay.StartAndGreet();
  const UniqueFd agent = relay.Agent();

  if (site) {
    relay.to_relay.Reset();
  } else {
    shutdown(agent.get(), SHUT_WR);
  }

  CHECK(relay.End().ok());
  CHECK(ReadUpTo(site ? agent : relay.from_relay).empty());
}

TEST_CASE("The site stops reading and is gone: the relay ends though the agent stays") {
  Relaying relay;
  relay.StartAndGreet();
  const UniqueFd agent = relay.Agent();
  Send(agent, "x");
  CHECK(ReadUpTo(relay.from_relay, 1) == "x");

  relay.from_relay.Reset();

  CHECK(relay.End().ok());
  CHECK(ReadUpTo(agent).empty());
}

TEST_CASE("Much data passes whole in both directions at once") {
  Relaying relay(std::chrono::seconds(10), std::chrono::seconds(10));
  relay.StartAndGreet();
  UniqueFd agent = relay.Agent();
  const std::string up = Noise(40 << 20);
  const std::string down = Noise(30 << 20);

  std::jthread site_writes([&] {
    Send(relay.to_relay, down);
    relay.to_relay.Reset();
  });
  std::jthread agent_writes([&] {
    Send(agent, up);
    shutdown(agent.get(), SHUT_WR);
  });
  auto at_agent = std::async(std::launch::async, [&] { return ReadUpTo(agent); });

  CHECK((ReadUpTo(relay.from_relay) == up));
  CHECK((at_agent.get() == down));
  CHECK(relay.End().ok());
}

TEST_CASE("A site that does not read holds the agent up, and the other direction goes on") {
  Relaying relay;
  relay.StartAndGreet();
  const UniqueFd agent = relay.Agent();
  fcntl(agent.get(), F_SETFL, O_NONBLOCK);
  const std::string block(65536, 'x');

  size_t sent = 0;
  int full = 0;
  while (full < 20 && sent < (64U << 20U)) {
    const ssize_t n = write(agent.get(), block.data(), block.size());
    if (n > 0) {
      sent += static_cast<size_t>(n);
      full = 0;
    } else {
      ++full;
      std::this_thread::yield();
      pollfd item{agent.get(), POLLOUT, 0};
      poll(&item, 1, 20);
    }
  }

  CHECK(sent < (4U << 20U));
  Send(relay.to_relay, "still here");
  CHECK(ReadUpTo(agent, 10) == "still here");
  CHECK(ReadUpTo(relay.from_relay, sent).size() == sent);
}

TEST_CASE("Without an agent a relay ends") {
  Relaying relay(std::chrono::milliseconds(200));
  relay.StartAndGreet();
  CHECK(relay.End().code() == Code::kUnavailable);
}

TEST_CASE("A site that leaves before the agent came ends the relay") {
  Relaying relay;
  relay.StartAndGreet();
  relay.to_relay.Reset();
  CHECK(relay.End().ok());
}

TEST_CASE("A site that speaks before the agent is no site") {
  Relaying relay;
  relay.StartAndGreet();
  Send(relay.to_relay, "GET / HTTP/1.1\r\n");
  CHECK(relay.End().code() == Code::kFailedPrecondition);
}

TEST_CASE("A relay takes one connection: a second agent is refused while it lasts") {
  Relaying relay;
  relay.StartAndGreet();
  const UniqueFd agent = relay.Agent();
  Send(agent, "x");
  CHECK(ReadUpTo(relay.from_relay, 1) == "x");

  UniqueFd second;
  CHECK(test::Eventually([&] { return !(second = Connect(relay.options.socket)).valid(); }));
}

TEST_CASE("What an earlier relay has left is replaced, and one that still waits loses its place") {
  Relaying relay;
  relay.StartAndGreet();
  Relaying next;
  next.options.socket = relay.options.socket;
  next.StartAndGreet();

  const UniqueFd agent = next.Agent();
  Send(agent, "to the next");

  CHECK(ReadUpTo(next.from_relay, 11) == "to the next");
  CHECK(relay.End().code() == Code::kUnavailable);
  CHECK(ReadUpTo(relay.from_relay).empty());
}

TEST_CASE("A relay that carries ends when another one has taken its place") {
  Relaying relay;
  relay.StartAndGreet();
  const UniqueFd agent = relay.Agent();
  Send(agent, "x");
  CHECK(ReadUpTo(relay.from_relay, 1) == "x");
  Relaying next;
  next.options.socket = relay.options.socket;

  next.StartAndGreet();

  CHECK(relay.End().ok());
  CHECK(ReadUpTo(agent).empty());
  CHECK(next.Goes());
}

TEST_CASE("A folder that others can use is refused, and nothing is said") {
  const mode_t mode = GENERATE(0750, 0701, 0777);
  Relaying relay;
  REQUIRE(chmod(relay.folder.path().c_str(), mode) == 0);
  relay.Start();
  CHECK(relay.End().code() == Code::kPermissionDenied);
  CHECK(ReadUpTo(relay.from_relay).empty());
}

TEST_CASE("A link to a folder, a path without one and one that is too long are refused") {
  Relaying relay;
  const std::string link = relay.folder.File("link");
  REQUIRE(symlink(relay.folder.path().c_str(), link.c_str()) == 0);
  const std::vector<std::pair<std::string, Code>> wrong = {
      {link + "/hub.sock", Code::kFailedPrecondition},
      {"hub.sock", Code::kInvalidArgument},
      {"/hub.sock", Code::kInvalidArgument},
      {relay.folder.File("absent/hub.sock"), Code::kNotFound}};
  for (const auto& [path, code] : wrong) {
    CAPTURE(path);
    relay.options.socket = path;
    relay.Start();
    CHECK(relay.End().code() == code);
  }

  const std::string deep = relay.folder.File(std::string(90, 'd'));
  REQUIRE(MakeDirectories(deep, 0700).ok());
  Relaying long_one;
  long_one.options.socket = deep + "/hub.sock";
  long_one.Start();
  CHECK(long_one.End().code() == Code::kInvalidArgument);
}

}  // namespace interlink::agent
