// TLS contexts from files, with errors that a person can act on. TLS 1.2 and up, no renegotiation.
// Immutable, thread-safe; owners: every connection made from it.
#ifndef INTERLINK_NET_TLS_H_
#define INTERLINK_NET_TLS_H_

#include <cstdint>
#include <memory>
#include <string>

#include "base/status.h"

namespace interlink::net {

enum class ClientAuth { kRequire, kVerify, kNone };

struct TlsFiles {
  std::string cert_file;  // PEM, leaf first; empty: none (clients only)
  std::string key_file;   // PEM; must fit the certificate
  std::string ca_file;    // PEM; empty: the system's (clients only)
};

class TlsContext {
 public:
  // kNotFound, kPermissionDenied, kInvalidArgument ("key \"k\" does not fit certificate \"c\""),
  // kFailedPrecondition (expired or not yet valid).
  static Result<std::shared_ptr<const TlsContext>> Server(const TlsFiles& files, ClientAuth auth);
  // Verifies the server's chain and name.
  static Result<std::shared_ptr<const TlsContext>> Client(const TlsFiles& files);
  ~TlsContext();

  struct State;
  State& state() const { return *state_; }
  // Unix seconds at which our own certificate ends; 0: there is none.
  int64_t not_after() const { return not_after_; }

 private:
  TlsContext();
  Status Load(const TlsFiles& files, bool server);
  std::unique_ptr<State> state_;
  int64_t not_after_ = 0;
};

// Whether a client that trusts nobody but `ca_file` takes the certificate chain in `cert_file` for
// a server called `name` (a DNS name or an IP address). kInvalidArgument: it does not, and why;
// kNotFound, kPermissionDenied: a file.
Status CheckServerCertificate(const std::string& cert_file, const std::string& ca_file,
                              const std::string& name);

}  // namespace interlink::net

#endif  // INTERLINK_NET_TLS_H_
