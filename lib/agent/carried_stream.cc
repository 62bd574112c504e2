#include "agent/carried_stream.h"

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

#include "interlink/agent/v1/agent.pb.h"

namespace interlink::agent {
namespace {

constexpr size_t kPiece = size_t{64} << 10U;
// Silence of a command, or of one that does not read, is no error.
constexpr auto kQuiet = std::chrono::hours(24);
// From our last word to the hub's end of the call.
constexpr auto kFarewell = std::chrono::seconds(10);

SteadyTime After(Duration time) { return std::chrono::steady_clock::now() + time; }

}  // namespace

CarriedStream::CarriedStream(UniqueFd end, std::unique_ptr<Stream> stream, bool frames)
    : end_(std::move(end)), stream_(std::move(stream)), frames_(frames) {
  up_ = std::jthread([this] {
    ToHub();
    --threads_left_;
  });
  down_ = std::jthread([this] {
    FromHub();
    --threads_left_;
  });
}

CarriedStream::~CarriedStream() {
  stream_->Cancel();
  shutdown(end_.get(), SHUT_RDWR);
}

void CarriedStream::ToHub() {
  std::array<char, kPiece> buffer{};
  while (true) {
    const ssize_t n = read(end_.get(), buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    v1::Piece piece;
    if (n > 0) {
      piece.set_bytes(buffer.data(), static_cast<size_t>(n));
    } else {
      piece.set_end(true);
    }
    // A hub that does not read holds the command up, as a pipe would.
    const Status sent = stream_->Write(piece.SerializeAsString(), After(kQuiet));
    if (!sent.ok()) {
      stream_->Cancel();
      shutdown(end_.get(), SHUT_RDWR);
      return;
    }
    if (n <= 0) break;
  }
  said_all_ = true;
}

bool CarriedStream::WriteAll(const std::string& bytes) {
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t n = send(end_.get(), bytes.data() + done, bytes.size() - done, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    done += static_cast<size_t>(n);
  }
  return true;
}

void CarriedStream::FromHub() {
  constexpr auto kLook = std::chrono::seconds(1);
  SteadyTime limit = SteadyTime::max();
  bool taken = true;  // the descriptor still takes what comes
  while (true) {
    if (frames_ && said_all_ && limit == SteadyTime::max()) limit = After(kFarewell);
    const auto message = stream_->Read(std::min(limit, After(kLook)));
    if (message.status().code() == Code::kDeadlineExceeded &&
        std::chrono::steady_clock::now() < limit) {
      continue;
    }
    if (!message.ok() || !message->has_value()) break;
    v1::Piece piece;
    if (!piece.ParseFromString(**message)) break;
    taken = taken && WriteAll(piece.bytes());
    // Bare bytes that nobody takes: the other direction may go on.
    if (piece.end()) shutdown(end_.get(), SHUT_WR);
  }
  stream_->Cancel();
  shutdown(end_.get(), SHUT_RDWR);
}

}  // namespace interlink::agent
