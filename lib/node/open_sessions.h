// Internal: the sessions that are open or being opened, so that they are counted and end with the
// node. It outlives the node for those that do. Thread-safe.
#ifndef INTERLINK_NODE_OPEN_SESSIONS_H_
#define INTERLINK_NODE_OPEN_SESSIONS_H_

#include <map>
#include <memory>

#include "base/mutex.h"
#include "node/session.h"

namespace interlink::node {

class OpenSessions : public std::enable_shared_from_this<OpenSessions> {
 public:
  explicit OpenSessions(size_t limit) : limit_(limit) {}

  // One session's place, until it dies. Owners: the opening, then the session.
  class Place {
   public:
    Place(std::shared_ptr<OpenSessions> all, uint64_t number)
        : all_(std::move(all)), number_(number) {}
    ~Place();
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;

   private:
    friend class OpenSessions;
    const std::shared_ptr<OpenSessions> all_;
    const uint64_t number_;
  };

  // kResourceExhausted: all places are taken. kUnavailable: after Stop.
  Result<std::shared_ptr<Place>> Take();
  // `session`, in its place from now on.
  SessionPtr Keep(std::shared_ptr<Place> place, SessionPtr session);
  // Ends all; whatever is kept later is ended at once.
  void Stop();

 private:
  const size_t limit_;
  Mutex mutex_;
  bool stopped_ GUARDED_BY(mutex_) = false;
  uint64_t next_ GUARDED_BY(mutex_) = 1;
  std::map<uint64_t, std::weak_ptr<Session>> places_ GUARDED_BY(mutex_);  // expired: being opened
};

}  // namespace interlink::node

#endif  // INTERLINK_NODE_OPEN_SESSIONS_H_
