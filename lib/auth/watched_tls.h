// WatchedTls: a TLS context follows its files. Thread-safe.
//
// Whoever renews certificates writes certificate, key and authorities one after the other: a second
// after the last change all are read. What does not fit together, has expired or is damaged changes
// nothing and is said in the log, once for each reason; it is tried again every minute, and with
// the next change.
#ifndef INTERLINK_AUTH_WATCHED_TLS_H_
#define INTERLINK_AUTH_WATCHED_TLS_H_

#include <functional>
#include <memory>

#include "base/log.h"
#include "base/timer.h"
#include "net/tls.h"

namespace interlink::auth {

class WatchedTls {
 public:
  // Reads the files once more, which may have changed since `context` was made, and looks from now
  // on, every second. `timer` and `log` outlive it. `renewed` (may be empty) runs each time after
  // they were taken, here or on the timer's thread.
  WatchedTls(std::shared_ptr<net::TlsContext> context, Timer& timer, Log& log,
             std::function<void()> renewed = nullptr);
  ~WatchedTls();
  WatchedTls(const WatchedTls&) = delete;
  WatchedTls& operator=(const WatchedTls&) = delete;

  // Reads and checks them now, changed or not; what it returns puts them in force, and runs
  // `renewed`; what has changed in between is taken as any change. Errors as net::TlsContext.
  // Blocks on a disk. This outlives the result.
  Result<std::function<void()>> Prepare();

  struct State;

 private:
  std::shared_ptr<State> state_;  // owners: this and the timer's next look
};

}  // namespace interlink::auth

#endif  // INTERLINK_AUTH_WATCHED_TLS_H_
