// Feed: serialised messages for one reader, one after the other. The reader asks for each, so what
// it does not read is held back or dropped here, never queued at the edge.
//
//   Next (message) ... Next (nothing: the end | an error: the end)
#ifndef INTERLINK_NODE_FEED_H_
#define INTERLINK_NODE_FEED_H_

#include <memory>
#include <optional>

#include "node/reply.h"

namespace interlink::node {

// Thread-safe, but one Next at a time.
class Feed {
 public:
  virtual ~Feed() = default;
  // Replies once, now or later, from any thread. After the end it may not be called any more.
  virtual void Next(Reply<std::optional<Slices>> reply) = 0;
  // Nobody reads any more: a Next that waits is answered with kCancelled. Idempotent.
  virtual void Cancel() = 0;
};

// Owners: its reader, and whoever fills it.
using FeedPtr = std::shared_ptr<Feed>;

}  // namespace interlink::node

#endif  // INTERLINK_NODE_FEED_H_
