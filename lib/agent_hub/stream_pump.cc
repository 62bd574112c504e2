#include "agent_hub/stream_pump.h"

#include <array>
#include <utility>

#include "interlink/agent/v1/agent.pb.h"
#include "net/connection.h"
#include "net/reply_wait.h"

namespace interlink::agent_hub {
namespace {

constexpr size_t kMaxPieceBytes = size_t{64} << 10U;
// Silence of a command, or of one that does not read its input, is no error.
constexpr auto kQuietStream = std::chrono::hours(24);

// Owners: its two coroutines.
struct Pumped {
  StreamPtr stream;
  std::shared_ptr<net::Connection> end;
  bool frames = false;
  std::shared_ptr<void> counted;
  bool to_agent_done = false;
  bool from_agent_done = false;
};
using PumpedPtr = std::shared_ptr<Pumped>;

SteadyTime Later(Duration time) { return std::chrono::steady_clock::now() + time; }

void Finish(const PumpedPtr& pumped, const Status& status) {
  pumped->stream->End(status);
  pumped->end->Cancel();
}

void FinishWhenBothDone(const PumpedPtr& pumped) {
  if (pumped->to_agent_done && pumped->from_agent_done) Finish(pumped, {});
}

net::Awaitable<bool> SendPiece(PumpedPtr pumped, agent::v1::Piece piece) {
  const StreamPtr stream = pumped->stream;
  const std::string bytes = piece.SerializeAsString();
  const std::function<void(std::function<void(bool)>)> start =
      [stream, bytes](std::function<void(bool)> done) { stream->Write(bytes, std::move(done)); };
  const bool sent = co_await net::WaitFor<bool>(pumped->end->executor(), start);
  co_return sent;
}

net::Awaitable<void> ToAgent(PumpedPtr pumped) {
  const auto buffer = std::make_unique<std::array<char, kMaxPieceBytes>>();
  while (true) {
    const auto read = co_await pumped->end->Read(*buffer, Later(kQuietStream));
    agent::v1::Piece piece;
    const bool over = !read.ok() || *read == 0;
    if (over) {
      piece.set_end(true);
    } else {
      piece.set_bytes(buffer->data(), *read);
    }
    // Whoever has a session of frames leaves it by closing it: the command is then ended.
    if (over && (pumped->frames || !read.ok())) {
      Finish(pumped, CancelledError("the session is over"));
      co_return;
    }
    const bool sent = co_await SendPiece(pumped, piece);
    if (!sent) {
      Finish(pumped, {});
      co_return;
    }
    if (!over) continue;
    pumped->to_agent_done = true;
    FinishWhenBothDone(pumped);
    co_return;
  }
}

// False: nothing follows from the agent.
net::Awaitable<bool> TakePiece(PumpedPtr pumped) {
  using Message = std::optional<std::string>;
  const StreamPtr stream = pumped->stream;
  const std::function<void(std::function<void(Message)>)> start =
      [stream](std::function<void(Message)> done) { stream->Read(std::move(done)); };
  const Message message = co_await net::WaitFor<Message>(pumped->end->executor(), start);
  if (!message) {
    Finish(pumped, {});
    co_return false;
  }
  agent::v1::Piece piece;
  if (!piece.ParseFromString(*message) || piece.bytes().size() > kMaxPieceBytes) {
    Finish(pumped, InvalidArgument("the agent sends what is no piece"));
    co_return false;
  }
  if (!piece.bytes().empty()) {
    const Status written = co_await pumped->end->Write(piece.bytes(), Later(kQuietStream));
    if (!written.ok()) {
      Finish(pumped, CancelledError("the session is over"));
      co_return false;
    }
  }
  if (!piece.end()) co_return true;
  co_await pumped->end->ShutdownWrite();
  pumped->from_agent_done = true;
  if (pumped->frames) {
    Finish(pumped, {});
  } else {
    FinishWhenBothDone(pumped);
  }
  co_return false;
}

net::Awaitable<void> FromAgent(PumpedPtr pumped) {
  bool more = true;
  while (more) more = co_await TakePiece(pumped);
}

}  // namespace

void PumpStream(net::Io& io, StreamPtr stream, UniqueFd end, bool frames,
                std::shared_ptr<void> counted) {
  const auto strand = io.Strand();
  auto connection = net::Adopt(strand, std::move(end));
  if (!connection.ok()) {
    stream->End(connection.status());
    return;
  }
  const auto pumped = std::make_shared<Pumped>();
  pumped->stream = std::move(stream);
  pumped->end = *std::move(connection);
  pumped->frames = frames;
  pumped->counted = std::move(counted);
  pumped->end->AllowPauses();
  net::Io::Spawn(strand, ToAgent(pumped));
  net::Io::Spawn(strand, FromAgent(pumped));
}

}  // namespace interlink::agent_hub
