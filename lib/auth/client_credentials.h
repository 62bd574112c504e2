// ClientCredentials: the node's bearer token by the client credentials grant of OAuth 2.0 (RFC
// 6749, 4.4), renewed before it ends. Thread-safe; one thread of its own.
//
//   asking --a token--> resting until four fifths of its life, less a random part --> asking
//     '------ none ---> resting, later each time (1 s to 1 min) ----------------------'
// The site's 401 ends a rest, at most every ten seconds.
#ifndef INTERLINK_AUTH_CLIENT_CREDENTIALS_H_
#define INTERLINK_AUTH_CLIENT_CREDENTIALS_H_

#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "base/status.h"
#include "net/io.h"

namespace interlink::auth {

struct ClientCredentialsOptions {
  std::string issuer;     // asked where its token endpoint is (OpenID Connect Discovery 1.0)
  std::string token_url;  // that endpoint; empty: by `issuer`
  std::string client_id;
  std::string secret_file;  // one line; read for each request, so it may change
  std::vector<std::string> scopes;
  std::string audience;  // sent as "audience", for issuers that want it; empty: not sent
  std::string ca_file;   // PEM, who signed the issuer's certificate; empty: the system's
  Duration ask_within = std::chrono::seconds(10);
  Duration shortest_pause = std::chrono::seconds(1);
  Duration longest_pause = std::chrono::minutes(1);
  Duration after_refusal = std::chrono::seconds(10);
};

class ClientCredentials {
 public:
  // Begins to ask; does not wait. `io` and `log` outlive it. kInvalidArgument: a URL; else
  // `ca_file`.
  static Result<std::unique_ptr<ClientCredentials>> Create(ClientCredentialsOptions options,
                                                           net::Io& io, Log& log);
  virtual ~ClientCredentials() = default;

  // From memory. kUnavailable: there is none that is good now; says why.
  virtual Result<std::string> Token() const = 0;
  // The site has answered 401.
  virtual void Refused() = 0;
  // Blocks until the issuer has answered once, at most until `limit`; then as Token.
  virtual Result<std::string> Wait(SteadyTime limit) = 0;
};

}  // namespace interlink::auth

#endif  // INTERLINK_AUTH_CLIENT_CREDENTIALS_H_
