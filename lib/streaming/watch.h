// Internal: ends what stands still. While a session cannot be read (the site is slow, or takes
// nothing) nobody would see that its client has gone; and no session may be idle for ever. On one
// strand.
#ifndef INTERLINK_STREAMING_WATCH_H_
#define INTERLINK_STREAMING_WATCH_H_

#include <functional>
#include <memory>

#include "base/status.h"
#include "net/connection.h"
#include "net/reply_wait.h"
#include "net/websocket.h"
#include "streaming/limits.h"

namespace interlink::streaming {

// Pings while nothing is read, every `tick`, as long as the socket lives: the watch cannot see the
// end of a client whose last bytes wait before it, but a reset it sees.
net::Awaitable<void> ProbeUnread(std::weak_ptr<net::WebSocket> socket,
                                 boost::asio::any_io_executor executor, Duration tick);

// Owners: the session and its loop.
class Watch : public std::enable_shared_from_this<Watch> {
 public:
  Watch(std::shared_ptr<net::Connection> connection, const Limits& limits);

  // Calls `give_up` at most once: kUnavailable, the client has gone; kDeadlineExceeded, nothing was
  // moved for Limits::idle. Ends with Stop.
  void Start(std::function<void(Status)> give_up);
  void Stop();
  // Something was moved.
  void Progress() { moved_ = true; }

 private:
  static net::Awaitable<void> Loop(std::shared_ptr<Watch> self);
  // Why it stands still for too long; OK: it does not.
  Status Look();

  const std::shared_ptr<net::Connection> connection_;
  const Duration idle_;
  const Duration tick_;
  const std::shared_ptr<net::Signal> stopped_;  // owners: this and its waiter
  std::function<void(Status)> give_up_;         // empty: stopped
  bool moved_ = false;
  SteadyTime still_since_;
};

}  // namespace interlink::streaming

#endif  // INTERLINK_STREAMING_WATCH_H_
