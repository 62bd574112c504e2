#include "wire/volume_digest.h"

#include <openssl/sha.h>

#include <array>

namespace interlink::wire {

std::string VolumeDigest(std::string_view bytes) {
  constexpr const char* kHex = "0123456789abcdef";
  std::array<unsigned char, SHA256_DIGEST_LENGTH> hash{};
  SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), hash.data());
  std::string text = "sha256:";
  for (const unsigned char byte : hash) {
    text += kHex[byte >> 4U];
    text += kHex[byte & 0xFU];
  }
  return text;
}

}  // namespace interlink::wire
