// Who reads the bearer tokens of requests: Auth.TokenFile, Auth.OIDC, or both.
#ifndef INTERLINK_CMD_INTERLINK_API_TOKENS_H_
#define INTERLINK_CMD_INTERLINK_API_TOKENS_H_

#include <memory>

#include "auth/oidc_verifier.h"
#include "auth/token_file.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/timer.h"
#include "config/api_config.h"
#include "net/io.h"

namespace interlink::cmd_api {

struct TokenReaders {
  std::unique_ptr<auth::TokenFile> file;
  std::unique_ptr<auth::OidcVerifier> oidc;

  // Null: no tokens are taken.
  const auth::TokenVerifier* verifier() const;
};

// Does not wait for an issuer. What is passed outlives the result. Errors name the key.
Result<TokenReaders> OpenTokens(const config::ApiConfig& config, net::Io& io, Timer& timer,
                                Log& log, const Clock& clock);

}  // namespace interlink::cmd_api

#endif  // INTERLINK_CMD_INTERLINK_API_TOKENS_H_
