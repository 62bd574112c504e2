// AuditKey: the key pair that signs an audit log, Ed25519 (RFC 8032). Immutable, thread-safe.
#ifndef INTERLINK_AUTH_AUDIT_KEY_H_
#define INTERLINK_AUTH_AUDIT_KEY_H_

#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"

struct evp_pkey_st;  // OpenSSL's EVP_PKEY

namespace interlink::auth {

class AuditKey {
 public:
  // A private key, PEM ("openssl genpkey -algorithm ed25519"). kPermissionDenied: others may read
  // the file. kInvalidArgument: it is no such key.
  static Result<AuditKey> LoadPrivate(const std::string& path);
  // A public key, PEM ("openssl pkey -pubout"), or a private one, of which only the public half is
  // used.
  static Result<AuditKey> LoadPublic(const std::string& path);

  // SHA-256 of the public key's DER encoding (RFC 8410), in hex: which key has signed.
  const std::string& id() const { return id_; }
  // 128 hex digits. REQUIRES: LoadPrivate.
  Result<std::string> Sign(std::string_view text) const;
  bool Verify(std::string_view text, std::string_view signature) const;

 private:
  AuditKey(std::shared_ptr<evp_pkey_st> key, std::string id)
      : key_(std::move(key)), id_(std::move(id)) {}
  static Result<AuditKey> Make(std::shared_ptr<evp_pkey_st> key, const std::string& path);

  std::shared_ptr<evp_pkey_st> key_;  // owners: the copies of this
  std::string id_;
};

}  // namespace interlink::auth

#endif  // INTERLINK_AUTH_AUDIT_KEY_H_
