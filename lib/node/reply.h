// How the node's domain answers: memory answers are returned, all else is completed later through a
// Reply.
#ifndef INTERLINK_NODE_REPLY_H_
#define INTERLINK_NODE_REPLY_H_

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"

namespace interlink::node {

// Completed exactly once, from any thread, also at shutdown. It must not block.
template <typename T>
using Reply = std::function<void(Result<T>)>;

inline Status ShuttingDown() { return Unavailable("interlink-cri is shutting down"); }

// A reply that is told once: the first word counts, and where nobody says one (a step or a request
// that is dropped) its end says that the daemon is shutting down. Thread-safe.
template <typename T>
class Answer {
 public:
  explicit Answer(Reply<T> reply) : reply_(std::move(reply)) {}
  ~Answer() { Give(ShuttingDown()); }
  Answer(const Answer&) = delete;
  Answer& operator=(const Answer&) = delete;

  void Give(Result<T> result) {
    if (given_.exchange(true)) return;
    const Reply<T> reply = std::move(reply_);
    reply(std::move(result));
  }

 private:
  std::atomic<bool> given_ = false;
  Reply<T> reply_;  // of whoever has set given_
};

// One item of a CRI list, serialised as an element of the response's repeated field 1 (tag, length,
// bytes): a list response is the concatenation of its slices. Shared by the record that owns it and
// by lists in flight.
using Slice = std::shared_ptr<const std::string>;
using Slices = std::vector<Slice>;

}  // namespace interlink::node

#endif  // INTERLINK_NODE_REPLY_H_
