// Internal: how many sessions each node has open. It outlives the site for sessions that do.
// Thread-safe.
#ifndef INTERLINK_SITE_SESSION_COUNTS_H_
#define INTERLINK_SITE_SESSION_COUNTS_H_

#include <map>
#include <memory>
#include <string>

#include "base/id.h"
#include "base/mutex.h"
#include "base/status.h"

namespace interlink::site {

class SessionCounts : public std::enable_shared_from_this<SessionCounts> {
 public:
  // One more, until the result dies. kResourceExhausted: `limit` are open.
  Result<std::shared_ptr<void>> Take(const NodeId& node, size_t limit) {
    MutexLock lock(mutex_);
    const auto it = open_.find(node);
    if (it != open_.end() && it->second >= limit) {
      return ResourceExhausted("node \"" + node.str() + "\" has " + std::to_string(limit) +
                               " sessions open already: close some");
    }
    ++open_[node];
    return std::shared_ptr<void>(
        nullptr, [self = shared_from_this(), node](const void*) { self->Release(node); });
  }

 private:
  void Release(const NodeId& node) {
    MutexLock lock(mutex_);
    const auto it = open_.find(node);
    if (--it->second == 0) open_.erase(it);
  }

  Mutex mutex_;
  std::map<NodeId, size_t> open_ GUARDED_BY(mutex_);
};

}  // namespace interlink::site

#endif  // INTERLINK_SITE_SESSION_COUNTS_H_
