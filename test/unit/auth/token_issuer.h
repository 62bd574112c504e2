// An issuer of tokens: keys of each kind, their JWK Set, and tokens that say whatever a test wants.
// Not thread-safe.
#ifndef INTERLINK_TEST_UNIT_AUTH_TOKEN_ISSUER_H_
#define INTERLINK_TEST_UNIT_AUTH_TOKEN_ISSUER_H_

#include <memory>
#include <nlohmann/json.hpp>
#include <string>

namespace interlink::auth {

std::string EncodeBase64Url(const std::string& bytes);

// One key pair. "RSA" (2048 bits, or `bits`), "P-256", "P-384", "P-521", "Ed25519".
class IssuerKey {
 public:
  explicit IssuerKey(const std::string& kind, int bits = 2048);

  // Its public half, without kid.
  nlohmann::json Jwk() const;
  // In PEM, as a confused verifier would use it for a MAC.
  std::string PublicPem() const;
  // As `algorithm` of RFC 7518 wants it: "RS256", "PS256", "ES256", "EdDSA", ...
  std::string Sign(const std::string& algorithm, const std::string& text) const;

 private:
  std::shared_ptr<void> key_;  // EVP_PKEY; owners: copies of this
};

// HEADER.CLAIMS.SIGNATURE of these, whatever they are.
std::string Compact(const std::string& header, const std::string& claims,
                    const std::string& signature);
// Signed as the header says.
std::string SignedToken(const IssuerKey& key, const nlohmann::json& header,
                        const nlohmann::json& claims);

}  // namespace interlink::auth

#endif  // INTERLINK_TEST_UNIT_AUTH_TOKEN_ISSUER_H_
