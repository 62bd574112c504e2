#include "images/digest.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <cstdlib>

namespace interlink::images {

struct Hasher::Context {
  EVP_MD_CTX* evp = nullptr;
};

Hasher::Hasher(HashAlgorithm algorithm)
    : context_(std::make_unique<Context>()), algorithm_(algorithm) {
  context_->evp = EVP_MD_CTX_new();
  const EVP_MD* kind = algorithm == HashAlgorithm::kSha256 ? EVP_sha256() : EVP_sha512();
  // Without a working hash no content could be trusted: like lack of memory, there is no going on.
  if (context_->evp == nullptr || EVP_DigestInit_ex(context_->evp, kind, nullptr) != 1)
    std::abort();
}

Hasher::~Hasher() { EVP_MD_CTX_free(context_->evp); }

void Hasher::Update(std::string_view bytes) {
  if (EVP_DigestUpdate(context_->evp, bytes.data(), bytes.size()) != 1) std::abort();
}

Digest Hasher::Finish() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> hash{};
  unsigned int size = 0;
  if (EVP_DigestFinal_ex(context_->evp, hash.data(), &size) != 1) std::abort();
  Digest digest;
  digest.algorithm_ = algorithm_;
  digest.text_ = algorithm_ == HashAlgorithm::kSha256 ? "sha256:" : "sha512:";
  static constexpr std::string_view kHex = "0123456789abcdef";
  for (unsigned int i = 0; i < size; ++i) {
    digest.text_ += kHex[hash[i] >> 4U];
    digest.text_ += kHex[hash[i] & 15U];
  }
  return digest;
}

bool IsLowerHex(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

Result<Digest> Digest::Parse(std::string_view text) {
  const size_t colon = text.find(':');
  if (colon == std::string_view::npos)
    return InvalidArgument("a digest looks like \"sha256:<64 hex digits>\"");
  const std::string_view name = text.substr(0, colon);
  const std::string_view hex = text.substr(colon + 1);
  Digest digest;
  size_t length = 64;
  if (name == "sha512") {
    digest.algorithm_ = HashAlgorithm::kSha512;
    length = 128;
  } else if (name != "sha256") {
    return InvalidArgument("the digest algorithm \"" + std::string(name.substr(0, 32)) +
                           "\" is not supported (sha256 and sha512 are)");
  }
  if (hex.size() != length || !IsLowerHex(hex)) {
    return InvalidArgument("a " + std::string(name) + " digest has exactly " +
                           std::to_string(length) + " lower-case hex digits");
  }
  digest.text_ = text;
  return digest;
}

Digest Digest::Of(std::string_view bytes, HashAlgorithm algorithm) {
  Hasher hasher(algorithm);
  hasher.Update(bytes);
  return hasher.Finish();
}

}  // namespace interlink::images
