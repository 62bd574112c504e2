// The public keys of an issuer: a JWK Set (RFC 7517). A value type; copies share the keys.
// Thread-safe: nothing changes after Parse.
#ifndef INTERLINK_AUTH_JWK_SET_H_
#define INTERLINK_AUTH_JWK_SET_H_

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "auth/jwt.h"
#include "base/status.h"

namespace interlink::auth {

class JwkSet {
 public:
  JwkSet() = default;
  // RSA of 2048 to 8192 bits, EC on P-256 and P-384, Ed25519. As RFC 7517, 5 asks, keys of other
  // kinds are passed over, and so are those that are not for signatures (`use`, `key_ops`), are
  // weak, or are damaged. kInvalidArgument: no JWK Set, more than 1 MiB or 100 keys, or none that
  // can be used.
  static Result<JwkSet> Parse(std::string_view json);

  size_t size() const { return keys_.size(); }
  // A key with this id; with an empty id, any key.
  bool Has(const std::string& key_id) const;

  // The signature was made with a key of the set that has the token's key id and is of its
  // algorithm's type. Without a key id: with the only one of that type. kNotFound: there is no such
  // key, it may be newer than the set. kUnauthenticated: the signature is wrong.
  Status Verify(const Jwt& token) const;

 private:
  class Key;
  std::vector<std::shared_ptr<const Key>> keys_;  // owners: copies of this
};

}  // namespace interlink::auth

#endif  // INTERLINK_AUTH_JWK_SET_H_
