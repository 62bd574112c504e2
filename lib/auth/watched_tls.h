// WatchedTls: a TLS context follows its files. Thread-safe.
//
// Whoever renews certificates writes certificate, key and authorities one after the other: a second
// after the last change all are read. What does not fit together, has expired or is damaged changes
// nothing and is said in the log, once for each reason; it is tried again every minute, and with
// the next change.
#ifndef INTERLINK_AUTH_WATCHED_TLS_H_
#define INTERLINK_AUTH_WATCHED_TLS_H_

#include <memory>

#include "base/log.h"
#include "base/timer.h"
#include "net/tls.h"

namespace interlink::auth {

class WatchedTls {
 public:
  // Looks from now on, every second. `timer` and `log` outlive it.
  WatchedTls(std::shared_ptr<net::TlsContext> context, Timer& timer, Log& log);
  ~WatchedTls();
  WatchedTls(const WatchedTls&) = delete;
  WatchedTls& operator=(const WatchedTls&) = delete;

  // Reads them soon, changed or not.
  void ReadSoon();

  struct State;

 private:
  std::shared_ptr<State> state_;  // owners: this and the timer's next look
};

}  // namespace interlink::auth

#endif  // INTERLINK_AUTH_WATCHED_TLS_H_
