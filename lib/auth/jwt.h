// JSON Web Tokens (RFC 7519) in the compact form (RFC 7515, 3.1), as issuers of OpenID Connect and
// Kubernetes sign them: what is in one, before anybody has said that it is true. Pure.
#ifndef INTERLINK_AUTH_JWT_H_
#define INTERLINK_AUTH_JWT_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace interlink::auth {

inline constexpr size_t kMostTokenBytes = 16384;

// The algorithms of RFC 7518, 3.1 and RFC 8037 that are taken. None is symmetric: a public key must
// never be somebody's secret.
enum class SigningAlgorithm { kRs256, kRs384, kRs512, kPs256, kEs256, kEs384, kEdDsa };

// As a header names it; nothing: not one of them ("none", "HS256", ...).
std::optional<SigningAlgorithm> SigningAlgorithmOf(std::string_view name);

// The claims of a token: a JSON object. A value type; copies share it.
class JwtClaims {
 public:
  JwtClaims() = default;
  // kInvalidArgument: as ParseStrictJson.
  static Result<JwtClaims> Parse(std::string_view json);

  // A string; nothing: absent, or of another type. `path`: names from the top, so that a name may
  // hold dots ("kubernetes.io", "namespace").
  std::optional<std::string> String(const std::vector<std::string>& path) const;
  // A string as a list of one, or a list of strings; nothing: absent, or anything else is in it.
  std::optional<std::vector<std::string>> Strings(const std::vector<std::string>& path) const;
  // Unix seconds; fractions are cut off (RFC 7519, 2 allows them). Nothing: absent, no number, or
  // one that no clock shows.
  std::optional<int64_t> Seconds(const std::string& name) const;
  bool Has(const std::string& name) const;

 private:
  struct Tree;
  std::shared_ptr<const Tree> tree_;  // owners: copies of this; null: no claims
};

struct Jwt {
  SigningAlgorithm algorithm{};
  std::string key_id;  // empty: the header has none
  std::string signed_text;
  std::string signature;  // bytes
  JwtClaims claims;
};

// kUnauthenticated says what is wrong with it, and never repeats a part of it: too long, not three
// parts of strict base64url, no JSON, an algorithm that is not taken, a `crit` or `b64` header
// (RFC 7515, 4.1.11: what is not understood is refused), or a token in a token (`cty`).
Result<Jwt> ParseJwt(std::string_view token);

// What a token must say of itself. Pure.
struct ClaimRules {
  std::string issuer;                  // `iss`, byte for byte
  std::vector<std::string> audiences;  // `aud` must have one of them
  int64_t leeway_seconds = 30;         // of the clocks
};

// kUnauthenticated names the claim and what it must be. `exp` is required, and in the future;
// `nbf` and `iat`, when there, are not.
Status CheckClaims(const JwtClaims& claims, const ClaimRules& rules, int64_t now_seconds);

}  // namespace interlink::auth

#endif  // INTERLINK_AUTH_JWT_H_
