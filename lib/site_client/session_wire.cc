#include "site_client/session_wire.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <utility>

namespace interlink::site_client {
namespace {

using node::SessionInput;
using node::SessionOutput;
using wire::Channel;

// Messages that the caller may be ahead of the connection.
constexpr size_t kAhead = 2;

static_assert(node::kMaxSessionMessage <= wire::kMaxSessionPayload);

SteadyTime After(Duration time) { return std::chrono::steady_clock::now() + time; }

}  // namespace

void SessionWire::Start() {
  net::Io::Spawn(strand_, ReadLoop(shared_from_this()));
  net::Io::Spawn(strand_, WriteLoop(shared_from_this()));
}

void SessionWire::Read(node::Reply<SessionOutput> reply) {
  boost::asio::post(strand_, [self = shared_from_this(), reply = std::move(reply)]() mutable {
    self->reader_ = std::move(reply);
    self->Deliver();
  });
}

void SessionWire::Write(SessionInput input, std::function<void(Status)> done) {
  boost::asio::post(strand_, [self = shared_from_this(), input = std::move(input),
                              done = std::move(done)]() mutable {
    self->Enqueue(std::move(input), std::move(done));
  });
}

void SessionWire::Cancel() {
  boost::asio::post(strand_, [self = shared_from_this()] {
    self->received_.clear();
    self->exit_.reset();
    self->over_ = CancelledError("the session was ended here");
    self->End(self->over_);
    self->socket_->Cancel();
  });
}

Status SessionWire::Lost(const std::string& why) const {
  return Unavailable(
      (forward_ ? "connection lost: " : "connection lost, the command may still run: ") + why);
}

void SessionWire::End(Status why) {
  if (over_.ok()) over_ = std::move(why);
  out_.clear();
  changed_->Set();
  if (writer_) std::exchange(writer_, nullptr)(over_);
  Deliver();
}

// --- from the site

net::Awaitable<void> SessionWire::ReadLoop(Self self) {
  while (self->over_.ok()) {
    auto message = co_await self->socket_->Read(After(self->silence_));
    Status status;
    if (!message.ok()) {
      status = self->Lost(message.status().message());
    } else if (!message->has_value()) {
      status = self->Lost("the site has closed the session");
    } else {
      status = self->Take(std::move(**message));
    }
    if (status.ok()) {
      self->Deliver();
    } else {
      self->End(status);
    }
  }
  // A problem that the site has told comes before its close frame; what broke has none.
  self->socket_->Cancel();
}

Status SessionWire::Take(std::string message) {
  const auto decoded = wire::DecodeChannel(wire::Sender::kSite, message);
  if (!decoded.ok()) return Lost("the site breaks the protocol: " + decoded.status().message());
  switch (decoded->channel) {
    case Channel::kStdout:
    case Channel::kStderr: {
      const Status room = credit_.Received(decoded->data.size());
      if (!room.ok() || exit_ || output_closed_)
        return Lost("the site breaks the protocol: " +
                    (room.ok() ? "output after its end" : room.message()));
      if (!decoded->data.empty()) received_.push_back(std::move(message));
      return {};
    }
    case Channel::kClose:
      output_closed_ = true;
      return {};
    case Channel::kStatus:
      if (decoded->status.has_problem()) return wire::FromProblem(decoded->status.problem());
      exit_ = decoded->status;
      return {};
    case Channel::kCredit:
      if (const Status status = credit_.Granted(decoded->credit); !status.ok())
        return Lost("the site breaks the protocol: " + status.message());
      if (decoded->credit > 0) changed_->Set();
      return {};
    default:
      return Lost("the site breaks the protocol");
  }
}

std::optional<Result<SessionOutput>> SessionWire::TakeNext() {
  SessionOutput output;
  if (!received_.empty()) {
    output.bytes = std::move(received_.front());
    received_.pop_front();
    output.channel = static_cast<Channel>(output.bytes[0]) == Channel::kStderr
                         ? SessionOutput::Channel::kStderr
                         : SessionOutput::Channel::kStdout;
    output.bytes.erase(0, 1);
    credit_.Consumed(output.bytes.size());
    changed_->Set();
    return Result<SessionOutput>(std::move(output));
  }
  if (forward_ && output_closed_) {
    output.kind = SessionOutput::Kind::kEnd;
    return Result<SessionOutput>(std::move(output));
  }
  if (exit_) {
    output.kind = SessionOutput::Kind::kExit;
    output.exit_code = exit_->exit_code();
    output.reason = exit_->reason();
    return Result<SessionOutput>(std::move(output));
  }
  if (!over_.ok()) return Result<SessionOutput>(over_);
  return std::nullopt;
}

void SessionWire::Deliver() {
  if (!reader_) return;
  auto next = TakeNext();
  if (next) std::exchange(reader_, nullptr)(*std::move(next));
}

// --- to the site

void SessionWire::Enqueue(SessionInput input, std::function<void(Status)> done) {
  if (!over_.ok()) return done(over_);
  if (input.bytes.size() > node::kMaxSessionMessage)
    return done(InvalidArgument("a session's message has at most 64 KiB"));
  if (input_closed_ && input.kind == SessionInput::Kind::kData)
    return done(FailedPrecondition("stdin goes on after its end"));
  if (input.kind == SessionInput::Kind::kEnd) {
    if (input_closed_) return done({});
    input_closed_ = true;
  }
  out_.push_back(std::move(input));
  changed_->Set();
  if (out_.size() < kAhead) return done({});
  writer_ = std::move(done);
}

bool SessionWire::MaySend() const {
  if (out_.empty()) return false;
  const SessionInput& next = out_.front();
  return next.kind != SessionInput::Kind::kData || next.bytes.empty() || credit_.Sendable() > 0;
}

net::Awaitable<Status> SessionWire::WriteNext() {
  SessionInput next = std::move(out_.front());
  out_.pop_front();
  std::string head = wire::EncodeData(Channel::kStdin, {});
  if (next.kind == SessionInput::Kind::kEnd) {
    head = wire::EncodeClose(Channel::kStdin);
  } else if (next.kind == SessionInput::Kind::kResize) {
    head = wire::EncodeResize(next.columns, next.rows);
  } else if (const size_t size = credit_.Sendable(); size < next.bytes.size()) {
    // The rest waits for credit, in its place.
    SessionInput rest;
    rest.bytes = next.bytes.substr(size);
    next.bytes.resize(size);
    out_.push_front(std::move(rest));
  }
  credit_.Sent(next.bytes.size());
  const Status sent =
      co_await socket_->Write(net::WebSocket::Kind::kBinary, head, next.bytes, After(silence_));
  if (sent.ok() && out_.size() < kAhead && writer_) std::exchange(writer_, nullptr)({});
  co_return sent;
}

net::Awaitable<void> SessionWire::WriteLoop(Self self) {
  SteadyTime beat = After(wire::kSessionBeat);
  while (self->over_.ok()) {
    const uint32_t grant = self->credit_.TakeGrant();
    Status status;
    if (grant > 0 || std::chrono::steady_clock::now() >= beat) {
      const std::string message = wire::EncodeCredit(grant);
      status = co_await self->socket_->Write(message, After(self->silence_));
      beat = After(wire::kSessionBeat);
    } else if (self->MaySend()) {
      status = co_await self->WriteNext();
    } else {
      co_await self->changed_->Wait(beat);
    }
    if (status.ok()) continue;
    // The site may have said why it does not read any more: what is on the way is still read. But
    // when it just takes nothing there is no more to come.
    if (status.code() == Code::kDeadlineExceeded) self->socket_->Cancel();
    co_return;
  }
}

}  // namespace interlink::site_client
