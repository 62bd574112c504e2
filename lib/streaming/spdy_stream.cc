#include <algorithm>

#include "streaming/spdy_connection.h"
#include "streaming/waits.h"

namespace interlink::streaming {
SpdyStream::SpdyStream(const std::shared_ptr<SpdyConnection>& connection, const SpdyFrame& opening)
    : connection_(connection),
      id_(opening.stream),
      headers_(opening.headers),
      theirs_ended_(opening.fin),
      last_taken_(Now()),
      readable_(connection->NewSignal()),
      writable_(connection->NewSignal()) {}

std::string SpdyStream::Header(const std::string& name) const {
  const auto it = headers_.find(name);
  return it == headers_.end() ? std::string() : it->second.substr(0, it->second.find('\0'));
}

std::optional<Result<std::string>> SpdyStream::TakeNow(size_t max) {
  if (Held() == 0) {
    if (!status_.ok()) return status_;
    if (abandoned_) return CancelledError("the stream was given up");
    if (theirs_ended_) return std::string();
    return std::nullopt;
  }
  std::string bytes;
  if (in_taken_ == 0 && in_.size() <= max) {
    bytes = std::exchange(in_, {});
  } else {
    bytes = in_.substr(in_taken_, max);
    in_taken_ += bytes.size();
    if (in_taken_ == in_.size()) {
      in_.clear();
      in_taken_ = 0;
    }
  }
  last_taken_ = Now();
  if (const auto connection = connection_.lock()) {
    connection->held_ -= bytes.size();
    if (connection->waits_for_room_) connection->room_->Set();
    connection->ForgetIfOver(*this);
  }
  return bytes;
}

net::Awaitable<Result<std::string>> SpdyStream::Read(size_t max) {
  while (true) {
    auto taken = TakeNow(max);
    if (taken) co_return *std::move(taken);
    co_await readable_->Wait(In(kUntilWoken));
  }
}

void SpdyStream::Hold(std::string_view bytes) {
  if (in_taken_ > in_.size() / 2) {
    in_.erase(0, in_taken_);
    in_taken_ = 0;
  }
  in_.append(bytes);
  readable_->Set();
}

net::Awaitable<Status> SpdyStream::Write(std::string_view bytes) {
  while (!bytes.empty()) {
    if (!status_.ok()) co_return status_;
    if (ours_ != Half::kOpen) co_return FailedPrecondition("our half of the stream has ended");
    const auto connection = connection_.lock();
    if (connection == nullptr) co_return CancelledError("the connection was given up");
    const SpdyOptions& options = connection->options_;
    const size_t own = options.stream_output - std::min(options.stream_output, Queued());
    const size_t all =
        options.connection_output - std::min(options.connection_output, connection->queued_);
    const size_t part = std::min({bytes.size(), own, all});
    if (part == 0) {
      co_await writable_->Wait(In(kUntilWoken));
      continue;
    }
    out_.append(bytes.substr(0, part));
    bytes.remove_prefix(part);
    connection->queued_ += part;
    connection->Queue(*this);
  }
  co_return Status::Ok();
}

void SpdyStream::WriteLast(std::string_view text) {
  const auto connection = connection_.lock();
  if (!status_.ok() || ours_ != Half::kOpen || connection == nullptr) return;
  out_.append(text);
  connection->queued_ += text.size();
  Finish();
}

void SpdyStream::Finish() {
  const auto connection = connection_.lock();
  if (!status_.ok() || ours_ != Half::kOpen || connection == nullptr) return;
  ours_ = Half::kFinishing;
  connection->Queue(*this);
}

void SpdyStream::Abandon() {
  const auto connection = connection_.lock();
  if (!status_.ok() || abandoned_ || connection == nullptr) return;
  abandoned_ = true;
  connection->held_ -= Held();
  in_.clear();
  in_taken_ = 0;
  Wake();
  if (connection->waits_for_room_) connection->room_->Set();
  if (ours_ == Half::kFinished) {
    // FIN is out already: only what the client may still send is left to end.
    if (theirs_ended_) {
      connection->ForgetIfOver(*this);
    } else {
      Reset(SpdyReset::kCancel);
    }
    return;
  }
  Finish();
}

void SpdyStream::Reset(SpdyReset why) { ResetWith(why, CancelledError("the stream was reset")); }

void SpdyStream::ResetWith(SpdyReset code, Status why) {
  const auto connection = connection_.lock();
  if (!status_.ok() || connection == nullptr) return;
  connection->Control(SpdyResetFrame(id_, code));
  End(*connection, std::move(why));
  connection->ForgetIfOver(*this);
}

void SpdyStream::End(SpdyConnection& connection, Status why) {
  if (!status_.ok()) return;
  status_ = std::move(why);
  connection.held_ -= Held();
  connection.queued_ -= Queued();
  in_.clear();
  out_.clear();
  in_taken_ = out_sent_ = 0;
  if (connection.waits_for_room_) connection.room_->Set();
  Wake();
}

void SpdyStream::Wake() const {
  readable_->Set();
  writable_->Set();
}

}  // namespace interlink::streaming
