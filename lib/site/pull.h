// Internal: a pull in progress, or ended not long ago. Not thread-safe: LiveSite's mutex guards it.
#ifndef INTERLINK_SITE_PULL_H_
#define INTERLINK_SITE_PULL_H_

#include <functional>
#include <utility>
#include <vector>

#include "base/call.h"
#include "base/id.h"
#include "interlink/v1/record.pb.h"

namespace interlink::site {

// Joined by its id. Owners: the table, the thread that pulls, replies that wait.
struct Pull {
  Pull(Call c, NodeId n) : call(std::move(c)), node(std::move(n)) {}
  const Call call;
  const NodeId node;
  interlink::v1::PullRecord record;
  std::vector<std::function<void()>> waiters;
};

}  // namespace interlink::site

#endif  // INTERLINK_SITE_PULL_H_
