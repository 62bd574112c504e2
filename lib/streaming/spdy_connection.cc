#include "streaming/spdy_connection.h"

#include <algorithm>
#include <boost/asio/post.hpp>

#include "streaming/waits.h"

namespace interlink::streaming {
namespace {

constexpr size_t kBuffer = size_t{64} << 10U;
constexpr size_t kPiece = size_t{64} << 10U;         // one stream's turn
constexpr size_t kControlLimit = size_t{16} << 10U;  // replies that the client does not read
std::string Seconds(Duration duration) {
  return std::to_string(std::chrono::duration_cast<std::chrono::seconds>(duration).count()) + " s";
}

}  // namespace

SpdyConnection::SpdyConnection(std::shared_ptr<net::Connection> connection, std::string early,
                               SpdyOptions options)
    : connection_(std::move(connection)),
      early_(std::move(early)),
      options_(std::move(options)),
      decoder_(options_.limits),
      last_frame_(Now()),
      to_write_(NewSignal()),
      written_(NewSignal()),
      room_(NewSignal()),
      watching_(NewSignal()) {}

std::shared_ptr<net::Signal> SpdyConnection::NewSignal() const {
  return std::make_shared<net::Signal>(connection_->executor());
}

void SpdyConnection::Start(std::weak_ptr<SpdyStreams> streams) {
  transport_ = std::move(streams);
  connection_->AllowPauses();
  net::Io::Spawn(executor(), ReadLoop(shared_from_this()));
  net::Io::Spawn(executor(), WriteLoop(shared_from_this()));
  net::Io::Spawn(executor(), WatchLoop(shared_from_this()));
}

// Reading.

net::Awaitable<void> SpdyConnection::ReadLoop(Self self) {
  self->buffer_.resize(kBuffer);
  Status status = co_await self->ReadFrames(self->early_);
  while (status.ok() && !self->stopped_) {
    const auto n = co_await self->connection_->Read(self->buffer_, SteadyTime::max());
    if (!n.ok() || *n == 0) {
      self->read_ended_ = true;
      self->written_->Set();
      if (self->closing_) co_return;
      const char* const where = self->decoder_.AtBoundary() ? "" : " in the middle of a frame";
      if (n.ok()) {
        self->End(Unavailable(std::string("the client has closed the connection") + where));
      } else {
        self->End(n.status());
      }
      co_return;
    }
    if (!self->closing_) status = co_await self->ReadFrames({self->buffer_.data(), *n});
  }
  if (!status.ok()) self->Fail(status, 1);
}

net::Awaitable<Status> SpdyConnection::ReadFrames(std::string_view bytes) {
  while (!closing_ && !stopped_) {
    auto next = decoder_.Next(bytes);
    if (!next.ok()) co_return next.status();
    if (!next->has_value()) break;
    SpdyFrame& frame = **next;
    heard_ = true;
    Touch();
    if (frame.kind == SpdyFrame::Kind::kData) {
      CO_RETURN_IF_ERROR(co_await TakeData(frame));
    } else {
      CO_RETURN_IF_ERROR(Take(frame));
    }
    // A client that does not read what it asks for is not read either.
    while (control_.size() > kControlLimit && !closing_ && !stopped_) {
      waits_for_room_ = true;
      co_await room_->Wait(In(kUntilWoken));
      waits_for_room_ = false;
    }
  }
  co_return Status::Ok();
}

Status SpdyConnection::Take(SpdyFrame& frame) {
  const auto it = streams_.find(frame.stream);
  const SpdyStreamPtr stream = it == streams_.end() ? nullptr : it->second;
  switch (frame.kind) {
    case SpdyFrame::Kind::kSynStream:
      return Open(frame);
    case SpdyFrame::Kind::kSynReply:
      return InvalidArgument("a SYN_REPLY to a stream that only the client could have opened");
    case SpdyFrame::Kind::kReset:
      if (stream == nullptr) break;
      stream->End(*this, CancelledError("the client has reset the stream"));
      ForgetIfOver(*stream);
      break;
    case SpdyFrame::Kind::kPing:
      if (frame.number % 2 == 1) Control(SpdyPing(frame.number));  // else it answers one of ours
      break;
    case SpdyFrame::Kind::kGoAway:
      gone_away_ = true;
      if (const auto transport = transport_.lock()) transport->NoMoreStreams();
      break;
    case SpdyFrame::Kind::kHeaders:
      if (stream != nullptr && frame.fin) TheirEnd(stream);
      break;
    case SpdyFrame::Kind::kSettings:
    case SpdyFrame::Kind::kWindowUpdate:
    case SpdyFrame::Kind::kData:
      break;
  }
  return {};
}

Status SpdyConnection::Open(const SpdyFrame& frame) {
  const std::string name = "stream " + std::to_string(frame.stream);
  if (frame.stream % 2 == 0) return InvalidArgument(name + " of a client: its numbers are odd");
  if (frame.stream <= last_id_)
    return InvalidArgument(name + " after stream " + std::to_string(last_id_) + ": numbers grow");
  last_id_ = frame.stream;
  const auto transport = transport_.lock();
  if (gone_away_ || transport == nullptr || streams_.size() >= options_.max_streams) {
    TellRefusal();
    Control(SpdyResetFrame(frame.stream, SpdyReset::kRefused));
    return {};
  }
  if (frame.unidirectional) {
    Control(SpdyResetFrame(frame.stream, SpdyReset::kProtocolError));
    return {};
  }
  const auto stream = std::make_shared<SpdyStream>(shared_from_this(), frame);
  streams_[frame.stream] = stream;
  const size_t before = control_.size();
  const auto refused = transport->Opened(stream);
  if (refused) {
    stream->Reset(*refused);
    return {};
  }
  // The reply comes before whatever the transport has sent about it.
  ASSIGN_OR_RETURN(const std::string reply, encoder_.SynReply(frame.stream));
  if (!closing_) control_.insert(before, reply);
  to_write_->Set();
  return {};
}

void SpdyConnection::TellRefusal() {
  if (gone_away_ || options_.log == nullptr || std::exchange(refusal_told_, true)) return;
  options_.log->Warning(
      "streams of a client are refused: too many are open",
      {{"client", connection_->peer().address}, {"limit", std::to_string(options_.max_streams)}});
}

void SpdyConnection::TheirEnd(const SpdyStreamPtr& stream) {
  stream->theirs_ended_ = true;
  stream->readable_->Set();
  ForgetIfOver(*stream);
}

net::Awaitable<Status> SpdyConnection::TakeData(const SpdyFrame& piece) {
  const auto it = streams_.find(piece.stream);
  if (it == streams_.end()) {
    if (piece.stream <= last_id_ && piece.stream % 2 == 1) co_return Status::Ok();  // was reset
    co_return InvalidArgument("data for stream " + std::to_string(piece.stream) +
                              ", which was never opened");
  }
  const SpdyStreamPtr stream = it->second;
  if (stream->theirs_ended_) {
    stream->ResetWith(SpdyReset::kProtocolError,
                      InvalidArgument("the client sends after it has finished"));
    co_return Status::Ok();
  }
  if (!HasRoom(*stream, piece.data.size())) co_await WaitForRoom(stream, piece.data.size());
  if (!stream->status_.ok()) co_return Status::Ok();
  if (!piece.data.empty() && !stream->abandoned_) {
    held_ += piece.data.size();
    stream->Hold(piece.data);
  }
  if (piece.fin) TheirEnd(stream);
  co_return Status::Ok();
}

bool SpdyConnection::HasRoom(const SpdyStream& stream, size_t bytes) const {
  if (bytes == 0 || stream.abandoned_ || !stream.status_.ok()) return true;
  const size_t own = stream.Held();
  return (own == 0 || own + bytes <= options_.stream_input) &&
         (held_ == 0 || held_ + bytes <= options_.connection_input);
}

SpdyStreamPtr SpdyConnection::InTheWay(const SpdyStreamPtr& wanted, size_t bytes) const {
  const size_t own = wanted->Held();
  if (own > 0 && own + bytes > options_.stream_input) return wanted;
  const auto most = std::max_element(
      streams_.begin(), streams_.end(),
      [](const auto& a, const auto& b) { return a.second->Held() < b.second->Held(); });
  return most->second;
}

net::Awaitable<void> SpdyConnection::WaitForRoom(const SpdyStreamPtr& stream, size_t bytes) {
  SteadyTime since = Now();
  while (!HasRoom(*stream, bytes) && !closing_ && !stopped_) {
    const SpdyStreamPtr slow = InTheWay(stream, bytes);
    const SteadyTime deadline = std::max(since, slow->last_taken_) + options_.held_up;
    if (connection_->PeerFinished()) {
      End(Unavailable("the client has closed the connection"));
    } else if (Now() < deadline) {
      waits_for_room_ = true;
      co_await room_->Wait(std::min(deadline, Now() + options_.tick));
      waits_for_room_ = false;
    } else if (!Dislodge(*slow)) {
      since = Now();
    }
  }
}

// Resets the stream that holds up the others, if the transport agrees.
bool SpdyConnection::Dislodge(SpdyStream& slow) {
  const auto transport = transport_.lock();
  if (transport == nullptr || !transport->MayReset(slow)) return false;
  const std::string limit = Seconds(options_.held_up);
  if (options_.log != nullptr) {
    options_.log->Warning("a stream is reset: nothing was taken from it and others wait",
                          {{"client", connection_->peer().address},
                           {"stream", std::to_string(slow.id())},
                           {"limit", limit}});
  }
  slow.ResetWith(SpdyReset::kCancel, ResourceExhausted("nothing was taken from this stream for " +
                                                       limit + " while others waited behind it"));
  return true;
}

// Writing.

void SpdyConnection::Control(std::string_view frame) {
  if (!heard_ || closing_) return;
  control_ += frame;
  to_write_->Set();
}

void SpdyConnection::Queue(SpdyStream& stream) {
  if (stream.in_turn_ || closing_) return;
  const auto it = streams_.find(stream.id());
  if (it == streams_.end()) return;
  stream.in_turn_ = true;
  round_.push_back(it->second);
  to_write_->Set();
}

std::string SpdyConnection::NextBytes() {
  std::string bytes = std::exchange(control_, {});
  if (waits_for_room_ && !bytes.empty()) room_->Set();
  const bool full = queued_ >= options_.connection_output;
  while (!round_.empty() && bytes.size() < kPiece) {
    const SpdyStreamPtr stream = std::move(round_.front());
    round_.pop_front();
    stream->in_turn_ = false;
    if (!stream->status_.ok()) continue;
    const size_t size = std::min(stream->Queued(), kPiece);
    if (size > 0) {
      AppendSpdyData(bytes, stream->id(),
                     std::string_view(stream->out_).substr(stream->out_sent_, size));
      queued_ -= size;
      stream->out_sent_ += size;
      if (stream->Queued() == 0) {
        stream->out_.clear();
        stream->out_sent_ = 0;
      } else if (stream->out_sent_ >= stream->out_.size() / 2) {
        stream->out_.erase(0, stream->out_sent_);
        stream->out_sent_ = 0;
      }
      stream->writable_->Set();
    }
    if (stream->Queued() > 0) {
      stream->in_turn_ = true;
      round_.push_back(stream);
    } else if (stream->ours_ == SpdyStream::Half::kFinishing) {
      AppendSpdyData(bytes, stream->id(), "", /*fin=*/true);
      stream->ours_ = SpdyStream::Half::kFinished;
      if (stream->abandoned_ && !stream->theirs_ended_) {
        bytes += SpdyResetFrame(stream->id(), SpdyReset::kCancel);
        stream->End(*this, CancelledError("the stream has ended"));
      }
      ForgetIfOver(*stream);
    }
  }
  if (full && queued_ < options_.connection_output) {
    for (const auto& [id, stream] : streams_) stream->writable_->Set();
  }
  return bytes;
}

net::Awaitable<void> SpdyConnection::WriteLoop(Self self) {
  while (!self->stopped_) {
    const std::string bytes = self->NextBytes();
    if (bytes.empty()) {
      self->written_->Set();
      if (!self->ended_.ok()) break;
      co_await self->to_write_->Wait(In(kUntilWoken));
      continue;
    }
    self->writing_ = true;
    const Status status = co_await self->connection_->Write(bytes, Now() + self->options_.stalled);
    self->writing_ = false;
    if (!status.ok()) self->End(status);
    self->Touch();
  }
  self->Stop();
}

// Ends.

net::Awaitable<void> SpdyConnection::WatchLoop(Self self) {
  while (!self->stopped_) {
    const SteadyTime idle = self->last_frame_ + self->options_.idle;
    if (Now() >= self->end_by_) {
      self->End(DeadlineExceeded("the client does not take the end of its connection"));
    } else if (Now() >= idle && self->ended_.ok() && !self->closing_) {
      self->Fail(
          DeadlineExceeded("nothing was sent or received for " + Seconds(self->options_.idle)), 0);
    } else {
      const bool over = !self->ended_.ok() || self->closing_;
      const SteadyTime next =
          over ? std::min(self->end_by_, In(kUntilWoken)) : std::min(self->end_by_, idle);
      co_await self->watching_->Wait(next);
    }
  }
}

void SpdyConnection::ForgetIfOver(const SpdyStream& stream) {
  if (!stream.Over() || streams_.erase(stream.id()) == 0) return;
  if (!gone_away_ || !streams_.empty()) return;
  if (const auto transport = transport_.lock()) transport->NoMoreStreams();
}

net::Awaitable<Status> SpdyConnection::Flush() {
  while (ended_.ok() && !AllSent()) co_await written_->Wait(In(kUntilWoken));
  co_return ended_;
}

net::Awaitable<Status> SpdyConnection::Close() {
  const Self self = shared_from_this();
  Status sent = co_await Flush();
  if (sent.ok()) {
    std::string farewell;
    for (const auto& [id, stream] : streams_) {
      farewell += SpdyResetFrame(id, SpdyReset::kCancel);
    }
    Control(farewell.append(SpdyGoAway(last_id_, 0)));
    closing_ = true;
    EndStreams(CancelledError("the connection was closed"));
    room_->Set();
    sent = co_await Flush();
  }
  if (sent.ok()) {
    // What the kernel holds reaches the client only if nothing of its own stays unread here.
    const SteadyTime deadline = Now() + options_.stalled;
    co_await connection_->ShutdownWrite();
    while (!read_ended_ && !stopped_ && Now() < deadline) co_await written_->Wait(deadline);
  }
  End(CancelledError("the connection was closed"));
  co_return sent;
}

void SpdyConnection::EndBy(SteadyTime deadline) {
  end_by_ = std::min(end_by_, deadline);
  watching_->Set();
}

void SpdyConnection::Cancel() {
  boost::asio::post(executor(), [self = shared_from_this()] {
    self->End(CancelledError("the connection was given up"));
  });
}

void SpdyConnection::Fail(Status why, uint32_t go_away) {
  if (!ended_.ok()) return;
  const bool tell = heard_ && !closing_;
  ended_ = std::move(why);
  closing_ = true;
  round_.clear();
  control_.clear();
  EndStreams(ended_);
  if (tell) control_ = SpdyGoAway(last_id_, go_away);
  EndBy(Now() + kFarewell);
  to_write_->Set();
  written_->Set();
  room_->Set();
}

void SpdyConnection::End(Status why) {
  if (ended_.ok()) {
    ended_ = std::move(why);
    EndStreams(ended_);
  }
  Stop();
}

void SpdyConnection::EndStreams(const Status& why) {
  const auto streams = std::exchange(streams_, {});
  for (const auto& [id, stream] : streams) stream->End(*this, why);
  if (const auto transport = transport_.lock()) transport->NoMoreStreams();
}

void SpdyConnection::Stop() {
  if (stopped_) return;
  stopped_ = true;
  connection_->Cancel();
  for (const auto& signal : {to_write_, written_, room_, watching_}) signal->Set();
}

}  // namespace interlink::streaming
