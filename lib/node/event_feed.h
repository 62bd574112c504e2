// EventFeed: the bounded queue between whoever publishes and one reader. Thread-safe.
#ifndef INTERLINK_NODE_EVENT_FEED_H_
#define INTERLINK_NODE_EVENT_FEED_H_

#include <deque>
#include <functional>

#include "base/mutex.h"
#include "node/feed.h"

namespace interlink::node {

class EventFeed final : public Feed {
 public:
  explicit EventFeed(size_t max_bytes) : max_bytes_(max_bytes) {}

  // Queues; calls nobody, so it may be called under a lock. What does not fit ends the feed: what
  // was queued is dropped too, for a gap must not look like the whole story.
  void Push(const Slice& event);
  // Gives a waiting reader what there is. To be called after Push, without a lock.
  void Deliver();
  // The reader gets what is queued, then `why`.
  void End(const Status& why);
  // Nobody can get anything from it any more.
  bool ended() const;

  void Next(Reply<std::optional<Slices>> reply) override;
  void Cancel() override;

 private:
  const size_t max_bytes_;
  mutable Mutex mutex_;
  std::deque<Slice> queue_ GUARDED_BY(mutex_);
  size_t bytes_ GUARDED_BY(mutex_) = 0;
  Status end_ GUARDED_BY(mutex_);  // OK: it goes on
  Reply<std::optional<Slices>> waiting_ GUARDED_BY(mutex_);
};

}  // namespace interlink::node

#endif  // INTERLINK_NODE_EVENT_FEED_H_
