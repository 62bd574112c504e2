#include "slurm/delivery.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <utility>

#include "base/id.h"
#include "slurm/step_command.h"

namespace interlink::slurm {
namespace {

constexpr size_t kMostPrinted = size_t{64} << 10U;
constexpr size_t kMostErr = 4096;
constexpr size_t kPiece = size_t{64} << 10U;

SteadyTime ClockNow() { return std::chrono::steady_clock::now(); }

// Talks with one srun. Whatever happens, its end is waited for.
class Talk {
 public:
  Talk(const DeliveryWay& way, Started srun)
      : way_(way),
        srun_(std::move(srun)),
        all_by_(ClockNow() + way.limits.all_within),
        move_by_(ClockNow() + way.limits.greets_within) {}
  ~Talk() { End(); }
  Talk(const Talk&) = delete;
  Talk& operator=(const Talk&) = delete;

  // The rest of the next line that begins with the greeting. What a site's prolog prints is passed
  // over.
  Result<std::string> NextWords(const std::string& greeting);
  Status Send(std::string_view bytes);
  Status SendFile(int file, uint64_t size);
  void SetMoving() { move_by_ = ClockNow() + way_.limits.moves_within; }
  // What srun said, after its end.
  std::string End();
  // It ended before we did.
  bool gone() const { return gone_; }

 private:
  Status Gone() {
    gone_ = true;
    return Unavailable("the step has ended");
  }
  // Until the socket is ready for `events`; an error: it will not be.
  Status Wait(int16_t events);
  void ReadErr();

  const DeliveryWay& way_;
  Started srun_;
  const SteadyTime all_by_;
  SteadyTime move_by_;
  std::string line_;
  size_t printed_ = 0;
  std::string err_;
  bool gone_ = false;
};

Status Talk::Wait(int16_t events) {
  while (true) {
    const SteadyTime limit = std::min(all_by_, move_by_);
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(limit - ClockNow());
    if (left.count() <= 0) return DeadlineExceeded("it does not get on");
    std::array<pollfd, 3> items = {pollfd{srun_.talk.get(), events, 0},
                                   pollfd{way_.quit, POLLIN, 0},
                                   pollfd{srun_.err.get(), POLLIN, 0}};
    if (poll(items.data(), items.size(), static_cast<int>(left.count())) < 0 && errno != EINTR) {
      return ErrnoStatus(errno, "poll");
    }
    if (items[1].revents != 0) return CancelledError("the site is shutting down");
    if (items[2].revents != 0) ReadErr();
    if (items[0].revents != 0) return {};
  }
}

void Talk::ReadErr() {
  std::array<char, kMostErr> buffer{};
  const ssize_t n = read(srun_.err.get(), buffer.data(), buffer.size());
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n <= 0) return srun_.err.Reset();
  err_.append(buffer.data(), std::min(static_cast<size_t>(n), kMostErr - err_.size()));
}

Result<std::string> Talk::NextWords(const std::string& greeting) {
  while (true) {
    const size_t end = line_.find('\n');
    if (end != std::string::npos) {
      const std::string line = line_.substr(0, end);
      line_.erase(0, end + 1);
      if (line.starts_with(greeting + " ")) return line.substr(greeting.size() + 1);
      continue;
    }
    RETURN_IF_ERROR(Wait(POLLIN));
    std::array<char, 4096> buffer{};
    const ssize_t n = recv(srun_.talk.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (n <= 0) return Gone();
    line_.append(buffer.data(), static_cast<size_t>(n));
    printed_ += static_cast<size_t>(n);
    if (printed_ > kMostPrinted) return DataLoss("the step prints what is no delivery's");
  }
}

Status Talk::Send(std::string_view bytes) {
  while (!bytes.empty()) {
    RETURN_IF_ERROR(Wait(POLLOUT));
    const ssize_t n =
        send(srun_.talk.get(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (n < 0) return Gone();
    bytes.remove_prefix(static_cast<size_t>(n));
    SetMoving();
  }
  return {};
}

Status Talk::SendFile(int file, uint64_t size) {
  std::string bytes(kPiece, '\0');
  while (size > 0) {
    const ssize_t n = read(file, bytes.data(), std::min<uint64_t>(bytes.size(), size));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoStatus(errno, "read the agent");
    if (n == 0) return DataLoss("the agent's file is shorter than it was");
    RETURN_IF_ERROR(Send(std::string_view(bytes).substr(0, static_cast<size_t>(n))));
    size -= static_cast<uint64_t>(n);
  }
  return {};
}

// With the end of its stdin, else by TERM, which makes srun kill its step, else by KILL.
std::string Talk::End() {
  if (srun_.child.pid < 0) return err_;
  shutdown(srun_.talk.get(), SHUT_RDWR);
  const auto ended = [this](Duration within) {
    pollfd item{srun_.child.pidfd.get(), POLLIN, 0};
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(within);
    return poll(&item, 1, static_cast<int>(left.count())) > 0;
  };
  if (!ended(way_.limits.ends_within)) {
    kill(-srun_.child.pid, SIGTERM);
    ended(way_.limits.ends_within);
  }
  const auto exit = WaitOrKill(Call::WithTimeout(std::chrono::milliseconds(1)),
                               std::exchange(srun_.child, Child()));
  while (srun_.err && err_.size() < kMostErr) {
    const size_t before = err_.size();
    ReadErr();
    if (err_.size() == before) break;
  }
  Answer answer;
  if (exit.ok()) answer = {exit->code, exit->signal, "", err_};
  if (!exit.ok()) answer = {0, SIGKILL, "", err_};
  err_ = Words(answer);
  return err_;
}

Result<Claim> ClaimOfWords(std::string words, uint64_t job) {
  if (words.empty() || words.back() != ' ') words += ' ';
  std::replace(words.begin(), words.end(), ' ', '\n');
  ASSIGN_OR_RETURN(Claim claim, ParseClaim(words));
  if (claim.job != job || !IsJobNonce(claim.nonce)) {
    return DataLoss("the step tells a claim that is not its job's");
  }
  return claim;
}

// After the greeting's "send": everything, until "ok".
Status SendAll(Talk& talk, const std::string& greeting, int agent, const DeliveryCommand& command,
               const Parcel& parcel) {
  talk.SetMoving();
  RETURN_IF_ERROR(talk.SendFile(agent, command.agent_size));
  RETURN_IF_ERROR(talk.Send(parcel.ca_pem));
  RETURN_IF_ERROR(talk.Send(parcel.token));
  ASSIGN_OR_RETURN(const std::string words, talk.NextWords(greeting));
  return words == "ok" ? Status() : DataLoss("the step says \"" + words + "\"");
}

Result<bool> Converse(const DeliveryWay& way, Talk& talk, int agent, const DeliveryCommand& command,
                      const Parcel& parcel) {
  ASSIGN_OR_RETURN(const std::string words, talk.NextWords(command.greeting));
  if (words == "none") return false;
  const size_t blank = words.find(' ');
  const std::string what = words.substr(0, blank);
  if (blank == std::string::npos || (what != "send" && what != "done")) {
    return DataLoss("the step says what is no delivery's");
  }
  ASSIGN_OR_RETURN(const Claim claim, ClaimOfWords(words.substr(blank + 1), command.job));
  RETURN_IF_ERROR(way.take_claim(claim));
  if (what == "send") {
    RETURN_IF_ERROR(SendAll(talk, command.greeting, agent, command, parcel));
  }
  return true;
}

}  // namespace

Result<bool> Deliver(const DeliveryWay& way, DeliveryCommand command, const Parcel& parcel) {
  const UniqueFd agent(open(parcel.agent.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat about {};
  if (!agent || fstat(agent.get(), &about) != 0) {
    return ErrnoStatus(errno, "open the agent \"" + parcel.agent + "\"");
  }
  command.agent_size = static_cast<uint64_t>(about.st_size);
  command.ca_size = parcel.ca_pem.size();
  command.token_size = parcel.token.size();
  command.greeting = "interlink-delivery-" + RandomHex(16);
  ASSIGN_OR_RETURN(const auto words, DeliveryCommandWords(command));
  ASSIGN_OR_RETURN(Started srun, way.commands.Start(words));
  Talk talk(way, std::move(srun));
  auto done = Converse(way, talk, agent.get(), command, parcel);
  const std::string said = talk.End();
  // srun's own words say why.
  if (!done.ok() && talk.gone()) return Unavailable("srun: " + said);
  return done;
}

}  // namespace interlink::slurm
