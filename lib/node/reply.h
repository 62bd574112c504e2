// How the node's domain answers: memory answers are returned, all else is completed later through a
// Reply.
#ifndef INTERLINK_NODE_REPLY_H_
#define INTERLINK_NODE_REPLY_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"

namespace interlink::node {

// Completed exactly once, from any thread, also at shutdown. It must not block.
template <typename T>
using Reply = std::function<void(Result<T>)>;

// One item of a CRI list, serialised as an element of the response's repeated field 1 (tag, length,
// bytes): a list response is the concatenation of its slices. Shared by the record that owns it and
// by lists in flight.
using Slice = std::shared_ptr<const std::string>;
using Slices = std::vector<Slice>;

}  // namespace interlink::node

#endif  // INTERLINK_NODE_REPLY_H_
