#include "support/fake_backend/fake_sessions.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <utility>

#include "shim/client.h"

namespace interlink::fake {
namespace {

constexpr int64_t kSessionMs = 600'000;

int64_t Soon() { return shim::MonotonicMs() + kSessionMs; }

void SendStatus(int fd, int code) {
  shim::ExitStatus status;
  status.code = code;
  // A client that left needs no status.
  if (shim::SendMessage(fd, shim::FrameType::kStatus, status, Soon()) != 0) return;
}

// stdin to stdout until stdin is closed; 137 when it is killed.
int Cat(int fd) {
  std::vector<char> buffer(shim::kMaxPayload);
  shim::Frame frame{};
  while (shim::ReceiveFrame(fd, buffer.data(), buffer.size(), frame, Soon()) == 0) {
    if (frame.type == shim::FrameType::kKill) return 137;
    if (frame.type == shim::FrameType::kClose) return 0;
    if (frame.type != shim::FrameType::kStdin) continue;
    if (shim::SendFrame(fd, shim::FrameType::kStdout, frame.text(), Soon()) != 0) return 1;
  }
  return 1;
}

// Waits for `ms`, or for a kill (137) or the client's end (129).
int Sleep(int fd, int64_t ms) {
  const int64_t end = shim::MonotonicMs() + ms;
  std::vector<char> buffer(shim::kMaxPayload);
  shim::Frame frame{};
  while (true) {
    const int error = shim::ReceiveFrame(fd, buffer.data(), buffer.size(), frame, end);
    if (error == ETIMEDOUT) return 0;
    if (error != 0) return 129;
    if (frame.type == shim::FrameType::kKill) return 137;
  }
}

void RunExec(int fd, const std::vector<std::string>& argv) {
  const std::string verb = argv.empty() ? "" : argv[0];
  int code = 0;
  if (verb == "print") {
    std::string line;
    for (size_t i = 1; i < argv.size(); ++i) line += (i > 1 ? " " : "") + argv[i];
    if (shim::SendFrame(fd, shim::FrameType::kStdout, line, Soon()) != 0) return;
  } else if (verb == "exit" && argv.size() > 1) {
    code = std::atoi(argv[1].c_str());
  } else if (verb == "cat") {
    code = Cat(fd);
  } else if (verb == "sleep" && argv.size() > 1) {
    code = Sleep(fd, std::atoll(argv[1].c_str()));
  } else {
    code = 127;
  }
  SendStatus(fd, code);
}

void RunEcho(int fd) {
  std::array<char, 4096> buffer;
  while (true) {
    const ssize_t n = recv(fd, buffer.data(), buffer.size(), 0);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;
    if (shim::SendAll(fd, buffer.data(), static_cast<size_t>(n), Soon()) != 0) return;
  }
}

}  // namespace

FakeSessions::~FakeSessions() {
  std::list<Session> ended;
  {
    MutexLock lock(mutex_);
    ended.swap(sessions_);
  }
  for (Session& session : ended) shutdown(session.ours.get(), SHUT_RDWR);
}

template <typename Body>
Result<UniqueFd> FakeSessions::Open(Body body) {
  std::array<int, 2> pair{};
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()) != 0) {
    return ErrnoStatus(errno, "socketpair");
  }
  UniqueFd theirs(pair[0]);
  Session session;
  session.ours = UniqueFd(pair[1]);
  const int fd = session.ours.get();
  // The descriptor stays open until the destructor has joined the thread.
  session.thread = std::jthread([fd, body = std::move(body)] {
    body(fd);
    shutdown(fd, SHUT_RDWR);
  });
  MutexLock lock(mutex_);
  sessions_.push_back(std::move(session));
  return theirs;
}

Result<UniqueFd> FakeSessions::Exec(const std::vector<std::string>& argv) {
  return Open([argv](int fd) { RunExec(fd, argv); });
}

Result<UniqueFd> FakeSessions::Echo() {
  return Open([](int fd) { RunEcho(fd); });
}

}  // namespace interlink::fake
