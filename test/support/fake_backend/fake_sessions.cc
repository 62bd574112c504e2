#include "support/fake_backend/fake_sessions.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
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

bool Print(int fd, const std::string& text) {
  return shim::SendFrame(fd, shim::FrameType::kStdout, text, Soon()) == 0;
}

// How many bytes of stdin came until it was closed.
int Count(int fd) {
  uint64_t bytes = 0;
  std::vector<char> buffer(shim::kMaxPayload);
  shim::Frame frame{};
  while (shim::ReceiveFrame(fd, buffer.data(), buffer.size(), frame, Soon()) == 0) {
    if (frame.type == shim::FrameType::kKill) return 137;
    if (frame.type == shim::FrameType::kStdin) bytes += frame.payload.size();
    if (frame.type == shim::FrameType::kClose) return Print(fd, std::to_string(bytes)) ? 0 : 1;
  }
  return 129;
}

// "ROWS COLUMNS" and a new line for each resize, until stdin is closed.
int Size(int fd) {
  std::vector<char> buffer(shim::kMaxPayload);
  shim::Frame frame{};
  while (shim::ReceiveFrame(fd, buffer.data(), buffer.size(), frame, Soon()) == 0) {
    shim::WindowSize size;
    if (frame.type == shim::FrameType::kClose) return 0;
    if (frame.type != shim::FrameType::kResize || !size.Decode(frame.text())) continue;
    if (!Print(fd, std::to_string(size.rows) + " " + std::to_string(size.columns) + "\n")) return 1;
  }
  return 129;
}

int Flood(int fd, uint64_t bytes, std::atomic<uint64_t>& flooded) {
  const std::string piece(shim::kMaxPayload / 2, 'f');
  while (bytes > 0) {
    const size_t size = std::min<uint64_t>(bytes, piece.size());
    if (!Print(fd, piece.substr(0, size))) return 1;
    bytes -= size;
    flooded += size;
  }
  return 0;
}

void RunExec(int fd, const std::vector<std::string>& argv, std::atomic<uint64_t>& flooded) {
  const std::string verb = argv.empty() ? "" : argv[0];
  int code = 0;
  if (verb == "print") {
    std::string line;
    for (size_t i = 1; i < argv.size(); ++i) line += (i > 1 ? " " : "") + argv[i];
    if (shim::SendFrame(fd, shim::FrameType::kStdout, line, Soon()) != 0) return;
  } else if (verb == "complain") {
    const std::string words = argv.size() > 1 ? argv[1] + "\n" : "complaint";
    if (shim::SendFrame(fd, shim::FrameType::kStderr, words, Soon()) != 0) return;
  } else if (verb == "count") {
    code = Count(fd);
  } else if (verb == "size") {
    code = Size(fd);
  } else if (verb == "flood" && argv.size() > 1) {
    code = Flood(fd, std::strtoull(argv[1].c_str(), nullptr, 10), flooded);
  } else if (verb == "cut") {
    return;
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

// stdin to all that are attached, until the client leaves or `attached` has ended.
void RunAttach(int fd, FakeAttached& attached) {
  std::vector<char> buffer(shim::kMaxPayload);
  shim::Frame frame{};
  while (shim::ReceiveFrame(fd, buffer.data(), buffer.size(), frame, Soon()) == 0) {
    if (frame.type == shim::FrameType::kStdin) attached.Tell(frame.text());
  }
  attached.Remove(fd);
}

void RunEcho(int fd) {
  std::vector<char> buffer(shim::kMaxPayload);
  while (true) {
    const ssize_t n = recv(fd, buffer.data(), buffer.size(), 0);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;
    if (shim::SendAll(fd, buffer.data(), static_cast<size_t>(n), Soon()) != 0) return;
  }
}

}  // namespace

size_t FakeSessions::running() {
  MutexLock lock(mutex_);
  sessions_.remove_if([](const Session& session) { return session.ended->load(); });
  return sessions_.size();
}

void FakeAttached::Add(int fd) {
  MutexLock lock(mutex_);
  clients_.insert(fd);
}
void FakeAttached::Remove(int fd) {
  MutexLock lock(mutex_);
  clients_.erase(fd);
}
void FakeAttached::Tell(std::string_view bytes) {
  MutexLock lock(mutex_);
  for (const int fd : clients_) {
    // One that has left is about to remove itself.
    if (shim::SendFrame(fd, shim::FrameType::kStdout, bytes, Soon()) != 0) continue;
  }
}
void FakeAttached::End(int code) {
  MutexLock lock(mutex_);
  for (const int fd : clients_) {
    SendStatus(fd, code);
    shutdown(fd, SHUT_RDWR);
  }
}

FakeSessions::~FakeSessions() {
  std::list<Session> ended;
  {
    MutexLock lock(mutex_);
    ended.swap(sessions_);
  }
  for (Session& session : ended) shutdown(session.ours.get(), SHUT_RDWR);
}

template <typename Body>
Result<UniqueFd> FakeSessions::Open(Body body, const std::function<void(int)>& prepare) {
  std::array<int, 2> pair{};
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()) != 0) {
    return ErrnoStatus(errno, "socketpair");
  }
  UniqueFd theirs(pair[0]);
  Session session;
  session.ours = UniqueFd(pair[1]);
  session.ended = std::make_shared<std::atomic<bool>>(false);
  const int fd = session.ours.get();
  if (prepare) prepare(fd);
  // The descriptor stays open until the thread was joined.
  session.thread = std::jthread([fd, body = std::move(body), ended = session.ended] {
    body(fd);
    shutdown(fd, SHUT_RDWR);
    *ended = true;
  });
  static_cast<void>(running());
  MutexLock lock(mutex_);
  sessions_.push_back(std::move(session));
  return theirs;
}

Result<UniqueFd> FakeSessions::Exec(const std::vector<std::string>& argv) {
  return Open([argv, flooded = flooded_](int fd) { RunExec(fd, argv, *flooded); });
}

Result<UniqueFd> FakeSessions::Attach(const std::string& container) {
  std::shared_ptr<FakeAttached> attached;
  {
    MutexLock lock(mutex_);
    auto& slot = attached_[container];
    if (slot == nullptr) slot = std::make_shared<FakeAttached>();
    attached = slot;
  }
  // Attached when it is told, not when the thread comes to it.
  return Open([attached](int fd) { RunAttach(fd, *attached); },
              [attached](int fd) { attached->Add(fd); });
}

void FakeSessions::EndAttached(const std::string& container, int code) {
  std::shared_ptr<FakeAttached> attached;
  {
    MutexLock lock(mutex_);
    const auto it = attached_.find(container);
    if (it == attached_.end()) return;
    attached = std::move(it->second);
    attached_.erase(it);
  }
  attached->End(code);
}

Result<UniqueFd> FakeSessions::Echo() {
  return Open([](int fd) { RunEcho(fd); });
}

}  // namespace interlink::fake
