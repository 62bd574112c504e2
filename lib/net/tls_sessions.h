// Internal: what a client keeps of the TLS connections that it had, so that the next one to the
// same server needs no certificates (RFC 8446, 2.2: resumption, always with a fresh key exchange).
// Thread-safe.
#ifndef INTERLINK_NET_TLS_SESSIONS_H_
#define INTERLINK_NET_TLS_SESSIONS_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "base/mutex.h"

struct ssl_ctx_st;
struct ssl_session_st;
struct ssl_st;

namespace interlink::net {

class TlsSessions {
 public:
  // Clients of `context` keep theirs here, see Offer. This outlives the connections of `context`.
  static void Use(ssl_ctx_st* context);

  // Before the handshake of a client: offers the newest session that was kept under `server` (a
  // name with its port), and keeps there what this connection brings. A server that does not take
  // it asks for certificates as ever. A session is offered until an hour after its certificates
  // were verified, and not behind the end of the server's.
  void Offer(ssl_st* ssl, const std::string& server);

 private:
  struct Kept {
    std::shared_ptr<ssl_session_st> session;
    int64_t verified = 0;  // Unix seconds of the handshake with certificates
  };
  // Of one connection, in its SSL's ex data.
  struct Keeper {
    TlsSessions* sessions;
    std::string server;
    int64_t offered_verified = 0;  // of the session that was offered; 0: none was
  };
  static int KeeperIndex();
  static int OnSession(ssl_st* ssl, ssl_session_st* session);
  // Takes `session`.
  void Keep(const Keeper& keeper, bool resumed, ssl_session_st* session);

  Mutex mutex_;
  std::map<std::string, Kept> kept_ GUARDED_BY(mutex_);
};

}  // namespace interlink::net

#endif  // INTERLINK_NET_TLS_SESSIONS_H_
