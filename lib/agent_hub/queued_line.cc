#include "agent_hub/queued_line.h"

#include <utility>

namespace interlink::agent_hub {
namespace {

constexpr auto kLastWordsWithin = std::chrono::seconds(2);

}  // namespace

QueuedLine::QueuedLine(SandboxId id, StreamPtr stream, Timer& timer, size_t max_waiting)
    : sandbox(std::move(id)),
      stream_(std::move(stream)),
      timer_(timer),
      max_waiting_(max_waiting) {}

void QueuedLine::Send(const agent::v1::HubMessage& message) {
  bool start = false;
  bool overrun = false;
  {
    MutexLock lock(mutex_);
    if (end_) return;
    if (waiting_.size() >= max_waiting_) {
      overrun = true;
      end_ = ResourceExhausted("the agent does not read what it is sent");
      waiting_.clear();
    } else {
      waiting_.push_back(message.SerializeAsString());
      start = !std::exchange(writing_, true);
    }
  }
  if (overrun) stream_->Cut();
  if (start) WriteNext();
}

void QueuedLine::End(const Status& why) {
  bool writing = false;
  {
    MutexLock lock(mutex_);
    if (end_) return;
    end_ = why;
    writing = writing_;
  }
  // Last words to a peer that may be gone.
  timer_.After(kLastWordsWithin, [stream = stream_] { stream->Cut(); });
  if (!writing) stream_->End(why);
}

void QueuedLine::Read(std::function<void(std::optional<std::string>)> done) {
  stream_->Read(std::move(done));
}

Status QueuedLine::why() {
  MutexLock lock(mutex_);
  return end_.value_or(Unavailable("the connection is gone"));
}

void QueuedLine::WriteNext() {
  std::string message;
  std::optional<Status> end;
  {
    MutexLock lock(mutex_);
    if (waiting_.empty()) {
      writing_ = false;
      end = end_;
    } else {
      message = std::move(waiting_.front());
      waiting_.pop_front();
    }
  }
  if (!message.empty()) {
    stream_->Write(std::move(message), [self = shared_from_this()](bool sent) {
      if (!sent) self->stream_->Cut();
      self->WriteNext();
    });
  } else if (end) {
    stream_->End(*end);
  }
}

}  // namespace interlink::agent_hub
