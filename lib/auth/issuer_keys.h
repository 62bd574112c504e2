// IssuerKeys: the public keys of one OpenID Connect issuer, kept fresh. Thread-safe.
//
// From a file (read again when it changes), or from the issuer: its discovery document (OpenID
// Connect Discovery 1.0, 4) names where its JWK Set lies. Both are read every ten minutes, and soon
// when a token names a key that is not known. An issuer that is down, slow, or answers something
// else takes nothing away: the last good keys stay, it is asked again later each time, and the log
// says why, once for each reason.
#ifndef INTERLINK_AUTH_ISSUER_KEYS_H_
#define INTERLINK_AUTH_ISSUER_KEYS_H_

#include <memory>
#include <string>
#include <utility>

#include "auth/jwk_set.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/status.h"
#include "base/timer.h"
#include "net/io.h"

namespace interlink::auth {

struct IssuerKeysOptions {
  std::string issuer;     // its URL: https, or http on a loopback address
  std::string jwks_file;  // a JWK Set; empty: the issuer is asked
  std::string ca_file;    // PEM, who signed its certificate; empty: the system's
  Duration refresh_every = std::chrono::minutes(10);
  // Between two tries, also for keys that are not known: a stranger must not make us ask.
  Duration shortest_pause = std::chrono::seconds(10);
  Duration longest_pause = std::chrono::minutes(5);
  Duration fetch_within = std::chrono::seconds(10);  // both documents
};

class IssuerKeys {
 public:
  // Begins to read; does not wait. `io`, `timer` and `log` outlive it. kInvalidArgument: the URL or
  // the file's contents. Else: the file, or `ca_file`, cannot be read.
  static Result<std::unique_ptr<IssuerKeys>> Create(IssuerKeysOptions options, net::Io& io,
                                                    Timer& timer, Log& log);
  ~IssuerKeys();
  IssuerKeys(const IssuerKeys&) = delete;
  IssuerKeys& operator=(const IssuerKeys&) = delete;

  // From memory. kUnauthenticated: its signature is not one of the issuer's. kUnavailable: its key
  // may be newer than what is known, and that is being read; or nothing was ever read.
  Status Verify(const Jwt& token);
  // The keys that are in force; another object when they were read again. Null: nothing was ever
  // read. Owners: this, and whoever compares.
  std::shared_ptr<const JwkSet> Current() const;

  struct State;

 private:
  explicit IssuerKeys(std::shared_ptr<State> state) : state_(std::move(state)) {}
  std::shared_ptr<State> state_;  // owners: this, its timer and its requests
};

}  // namespace interlink::auth

#endif  // INTERLINK_AUTH_ISSUER_KEYS_H_
