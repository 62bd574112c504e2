// Digest: the name of bytes by their hash ("sha256:..." or "sha512:..."), and the Hasher that makes
// one. Values; a Hasher is used by one thread.
#ifndef INTERLINK_IMAGES_DIGEST_H_
#define INTERLINK_IMAGES_DIGEST_H_

#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"

namespace interlink::images {

enum class HashAlgorithm { kSha256, kSha512 };

class Digest {
 public:
  Digest() = default;
  // "ALGORITHM:HEX", lower-case hex of the exact length. kInvalidArgument otherwise; another
  // algorithm is refused by its name.
  static Result<Digest> Parse(std::string_view text);
  static Digest Of(std::string_view bytes, HashAlgorithm algorithm = HashAlgorithm::kSha256);

  const std::string& str() const { return text_; }
  std::string_view hex() const { return std::string_view(text_).substr(7); }
  HashAlgorithm algorithm() const { return algorithm_; }
  bool empty() const { return text_.empty(); }

  friend bool operator==(const Digest& a, const Digest& b) { return a.text_ == b.text_; }
  friend auto operator<=>(const Digest& a, const Digest& b) { return a.text_ <=> b.text_; }

 private:
  friend class Hasher;
  std::string text_;
  HashAlgorithm algorithm_ = HashAlgorithm::kSha256;
};

class Hasher {
 public:
  explicit Hasher(HashAlgorithm algorithm = HashAlgorithm::kSha256);
  ~Hasher();
  Hasher(const Hasher&) = delete;
  Hasher& operator=(const Hasher&) = delete;

  void Update(std::string_view bytes);
  // REQUIRES: called once, last.
  Digest Finish();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
  HashAlgorithm algorithm_;
};

bool IsLowerHex(std::string_view text);

}  // namespace interlink::images

#endif  // INTERLINK_IMAGES_DIGEST_H_
