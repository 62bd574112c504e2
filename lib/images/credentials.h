// Credentials of one pull: from CRI's AuthConfig, for one registry host. Never stored, never
// logged.
#ifndef INTERLINK_IMAGES_CREDENTIALS_H_
#define INTERLINK_IMAGES_CREDENTIALS_H_

#include <string>

#include "base/status.h"
#include "runtime/v1/api.pb.h"

namespace interlink::images {

struct Credentials {
  std::string user;
  std::string password;
  std::string identity_token;  // OAuth2 refresh token
  std::string registry_token;  // bearer token, used as it is

  bool HasPassword() const { return !user.empty() || !password.empty(); }
  bool empty() const { return !HasPassword() && identity_token.empty() && registry_token.empty(); }
  // "Basic ...". REQUIRES: HasPassword()
  std::string BasicHeader() const;
};

// `host`: the registry of the image's name. When `auth.server_address` names another host nothing
// is used. kInvalidArgument: `auth.auth` is not base64 of "user:password".
Result<Credentials> ParseAuth(const runtime::v1::AuthConfig& auth, const std::string& host);

}  // namespace interlink::images

#endif  // INTERLINK_IMAGES_CREDENTIALS_H_
