#include "node/event_feed.h"

#include <utility>

namespace interlink::node {

void EventFeed::Push(const Slice& event) {
  MutexLock lock(mutex_);
  if (!end_.ok()) return;
  // One event always fits: a pod of any size can be told.
  if (!queue_.empty() && bytes_ + event->size() > max_bytes_) {
    queue_.clear();
    bytes_ = 0;
    end_ = ResourceExhausted(
        "events were lost: this stream was read too slowly; ask for the lists, then listen again");
    return;
  }
  queue_.push_back(event);
  bytes_ += event->size();
}

void EventFeed::Deliver() {
  Reply<std::optional<Slices>> reply;
  Result<std::optional<Slices>> next = std::optional<Slices>();
  {
    MutexLock lock(mutex_);
    if (!waiting_ || (queue_.empty() && end_.ok())) return;
    reply = std::exchange(waiting_, nullptr);
    if (queue_.empty()) {
      next = end_;
    } else {
      bytes_ -= queue_.front()->size();
      next = std::optional<Slices>(Slices{queue_.front()});
      queue_.pop_front();
    }
  }
  reply(std::move(next));
}

void EventFeed::End(const Status& why) {
  {
    MutexLock lock(mutex_);
    if (end_.ok()) end_ = why;
  }
  Deliver();
}

bool EventFeed::ended() const {
  MutexLock lock(mutex_);
  return !end_.ok();
}

void EventFeed::Next(Reply<std::optional<Slices>> reply) {
  {
    MutexLock lock(mutex_);
    waiting_ = std::move(reply);
  }
  Deliver();
}

void EventFeed::Cancel() {
  {
    MutexLock lock(mutex_);
    queue_.clear();
    bytes_ = 0;
    if (end_.ok()) end_ = CancelledError("nobody reads the events any more");
  }
  Deliver();
}

}  // namespace interlink::node
