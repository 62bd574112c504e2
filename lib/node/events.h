// Events: what has changed in the lists, told to everybody who listens. Thread-safe; nothing
// blocks.
#ifndef INTERLINK_NODE_EVENTS_H_
#define INTERLINK_NODE_EVENTS_H_

#include "base/status.h"
#include "node/feed.h"

namespace interlink::node {

class Events {
 public:
  virtual ~Events() = default;

  // A feed of serialised ContainerEventResponse: every change from now on, in its order, each after
  // it is durable and after the lists say it. `created_at` rises strictly, together with the
  // `timestamp` of PodSandboxStatus. A reader that falls behind by more than 4 MiB loses its feed
  // with kResourceExhausted: it is to ask for the lists and then for a new feed.
  // kResourceExhausted: 32 feeds are open. kUnavailable: shutting down (also the end of each feed).
  virtual Result<FeedPtr> Subscribe() = 0;
};

}  // namespace interlink::node

#endif  // INTERLINK_NODE_EVENTS_H_
