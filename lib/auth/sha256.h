// SHA-256 (FIPS 180-4) of a text. Thread-safe.
#ifndef INTERLINK_AUTH_SHA256_H_
#define INTERLINK_AUTH_SHA256_H_

#include <array>
#include <string_view>

namespace interlink::auth {

using Sha256Digest = std::array<unsigned char, 32>;

Sha256Digest Sha256(std::string_view text);

}  // namespace interlink::auth

#endif  // INTERLINK_AUTH_SHA256_H_
