#include "rest/session_pump.h"

#include <array>
#include <utility>

#include "base/utf8.h"

namespace interlink::rest {
namespace {

using wire::Channel;

// Silence of a command, or of one that does not read its input, is no error.
constexpr auto kQuiet = std::chrono::hours(24);
constexpr auto kSessionFarewell = std::chrono::seconds(5);

using net::WebSocket;

SteadyTime After(Duration time) { return std::chrono::steady_clock::now() + time; }

}  // namespace

SessionPump::SessionPump(Kind kind, Parts parts)
    : kind_(kind),
      parts_(std::move(parts)),
      strand_(parts_.socket->connection().executor()),
      input_changed_(std::make_shared<net::Signal>(strand_)),
      credit_came_(std::make_shared<net::Signal>(strand_)) {}

net::Awaitable<Status> SessionPump::Run() {
  net::Io::Spawn(strand_, ReadSocket(shared_from_this()));
  net::Io::Spawn(strand_, WriteEnd(shared_from_this()));
  net::Io::Spawn(strand_, ReadEnd(shared_from_this()));
  SteadyTime beat = After(wire::kSessionBeat);
  while (!over_) {
    if (parts_.stopping()) {
      EndWithProblem(Unavailable("the site is shutting down, the command may still run"),
                     WebSocket::kGoingAway);
      break;
    }
    const uint32_t grant = credit_.TakeGrant();
    if (grant == 0 && std::chrono::steady_clock::now() < beat) {
      co_await parts_.signal->Wait(beat);
      continue;
    }
    const std::string message = wire::EncodeCredit(grant);
    const Status sent = co_await parts_.socket->Write(message, After(wire::kSessionSilence));
    if (!sent.ok()) {
      peer_gone_ = true;
      End(sent, "", WebSocket::kNormalClosure);
    }
    beat = After(wire::kSessionBeat);
  }
  // First of all: a command whose node is gone must not wait for our farewell.
  parts_.end->Cancel();
  if (!peer_gone_) co_await SayLastWords();
  parts_.socket->Cancel();
  co_return why_;
}

net::Awaitable<void> SessionPump::SayLastWords() {
  const SteadyTime limit = After(kSessionFarewell);
  if (!last_.empty()) {
    const Status sent = co_await parts_.socket->Write(last_, limit);
    if (!sent.ok()) co_return;
  }
  const std::string reason = why_.message();
  const Status closed = co_await parts_.socket->Close(code_, reason, limit);
  if (!closed.ok()) co_return;
  // The node's close frame: a connection that is closed before it could lose our last bytes.
  while (!reader_done_ && std::chrono::steady_clock::now() < limit)
    co_await parts_.signal->Wait(limit);
}

void SessionPump::End(Status why, std::string last, uint16_t code) {
  if (over_) return;
  over_ = true;
  why_ = std::move(why);
  last_ = std::move(last);
  code_ = code;
  parts_.signal->Set();
  input_changed_->Set();
  credit_came_->Set();
}

void SessionPump::EndWithProblem(const Status& why, uint16_t code) {
  interlink::v1::SessionStatus status;
  *status.mutable_problem() = wire::ToProblem(why);
  End(why, wire::EncodeStatus(status), code);
}

void SessionPump::EndWhenBothClosed() {
  if (kind_ == Kind::kBytes && input_ended_ && output_ended_)
    End({}, "", WebSocket::kNormalClosure);
}

// --- from the node

net::Awaitable<void> SessionPump::ReadSocket(Self self) {
  while (true) {
    auto message = co_await self->parts_.socket->Read(After(wire::kSessionSilence));
    if (!message.ok() || !message->has_value()) {
      self->peer_gone_ = true;
      self->End(message.ok() ? CancelledError("the node has closed it") : message.status(), "",
                WebSocket::kNormalClosure);
      break;
    }
    // After the end only the peer's close frame matters.
    if (self->over_) continue;
    const Status taken = self->Take(std::move(**message));
    if (!taken.ok()) self->EndWithProblem(taken, WebSocket::kProtocolError);
  }
  self->reader_done_ = true;
  self->parts_.signal->Set();
}

Status SessionPump::Take(std::string message) {
  ASSIGN_OR_RETURN(const wire::ChannelMessage decoded,
                   wire::DecodeChannel(wire::Sender::kNode, message));
  switch (decoded.channel) {
    case Channel::kStdin:
      if (input_closed_) return InvalidArgument("stdin goes on after its end");
      RETURN_IF_ERROR(credit_.Received(decoded.data.size()));
      if (!decoded.data.empty()) input_.push_back(std::move(message));
      break;
    case Channel::kClose:
      input_closed_ = true;
      break;
    case Channel::kResize:
      // Only the newest one counts.
      if (kind_ == Kind::kFrames && decoded.resize.columns() > 0 && decoded.resize.rows() > 0) {
        resize_ = {static_cast<uint16_t>(decoded.resize.columns()),
                   static_cast<uint16_t>(decoded.resize.rows())};
      }
      break;
    case Channel::kCredit:
      RETURN_IF_ERROR(credit_.Granted(decoded.credit));
      if (decoded.credit > 0) credit_came_->Set();
      return {};
    default:
      return InternalError("a channel that is decoded and not known");
  }
  input_changed_->Set();
  return {};
}

net::Awaitable<void> SessionPump::WriteEnd(Self self) {
  while (!self->over_) {
    Status status;
    if (self->resize_) {
      const shim::WindowSize size = *std::exchange(self->resize_, std::nullopt);
      status = co_await self->WriteResize(size);
    } else if (!self->input_.empty()) {
      std::string message = std::move(self->input_.front());
      self->input_.pop_front();
      const size_t size = message.size() - 1;
      status = co_await self->WriteInput(std::move(message));
      self->credit_.Consumed(size);
      self->parts_.signal->Set();
    } else if (self->input_closed_ && !self->input_ended_) {
      status = co_await self->CloseInput();
      self->input_ended_ = true;
      self->EndWhenBothClosed();
    } else {
      co_await self->input_changed_->Wait(After(kQuiet));
    }
    if (status.ok() || self->over_) continue;
    // Nobody reads it any more. What is still to be read from there decides how it ends.
    self->input_dead_ = self->input_ended_ = true;
    self->EndWhenBothClosed();
  }
}

net::Awaitable<Status> SessionPump::WriteInput(std::string message) {
  if (input_dead_) co_return Status::Ok();
  const SteadyTime limit = After(kQuiet);
  if (kind_ == Kind::kBytes) {
    const std::string_view bytes = std::string_view(message).substr(1);
    co_return co_await parts_.end->Write(bytes, limit);
  }
  // The frame's header takes the place of the channel.
  std::array<char, shim::kFrameHeader> header{};
  shim::PutHeader(header.data(), shim::FrameType::kStdin, message.size() - 1);
  message.replace(0, 1, header.data(), header.size());
  co_return co_await parts_.end->Write(message, limit);
}

net::Awaitable<Status> SessionPump::WriteResize(shim::WindowSize size) {
  std::array<char, shim::kFrameHeader + shim::WindowSize::kSize> frame{};
  const size_t length =
      shim::PutMessage(frame.data(), frame.size(), shim::FrameType::kResize, size);
  const std::string_view bytes(frame.data(), length);
  co_return co_await parts_.end->Write(bytes, After(kQuiet));
}

net::Awaitable<Status> SessionPump::CloseInput() {
  if (kind_ == Kind::kBytes) {
    co_await parts_.end->ShutdownWrite();
    co_return Status::Ok();
  }
  std::array<char, shim::kFrameHeader + 1> frame{};
  const char which = static_cast<char>(shim::FrameType::kStdin);
  const size_t length =
      shim::PutFrame(frame.data(), frame.size(), shim::FrameType::kClose, {&which, 1});
  const std::string_view bytes(frame.data(), length);
  co_return co_await parts_.end->Write(bytes, After(kQuiet));
}

// --- from the backend

net::Awaitable<void> SessionPump::ReadEnd(Self self) {
  Status status;
  if (self->kind_ == Kind::kFrames) {
    status = co_await self->ReadFrames();
  } else {
    status = co_await self->ReadBytes();
  }
  if (status.ok() || self->over_) co_return;
  self->EndWithProblem(status, WebSocket::kInternalError);
}

net::Awaitable<Status> SessionPump::ReadFrames() {
  const auto buffer = std::make_unique<std::array<char, shim::kMaxFrame>>();
  shim::FrameDecoder decoder(buffer->data(), buffer->size());
  while (!over_) {
    const auto n = co_await parts_.end->Read(decoder.Space(), After(kQuiet));
    if (!n.ok() || *n == 0) {
      co_return Unavailable(
          "the session was cut at the site (a slow client of attach is dropped): connection lost, "
          "the command may still run");
    }
    decoder.Received(*n);
    shim::Frame frame{};
    auto outcome = shim::FrameDecoder::Outcome::kNeedMore;
    while ((outcome = decoder.Next(frame)) == shim::FrameDecoder::Outcome::kFrame) {
      const auto last = co_await SendFrame(frame);
      if (!last.ok()) co_return last.status();
      if (*last) co_return Status::Ok();
    }
    if (outcome == shim::FrameDecoder::Outcome::kMalformed)
      co_return InternalError("the backend sends something that is no session");
  }
  co_return Status::Ok();
}

net::Awaitable<Result<bool>> SessionPump::SendFrame(shim::Frame frame) {
  if (frame.type == shim::FrameType::kStdout || frame.type == shim::FrameType::kStderr) {
    const Channel channel =
        frame.type == shim::FrameType::kStdout ? Channel::kStdout : Channel::kStderr;
    CO_RETURN_IF_ERROR(co_await SendData(channel, frame.text()));
    co_return false;
  }
  shim::ExitStatus status;
  if (frame.type != shim::FrameType::kStatus || !status.Decode(frame.text()))
    co_return InternalError("the backend sends something that is no session");
  interlink::v1::SessionStatus message;
  message.set_exit_code(status.code);
  message.set_reason(Utf8Prefix(status.reason, shim::kMaxText));
  End({}, wire::EncodeStatus(message), WebSocket::kNormalClosure);
  co_return true;
}

net::Awaitable<Status> SessionPump::ReadBytes() {
  const auto buffer = std::make_unique<std::array<char, wire::kMaxSessionPayload>>();
  while (!over_) {
    const auto n = co_await parts_.end->Read(*buffer, After(kQuiet));
    if (!n.ok()) co_return n.status().WithContext("the connection to the port");
    if (*n == 0) break;
    const std::string_view bytes(buffer->data(), *n);
    CO_RETURN_IF_ERROR(co_await SendData(Channel::kStdout, bytes));
  }
  if (over_) co_return Status::Ok();
  const std::string closed = wire::EncodeClose(Channel::kStdout);
  const Status sent = co_await parts_.socket->Write(closed, After(wire::kSessionSilence));
  output_ended_ = true;
  EndWhenBothClosed();
  co_return sent;
}

net::Awaitable<Status> SessionPump::SendData(Channel channel, std::string_view bytes) {
  while (!bytes.empty()) {
    while (credit_.Sendable() == 0 && !over_) co_await credit_came_->Wait(After(kQuiet));
    if (over_) co_return CancelledError("the session is over");
    const std::string_view part = bytes.substr(0, credit_.Sendable());
    bytes.remove_prefix(part.size());
    credit_.Sent(part.size());
    const std::string head = wire::EncodeData(channel, {});
    CO_RETURN_IF_ERROR(co_await parts_.socket->Write(net::WebSocket::Kind::kBinary, head, part,
                                                     After(wire::kSessionSilence)));
  }
  co_return Status::Ok();
}

}  // namespace interlink::rest
