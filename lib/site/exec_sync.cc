#include "site/exec_sync.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>

#include "shim/frames.h"
#include "shim/messages.h"

namespace interlink::site {
namespace {

// How long a killed command may take to be gone before the session is given up.
constexpr auto kKillPatience = std::chrono::seconds(10);
constexpr int kMaxPollMillis = 1000;
// More than a socket holds: what has come by now is read to its end, and a command that never stops
// writing holds up nobody.
constexpr int kMaxReads = 64;

}  // namespace

struct ExecSyncCollector::Session {
  enum class Ending { kNone, kTimedOut, kCallerGone };

  Session(const Call& caller, UniqueFd socket, Duration timeout,
          std::function<void(Result<interlink::v1::ExecSyncResponse>)> answer)
      : call(caller), fd(std::move(socket)), reply(std::move(answer)) {
    if (timeout > Duration::zero()) kill_at = std::chrono::steady_clock::now() + timeout;
  }

  Call call;
  UniqueFd fd;
  std::optional<SteadyTime> kill_at;  // the command's own timeout
  std::optional<SteadyTime> give_up_at;
  Ending ending = Ending::kNone;
  std::function<void(Result<interlink::v1::ExecSyncResponse>)> reply;
  interlink::v1::ExecSyncResponse response;
  std::array<char, shim::kMaxFrame> buffer{};
  shim::FrameDecoder decoder{buffer.data(), buffer.size()};
  bool has_status = false;

  void Kill(Ending why) {
    ending = why;
    give_up_at = std::chrono::steady_clock::now() + kKillPatience;
    std::array<char, shim::kFrameHeader> frame{};
    const size_t size = shim::PutFrame(frame.data(), frame.size(), shim::FrameType::kKill, {});
    // A socket that takes nothing is closed below, which kills as well (kill_on_close).
    if (send(fd.get(), frame.data(), size, MSG_NOSIGNAL | MSG_DONTWAIT) !=
        static_cast<ssize_t>(size)) {
      give_up_at = std::chrono::steady_clock::now();
    }
  }

  void Take(const shim::Frame& frame) {
    const auto keep = [&frame](std::string& text) {
      text.append(frame.text().substr(0, kMaxOutput - std::min(kMaxOutput, text.size())));
    };
    if (frame.type == shim::FrameType::kStdout) {
      keep(*response.mutable_stdout());
    } else if (frame.type == shim::FrameType::kStderr) {
      keep(*response.mutable_stderr());
    } else if (frame.type == shim::FrameType::kStatus) {
      shim::ExitStatus status;
      if (!status.Decode(frame.text())) return;
      has_status = true;
      response.set_exit_code(status.code);
    }
  }

  Result<interlink::v1::ExecSyncResponse> Answer() {
    if (ending == Ending::kCallerGone)
      return Unavailable("nobody waits for the command any more: it was killed");
    if (!has_status) return Unavailable("connection lost, the command may still run");
    response.set_timed_out(ending == Ending::kTimedOut);
    return std::move(response);
  }
};

ExecSyncCollector::ExecSyncCollector()
    : wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)), thread_([this] { Run(); }) {}

ExecSyncCollector::~ExecSyncCollector() {
  {
    MutexLock lock(mutex_);
    ended_ = true;
  }
  Wake();
}

size_t ExecSyncCollector::size() const {
  MutexLock lock(mutex_);
  return live_ + added_.size();
}

void ExecSyncCollector::Wake() {
  const uint64_t one = 1;
  // A full counter wakes as well.
  if (write(wake_.get(), &one, sizeof one) < 0) return;
}

void ExecSyncCollector::Collect(
    const Call& call, UniqueFd session, Duration timeout,
    std::function<void(Result<interlink::v1::ExecSyncResponse>)> reply) {
  fcntl(session.get(), F_SETFL, O_NONBLOCK);
  auto made = std::make_unique<Session>(call, std::move(session), timeout, std::move(reply));
  {
    MutexLock lock(mutex_);
    if (!ended_) {
      added_.push_back(std::move(made));
    }
  }
  if (made != nullptr) return made->reply(Unavailable("the site is shutting down"));
  Wake();
}

bool ExecSyncCollector::Step(Session& session) {
  const SteadyTime now = std::chrono::steady_clock::now();
  bool ended = false;
  for (int reads = 0; !ended && reads < kMaxReads; ++reads) {
    const auto space = session.decoder.Space();
    const ssize_t n = recv(session.fd.get(), space.data(), space.size(), 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) break;
    ended = n <= 0;
    if (n > 0) session.decoder.Received(static_cast<size_t>(n));
    shim::Frame frame{};
    auto outcome = shim::FrameDecoder::Outcome::kNeedMore;
    while ((outcome = session.decoder.Next(frame)) == shim::FrameDecoder::Outcome::kFrame)
      session.Take(frame);
    ended = ended || session.has_status || outcome == shim::FrameDecoder::Outcome::kMalformed;
  }
  // Behind what has come: a command that has ended by now has ended in time.
  if (!ended && session.ending == Session::Ending::kNone) {
    if (session.kill_at && now >= *session.kill_at) {
      session.Kill(Session::Ending::kTimedOut);
    } else if (session.call.cancelled() || session.call.expired()) {
      session.Kill(Session::Ending::kCallerGone);
    }
  }
  return !ended && !(session.give_up_at && now >= *session.give_up_at);
}

void ExecSyncCollector::Run() {
  std::vector<std::unique_ptr<Session>> sessions;
  while (true) {
    bool ended = false;
    {
      MutexLock lock(mutex_);
      for (auto& session : added_) sessions.push_back(std::move(session));
      added_.clear();
      ended = ended_;
      live_ = sessions.size();
    }
    if (ended) break;
    std::vector<pollfd> items{{wake_.get(), POLLIN, 0}};
    int timeout = kMaxPollMillis;
    const SteadyTime now = std::chrono::steady_clock::now();
    for (const auto& session : sessions) {
      items.push_back({session->fd.get(), POLLIN, 0});
      const auto next = session->give_up_at ? session->give_up_at : session->kill_at;
      if (!next) continue;
      const auto left =
          std::chrono::duration_cast<std::chrono::milliseconds>(*next - now).count() + 1;
      timeout = static_cast<int>(std::clamp<int64_t>(left, 0, timeout));
    }
    ::poll(items.data(), items.size(), timeout);
    uint64_t drained = 0;
    if (items[0].revents != 0 && read(wake_.get(), &drained, sizeof drained) < 0) drained = 0;
    std::erase_if(sessions, [](const std::unique_ptr<Session>& session) {
      if (Step(*session)) return false;
      session->fd.Reset();
      session->reply(session->Answer());
      return true;
    });
  }
  for (auto& session : sessions)
    session->reply(Unavailable("the site is shutting down, the command may still run"));
}

}  // namespace interlink::site
