// Internal: how many sessions each node and each account has open. It outlives the site for
// sessions that do. Thread-safe.
#ifndef INTERLINK_SITE_SESSION_COUNTS_H_
#define INTERLINK_SITE_SESSION_COUNTS_H_

#include <map>
#include <memory>
#include <string>

#include "base/id.h"
#include "base/mutex.h"
#include "base/status.h"
#include "site/admission.h"

namespace interlink::site {

class SessionCounts : public std::enable_shared_from_this<SessionCounts> {
 public:
  // One more of both, until the result dies. kResourceExhausted: the node has `limit` open.
  Result<std::shared_ptr<void>> Take(const NodeId& node, size_t limit, const Account& account) {
    MutexLock lock(mutex_);
    const auto it = by_node_.find(node);
    if (it != by_node_.end() && it->second >= limit) {
      return ResourceExhausted("node \"" + node.str() + "\" has " + std::to_string(limit) +
                               " sessions open already: close some");
    }
    ++by_node_[node];
    ++by_account_[account];
    return std::shared_ptr<void>(nullptr, [self = shared_from_this(), node, account](const void*) {
      self->Release(node, account);
    });
  }
  size_t Of(const Account& account) const {
    MutexLock lock(mutex_);
    const auto it = by_account_.find(account);
    return it == by_account_.end() ? 0 : it->second;
  }

 private:
  void Release(const NodeId& node, const Account& account) {
    MutexLock lock(mutex_);
    if (const auto it = by_node_.find(node); --it->second == 0) by_node_.erase(it);
    if (const auto it = by_account_.find(account); --it->second == 0) by_account_.erase(it);
  }

  mutable Mutex mutex_;
  std::map<NodeId, size_t> by_node_ GUARDED_BY(mutex_);
  std::map<Account, size_t> by_account_ GUARDED_BY(mutex_);
};

}  // namespace interlink::site

#endif  // INTERLINK_SITE_SESSION_COUNTS_H_
