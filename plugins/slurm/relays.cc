#include "slurm/relays.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <optional>
#include <utility>
#include <vector>

namespace interlink::slurm {
namespace {

constexpr size_t kMostNoise = size_t{64} << 10U;
constexpr size_t kMostWords = 4096;
constexpr Duration kLongestWait = std::chrono::seconds(1);
// A relay that lived so long was of use, whatever ended it.
constexpr Duration kUseful = std::chrono::seconds(10);
constexpr int kMostDoubled = 10;
// A pod's last relay ends before the site has seen that its job has ended: a few tries that fail
// are nobody's trouble.
constexpr int kFailuresToTell = 4;

SteadyTime Now() { return std::chrono::steady_clock::now(); }

enum class RelayState { kIdle, kStarting, kWaiting, kCarrying, kEnding };

const char* WordOf(RelayState state) {
  constexpr std::array<const char*, 5> kNames = {"idle", "starting", "waiting", "carrying",
                                                 "ending"};
  return kNames.at(static_cast<size_t>(state));
}

bool SameRun(const RelayTarget& a, const RelayTarget& b) {
  return a.job == b.job && a.host == b.host && a.nonce == b.nonce;
}

}  // namespace

// Wakes the thread from outside. Owners: Relays and whatever is carried.
struct Relays::Bell {
  UniqueFd fd{eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  void Ring() const {
    const uint64_t one = 1;
    // A full counter has rung already.
    const ssize_t written = write(fd.get(), &one, sizeof(one));
    static_cast<void>(written);
  }
  void Silence() const {
    uint64_t count = 0;
    const ssize_t n = read(fd.get(), &count, sizeof(count));
    static_cast<void>(n);
  }
};

// REQUIRES: state is kIdle exactly while there is no child.
struct Relays::Relay {
  RelayTarget target;
  bool wanted = true;
  RelayState state = RelayState::kIdle;
  SteadyTime due{};  // of the state: kIdle: not before; the others: not longer
  int failures = 0;
  std::string why;   // the last one was of no use
  std::string told;  // what a person knows of it

  // Of the srun that runs.
  Started srun;
  std::string greeting;
  std::string line;  // of its stdout, before the greeting
  size_t noise = 0;
  bool silent = false;  // its stdout has ended
  std::string words;    // of its stderr
  int presses = 0;
  SteadyTime began{};                       // to carry
  std::shared_ptr<std::atomic<bool>> over;  // what it carried. Owners: this and the hub

  // What the last poll has found.
  bool talk_ready = false;
  bool err_ready = false;
  bool exited = false;

  bool listens() const {
    return (state == RelayState::kStarting || state == RelayState::kWaiting) && !silent;
  }
};

Relays::Relays(Parts parts, RelaysOptions options)
    : parts_(parts), options_(std::move(options)), bell_(std::make_shared<Bell>()) {
  thread_ = std::jthread([this](const std::stop_token& stop) { Run(stop); });
}

Relays::~Relays() {
  thread_.request_stop();
  bell_->Ring();
  thread_.join();
}

void Relays::Set(std::map<SandboxId, RelayTarget> wanted, bool reached) {
  {
    const MutexLock lock(mutex_);
    if (wanted == wanted_ && reached == reached_) return;
    wanted_ = std::move(wanted);
    reached_ = reached;
  }
  bell_->Ring();
}

RelayView Relays::View(const SandboxId& id) const {
  const MutexLock lock(mutex_);
  const auto found = views_.find(id);
  return found == views_.end() ? RelayView{} : found->second;
}

void Relays::Run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    bool reached = false;
    std::map<SandboxId, RelayTarget> wanted;
    {
      const MutexLock lock(mutex_);
      wanted = wanted_;
      reached = reached_;
    }
    Take(wanted);
    TurnAll(reached);
    Wait();
  }
  EndAll();
}

void Relays::Take(const std::map<SandboxId, RelayTarget>& wanted) {
  for (auto& [id, relay] : relays_) {
    const auto found = wanted.find(id);
    relay->wanted = found != wanted.end();
    if (!relay->wanted) continue;
    const bool other = !SameRun(relay->target, found->second);
    relay->target = found->second;
    if (other && relay->state != RelayState::kIdle) End(*relay, "another job has the pod");
  }
  for (const auto& [id, target] : wanted) {
    auto& relay = relays_[id];
    if (relay == nullptr) {
      relay = std::make_unique<Relay>();
      relay->target = target;
    }
  }
}

void Relays::TurnAll(bool reached) {
  size_t starting = 0;
  for (const auto& [id, relay] : relays_) {
    if (relay->state == RelayState::kStarting) ++starting;
  }
  for (auto it = relays_.begin(); it != relays_.end();) {
    Relay& relay = *it->second;
    Turn(it->first, relay);
    if (relay.state == RelayState::kIdle && relay.wanted && relay.target.runs && reached &&
        Now() >= relay.due && starting < options_.most_starting) {
      Start(it->first, relay);
      ++starting;
    }
    const bool done = relay.state == RelayState::kIdle && !relay.wanted;
    Publish(it->first, done ? nullptr : &relay);
    it = done ? relays_.erase(it) : std::next(it);
  }
}

void Relays::Wait() {
  std::vector<pollfd> items = {{bell_->fd.get(), POLLIN, 0}};
  std::vector<bool*> found = {nullptr};
  const auto ask = [&](const UniqueFd& fd, bool& ready) {
    ready = false;
    if (!fd) return;
    items.push_back({fd.get(), POLLIN, 0});
    found.push_back(&ready);
  };
  const SteadyTime now = Now();
  SteadyTime limit = now + kLongestWait;
  for (auto& [id, relay] : relays_) {
    const bool idle = relay->state == RelayState::kIdle;
    if (relay->due > now) limit = std::min(limit, relay->due);
    if (idle) continue;
    ask(relay->srun.child.pidfd, relay->exited);
    ask(relay->srun.err, relay->err_ready);
    if (relay->listens()) ask(relay->srun.talk, relay->talk_ready);
  }
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(limit - now);
  poll(items.data(), items.size(), static_cast<int>(left.count()));
  bell_->Silence();
  for (size_t i = 1; i < items.size(); ++i) *found[i] = items[i].revents != 0;
}

void Relays::Turn(const SandboxId& id, Relay& relay) {
  if (relay.state == RelayState::kIdle) return;
  if (relay.err_ready) ReadWords(relay);
  if (relay.exited) return Ended(id, relay);
  if (relay.state == RelayState::kEnding) {
    if (Now() >= relay.due) Press(relay);
    return;
  }
  if (!relay.wanted) return End(relay, "");
  if (relay.state == RelayState::kCarrying) {
    if (*relay.over) End(relay, "");
    return;
  }
  if (relay.talk_ready && relay.state == RelayState::kStarting) ReadGreeting(relay);
  if (relay.talk_ready && relay.state == RelayState::kWaiting) GiveToHub(id, relay);
  if (Now() < relay.due) return;
  if (relay.state == RelayState::kStarting) End(relay, "srun has begun no relay in time");
  if (relay.state == RelayState::kWaiting) End(relay, "the relay has told nothing in time");
}

void Relays::Start(const SandboxId& id, Relay& relay) {
  RelayCommand command;
  command.job = relay.target.job;
  command.host = relay.target.host;
  command.nonce = relay.target.nonce;
  command.claim_folder = relay.target.claim_folder;
  command.agent = relay.target.agent;
  command.state_folder = options_.state_folder;
  command.greeting = "interlink-relay-" + RandomHex(16);
  command.runtime_none = options_.runtime_none;
  command.user = relay.target.user;
  const auto words = RelayCommandWords(command);
  auto srun = words.ok() ? parts_.commands.Start(*words) : Result<Started>(words.status());
  if (!srun.ok()) {
    return Fail(id, relay, srun.status().message());
  }
  relay.srun = *std::move(srun);
  relay.greeting = command.greeting;
  relay.line.clear();
  relay.noise = 0;
  relay.silent = false;
  relay.words.clear();
  relay.presses = 0;
  relay.over = nullptr;
  relay.exited = relay.err_ready = relay.talk_ready = false;
  relay.state = RelayState::kStarting;
  relay.due = Now() + options_.greets_within;
}

void Relays::ReadWords(Relay& relay) {
  std::array<char, 4096> buffer{};
  const ssize_t n = read(relay.srun.err.get(), buffer.data(), buffer.size());
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n <= 0) return relay.srun.err.Reset();
  const size_t room = kMostWords - std::min(kMostWords, relay.words.size());
  relay.words.append(buffer.data(), std::min(room, static_cast<size_t>(n)));
}

// A site's own prolog may print before it. Byte by byte: what follows is the hub's.
void Relays::ReadGreeting(Relay& relay) {
  char byte = 0;
  while (true) {
    const ssize_t n = recv(relay.srun.talk.get(), &byte, 1, MSG_DONTWAIT);
    if (n < 0) return;
    if (n == 0) {
      relay.silent = true;  // its end follows, or comes by its time
      return;
    }
    if (byte != '\n') {
      if (relay.line.size() < kMostWords) relay.line += byte;
    } else if (relay.line == relay.greeting) {
      relay.state = RelayState::kWaiting;
      relay.due = Now() + options_.agent_within;
      return;
    } else {
      relay.line.clear();
    }
    if (++relay.noise > kMostNoise) return End(relay, "the step prints what is no relay's");
  }
}

void Relays::GiveToHub(const SandboxId& id, Relay& relay) {
  char byte = 0;
  const ssize_t n = recv(relay.srun.talk.get(), &byte, 1, MSG_DONTWAIT | MSG_PEEK);
  if (n < 0) return;
  if (n == 0) {
    relay.silent = true;
    return;
  }
  // Ours stays, to end it.
  UniqueFd copy(fcntl(relay.srun.talk.get(), F_DUPFD_CLOEXEC, 0));
  if (!copy) return End(relay, ErrnoStatus(errno, "duplicate a socket").message());
  const auto over = std::make_shared<std::atomic<bool>>(false);
  const Status carried = parts_.desk.Carry(std::move(copy), [over, bell = bell_] {
    *over = true;
    bell->Ring();
  });
  if (!carried.ok()) return End(relay, carried.message());
  relay.over = over;
  relay.state = RelayState::kCarrying;
  relay.began = Now();
  relay.due = {};
  parts_.log.Info("an agent's connection goes through srun",
                  {{"sandbox", id.str()}, {"job", std::to_string(relay.target.job)}});
  relay.why.clear();
  relay.told.clear();
}

void Relays::End(Relay& relay, const std::string& why) {
  if (relay.state == RelayState::kEnding) return;
  if (!why.empty()) relay.why = why;
  shutdown(relay.srun.talk.get(), SHUT_RDWR);
  relay.state = RelayState::kEnding;
  relay.due = Now() + options_.ends_within;
}

// srun did not end with its stdin. TERM: it kills its step. KILL: the step ends with its agent's
// connection.
void Relays::Press(Relay& relay) {
  kill(-relay.srun.child.pid, relay.presses == 0 ? SIGTERM : SIGKILL);
  ++relay.presses;
  relay.due = Now() + options_.ends_within;
}

void Relays::Ended(const SandboxId& id, Relay& relay) {
  const auto exit =
      WaitOrKill(Call::WithTimeout(std::chrono::seconds(1)), std::move(relay.srun.child));
  while (relay.srun.err && relay.words.size() < kMostWords) {
    const size_t before = relay.words.size();
    ReadWords(relay);
    if (relay.words.size() == before) break;
  }
  const RelayState was = relay.state;
  Answer answer;
  if (exit.ok()) answer = {exit->code, exit->signal, "", relay.words};
  // What srun has started may have it too.
  shutdown(relay.srun.talk.get(), SHUT_RDWR);
  relay.srun = {};
  if (relay.over != nullptr && Now() - relay.began >= kUseful) relay.failures = 0;
  if (was == RelayState::kCarrying && relay.wanted) {
    parts_.log.Info("an agent's connection through srun has ended",
                    {{"sandbox", id.str()}, {"why", Words(answer)}});
  }
  const bool by_itself = was == RelayState::kStarting || was == RelayState::kWaiting;
  const std::string why = by_itself ? "srun: " + Words(answer) : relay.why;
  Fail(id, relay, why);
}

void Relays::Fail(const SandboxId& id, Relay& relay, const std::string& why) {
  relay.why = why;
  relay.state = RelayState::kIdle;
  const int doublings = std::min(relay.failures, kMostDoubled);
  relay.due = Now() + std::min(options_.longest_pause, options_.shortest_pause * (1 << doublings));
  if (++relay.failures < kFailuresToTell || why.empty() || why == relay.told) return;
  relay.told = why;
  parts_.log.Warning(
      "an agent is not reached through srun",
      {{"sandbox", id.str()}, {"job", std::to_string(relay.target.job)}, {"why", why}});
}

void Relays::Publish(const SandboxId& id, const Relay* relay) {
  const MutexLock lock(mutex_);
  if (relay == nullptr) {
    views_.erase(id);
    return;
  }
  views_[id] = {relay->state == RelayState::kCarrying, WordOf(relay->state), relay->told};
}

void Relays::EndAll() {
  for (auto& [id, relay] : relays_) {
    relay->wanted = false;
    if (relay->state != RelayState::kIdle) End(*relay, "");
  }
  // End, TERM, KILL.
  const SteadyTime limit = Now() + 3 * options_.ends_within;
  while (!relays_.empty() && Now() < limit) {
    TurnAll(false);
    if (!relays_.empty()) Wait();
  }
}

}  // namespace interlink::slurm
