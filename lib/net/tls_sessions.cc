#include "net/tls_sessions.h"

#include <openssl/ssl.h>

#include <ctime>
#include <utility>

#include "net/tls_state.h"

namespace interlink::net {
namespace {

constexpr size_t kMostServers = 64;
constexpr int64_t kLongest = 3600;

bool HasEnded(SSL_SESSION* session, int64_t now) {
  const X509* leaf = SSL_SESSION_get0_peer(session);
  return leaf == nullptr || UnixTime(X509_get0_notAfter(leaf)) < now;
}

}  // namespace

int TlsSessions::KeeperIndex() {
  // The SSL owns it.
  static const int index = SSL_get_ex_new_index(
      0, nullptr, nullptr, nullptr, [](void*, void* keeper, CRYPTO_EX_DATA*, int, long, void*) {
        delete static_cast<Keeper*>(keeper);
      });
  return index;
}

void TlsSessions::Use(ssl_ctx_st* context) {
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(context, &TlsSessions::OnSession);
}

void TlsSessions::Offer(ssl_st* ssl, const std::string& server) {
  auto keeper = std::make_unique<Keeper>(Keeper{this, server});
  const auto now = static_cast<int64_t>(std::time(nullptr));
  std::shared_ptr<SSL_SESSION> session;  // a copy: its handshake may write to it
  {
    const MutexLock lock(mutex_);
    const auto found = kept_.find(server);
    if (found != kept_.end() &&
        (now - found->second.verified >= kLongest || HasEnded(found->second.session.get(), now))) {
      kept_.erase(found);
    } else if (found != kept_.end()) {
      session.reset(SSL_SESSION_dup(found->second.session.get()), SSL_SESSION_free);
      keeper->offered_verified = found->second.verified;
    }
  }
  // Refused, nothing was offered: certificates are asked for.
  if (session != nullptr && SSL_set_session(ssl, session.get()) != 1) keeper->offered_verified = 0;
  if (SSL_set_ex_data(ssl, KeeperIndex(), keeper.get()) == 1) static_cast<void>(keeper.release());
}

int TlsSessions::OnSession(ssl_st* ssl, ssl_session_st* session) {
  const auto* keeper = static_cast<const Keeper*>(SSL_get_ex_data(ssl, KeeperIndex()));
  if (keeper == nullptr || SSL_SESSION_is_resumable(session) != 1) return 0;
  // A copy: OpenSSL spoils the connection's own one when it ends without a word of TLS.
  if (SSL_SESSION* copy = SSL_SESSION_dup(session); copy != nullptr)
    keeper->sessions->Keep(*keeper, SSL_session_reused(ssl) == 1, copy);
  return 0;  // the connection keeps its own
}

void TlsSessions::Keep(const Keeper& keeper, bool resumed, ssl_session_st* session) {
  Kept kept{{session, SSL_SESSION_free},
            resumed ? keeper.offered_verified : static_cast<int64_t>(std::time(nullptr))};
  const MutexLock lock(mutex_);
  if (kept_.size() >= kMostServers && !kept_.contains(keeper.server)) kept_.clear();
  kept_[keeper.server] = std::move(kept);
}

}  // namespace interlink::net
