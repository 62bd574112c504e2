// TLS contexts from files, with errors that a person can act on. TLS 1.2 and up, no renegotiation.
// Thread-safe; owners: whoever makes connections from it.
#ifndef INTERLINK_NET_TLS_H_
#define INTERLINK_NET_TLS_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "base/mutex.h"
#include "base/status.h"

namespace interlink::net {

enum class ClientAuth { kRequire, kVerify, kNone };

struct TlsFiles {
  std::string cert_file;  // PEM, leaf first; empty: none (clients only)
  std::string key_file;   // PEM; must fit the certificate
  std::string ca_file;    // PEM; empty: the system's (clients only)
  // PEM, RFC 5280; one list for each authority that signs clients. Empty: nothing is revoked.
  std::string crl_file = {};
};

class TlsContext {
 public:
  // kNotFound, kPermissionDenied, kInvalidArgument ("key \"k\" does not fit certificate \"c\""),
  // kFailedPrecondition (expired or not yet valid).
  static Result<std::shared_ptr<TlsContext>> Server(const TlsFiles& files, ClientAuth auth);
  // Verifies the server's chain and name.
  static Result<std::shared_ptr<TlsContext>> Client(const TlsFiles& files);
  ~TlsContext();

  // Reads the same files again. All is checked first, then connections that are made from now on
  // have it; those that stand go on as they are. An error, as of Server and Client: nothing
  // changes.
  Status Reload();
  // The first half of Reload: reads and checks; what it returns puts it in force. This outlives the
  // result.
  Result<std::function<void()>> Prepare();
  const TlsFiles& files() const { return files_; }
  // Whether the revocation lists in force name this certificate (Peer::certificate_id): true also
  // for one that was good when its connection was made.
  bool Revokes(const std::string& certificate_id) const;
  // Unix seconds at which our own certificate ends; 0: there is none.
  int64_t not_after() const;

  struct State;
  // Owners: this until the next Reload, and each connection that is made from it.
  std::shared_ptr<State> state() const;

 private:
  TlsContext(TlsFiles files, std::optional<ClientAuth> server)
      : files_(std::move(files)), server_(server) {}
  static Result<std::shared_ptr<TlsContext>> Open(const TlsFiles& files,
                                                  std::optional<ClientAuth> server);
  Result<std::shared_ptr<State>> Load() const;

  const TlsFiles files_;
  const std::optional<ClientAuth> server_;  // nothing: a client's
  mutable Mutex mutex_;
  std::shared_ptr<State> state_ GUARDED_BY(mutex_);
};

// Whether a client that trusts nobody but `ca_file` takes the certificate chain in `cert_file` for
// a server called `name` (a DNS name or an IP address). kInvalidArgument: it does not, and why;
// kNotFound, kPermissionDenied: a file.
Status CheckServerCertificate(const std::string& cert_file, const std::string& ca_file,
                              const std::string& name);

}  // namespace interlink::net

#endif  // INTERLINK_NET_TLS_H_
