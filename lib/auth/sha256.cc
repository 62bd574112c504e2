#include "auth/sha256.h"

#include <openssl/evp.h>

namespace interlink::auth {

Sha256Digest Sha256(std::string_view text) {
  // Looked up once: that costs as much as the hash of a line.
  static const EVP_MD* const kSha256 = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  Sha256Digest digest{};
  unsigned size = 0;
  // Cannot fail: SHA-256 is built in and the memory is ours.
  EVP_Digest(text.data(), text.size(), digest.data(), &size, kSha256, nullptr);
  return digest;
}

}  // namespace interlink::auth
