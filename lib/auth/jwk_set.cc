#include "auth/jwk_set.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <utility>

#include "auth/strict_json.h"
#include "base/base64url.h"

namespace interlink::auth {
namespace {

using nlohmann::json;

constexpr size_t kMostSetBytes = 1U << 20U;
constexpr size_t kMostKeys = 100;
// Of one id and type: issuers do not repeat an id; whoever does must not make each call expensive.
constexpr size_t kMostTried = 2;
constexpr int kShortestRsa = 2048;
constexpr int kLongestRsa = 8192;
constexpr size_t kEd25519Bytes = 32;
constexpr SigningAlgorithm kEveryAlgorithm[] = {SigningAlgorithm::kRs256, SigningAlgorithm::kRs384,
                                                SigningAlgorithm::kRs512, SigningAlgorithm::kPs256,
                                                SigningAlgorithm::kEs256, SigningAlgorithm::kEs384,
                                                SigningAlgorithm::kEdDsa};

template <auto Free>
struct FreeWith {
  template <typename T>
  void operator()(T* pointer) const {
    Free(pointer);
  }
};
template <typename T, auto Free>
using Owned = std::unique_ptr<T, FreeWith<Free>>;
using OwnedKey = Owned<EVP_PKEY, EVP_PKEY_free>;
using OwnedKeyContext = Owned<EVP_PKEY_CTX, EVP_PKEY_CTX_free>;
using OwnedNumber = Owned<BIGNUM, BN_free>;

enum class KeyType { kRsa, kP256, kP384, kEd25519 };

KeyType TypeFor(SigningAlgorithm algorithm) {
  switch (algorithm) {
    case SigningAlgorithm::kEs256:
      return KeyType::kP256;
    case SigningAlgorithm::kEs384:
      return KeyType::kP384;
    case SigningAlgorithm::kEdDsa:
      return KeyType::kEd25519;
    default:
      return KeyType::kRsa;
  }
}

// Of the algorithms that sign a hash: EdDSA does not.
const char* HashOf(SigningAlgorithm algorithm) {
  switch (algorithm) {
    case SigningAlgorithm::kRs384:
    case SigningAlgorithm::kEs384:
      return "SHA384";
    case SigningAlgorithm::kRs512:
      return "SHA512";
    default:
      return "SHA256";
  }
}

const unsigned char* Bytes(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

OwnedNumber NumberOf(const std::string& bytes) {
  return OwnedNumber(BN_bin2bn(Bytes(bytes), static_cast<int>(bytes.size()), nullptr));
}

// A member that is strict base64url; empty: it is not.
std::string Member(const json& key, const char* name) {
  const auto found = key.find(name);
  if (found == key.end() || !found->is_string()) return {};
  return DecodeBase64Url(found->get_ref<const std::string&>()).value_or("");
}

std::string Text(const json& key, const char* name) {
  const auto found = key.find(name);
  return found != key.end() && found->is_string() ? found->get<std::string>() : std::string();
}

OwnedKey FromParameters(const char* type, OSSL_PARAM_BLD* builder) {
  const Owned<OSSL_PARAM, OSSL_PARAM_free> parameters(OSSL_PARAM_BLD_to_param(builder));
  const OwnedKeyContext context(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
  EVP_PKEY* key = nullptr;
  if (!parameters || !context || EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, parameters.get()) != 1) {
    return {};
  }
  OwnedKey made(key);
  // A point that is not on its curve, say.
  const OwnedKeyContext check(EVP_PKEY_CTX_new_from_pkey(nullptr, key, nullptr));
  if (!check || EVP_PKEY_public_check(check.get()) != 1) return {};
  return made;
}

OwnedKey RsaKey(const json& key) {
  const OwnedNumber n = NumberOf(Member(key, "n"));
  const OwnedNumber e = NumberOf(Member(key, "e"));
  if (!n || !e) return {};
  const int bits = BN_num_bits(n.get());
  if (bits < kShortestRsa || bits > kLongestRsa) return {};
  // FIPS 186-5, 5.1 begins above 2^16; 3 is in use, and above 2^32 each check is expensive.
  if (BN_is_odd(e.get()) != 1 || BN_is_one(e.get()) == 1 || BN_num_bits(e.get()) > 32) return {};
  const Owned<OSSL_PARAM_BLD, OSSL_PARAM_BLD_free> builder(OSSL_PARAM_BLD_new());
  if (!builder || OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, n.get()) != 1 ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, e.get()) != 1) {
    return {};
  }
  return FromParameters("RSA", builder.get());
}

OwnedKey EcKey(const json& key, const char* group, size_t coordinate_bytes) {
  const std::string x = Member(key, "x");
  const std::string y = Member(key, "y");
  // RFC 7518, 6.2.1.2: of full length, zeros in front included.
  if (x.size() != coordinate_bytes || y.size() != coordinate_bytes) return {};
  const std::string point = "\x04" + x + y;
  const Owned<OSSL_PARAM_BLD, OSSL_PARAM_BLD_free> builder(OSSL_PARAM_BLD_new());
  if (!builder ||
      OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, group, 0) != 1 ||
      OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(),
                                       point.size()) != 1) {
    return {};
  }
  return FromParameters("EC", builder.get());
}

OwnedKey EdKey(const json& key) {
  const std::string x = Member(key, "x");
  if (x.size() != kEd25519Bytes) return {};
  return OwnedKey(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, Bytes(x), kEd25519Bytes));
}

// RFC 7517, 4.2 and 4.3: absent is for anything.
bool IsForSignatures(const json& key) {
  if (key.contains("use") && Text(key, "use") != "sig") return false;
  const auto operations = key.find("key_ops");
  if (operations == key.end()) return true;
  return operations->is_array() &&
         std::find(operations->begin(), operations->end(), "verify") != operations->end();
}

// r and s side by side (RFC 7518, 3.4) as ASN.1 has them; nothing: not of that length.
std::optional<std::string> DerOf(const std::string& signature, size_t coordinate_bytes) {
  if (signature.size() != 2 * coordinate_bytes) return {};
  const Owned<ECDSA_SIG, ECDSA_SIG_free> pair(ECDSA_SIG_new());
  OwnedNumber r = NumberOf(signature.substr(0, coordinate_bytes));
  OwnedNumber s = NumberOf(signature.substr(coordinate_bytes));
  if (!pair || !r || !s || ECDSA_SIG_set0(pair.get(), r.get(), s.get()) != 1) return {};
  // Its own now.
  static_cast<void>(r.release());
  static_cast<void>(s.release());
  const int size = i2d_ECDSA_SIG(pair.get(), nullptr);
  if (size <= 0) return {};
  std::string der(static_cast<size_t>(size), '\0');
  auto* at = reinterpret_cast<unsigned char*>(der.data());
  i2d_ECDSA_SIG(pair.get(), &at);
  return der;
}

}  // namespace

class JwkSet::Key {
 public:
  // Null: it is passed over.
  static std::shared_ptr<const Key> Make(const json& jwk);

  bool Fits(SigningAlgorithm algorithm) const {
    return type_ == TypeFor(algorithm) && (!only_ || *only_ == algorithm);
  }
  const std::string& id() const { return id_; }
  bool Verify(const Jwt& token) const;

 private:
  // Ready to verify; copied for each call, which costs a fraction of making one.
  struct Ready {
    Owned<EVP_MD, EVP_MD_free> hash;
    OwnedKeyContext of_hash;
    Owned<EVP_MD_CTX, EVP_MD_CTX_free> of_text;  // EdDSA instead (RFC 8032: it hashes itself)
  };
  bool Prepare(SigningAlgorithm algorithm);
  static bool IsGood(const Ready& ready, const std::string& signature, std::string_view text);

  std::string id_;
  KeyType type_{};
  std::optional<SigningAlgorithm> only_;  // its `alg`
  OwnedKey key_;
  std::map<SigningAlgorithm, Ready> ready_;  // for each algorithm that fits
};

std::shared_ptr<const JwkSet::Key> JwkSet::Key::Make(const json& jwk) {
  if (!jwk.is_object() || !IsForSignatures(jwk)) return {};
  auto made = std::make_shared<Key>();
  const std::string type = Text(jwk, "kty");
  const std::string curve = Text(jwk, "crv");
  if (type == "RSA") {
    made->type_ = KeyType::kRsa;
    made->key_ = RsaKey(jwk);
  } else if (type == "EC" && curve == "P-256") {
    made->type_ = KeyType::kP256;
    made->key_ = EcKey(jwk, "P-256", 32);
  } else if (type == "EC" && curve == "P-384") {
    made->type_ = KeyType::kP384;
    made->key_ = EcKey(jwk, "P-384", 48);
  } else if (type == "OKP" && curve == "Ed25519") {
    made->type_ = KeyType::kEd25519;
    made->key_ = EdKey(jwk);
  }
  ERR_clear_error();
  if (!made->key_) return {};
  if (jwk.contains("alg")) {
    made->only_ = SigningAlgorithmOf(Text(jwk, "alg"));
    if (!made->only_ || TypeFor(*made->only_) != made->type_) return {};
  }
  made->id_ = Text(jwk, "kid");
  for (const SigningAlgorithm algorithm : kEveryAlgorithm) {
    if (made->Fits(algorithm) && !made->Prepare(algorithm)) return {};
  }
  return made;
}

bool JwkSet::Key::Prepare(SigningAlgorithm algorithm) {
  Ready& ready = ready_[algorithm];
  bool good = false;
  if (algorithm == SigningAlgorithm::kEdDsa) {
    ready.of_text.reset(EVP_MD_CTX_new());
    good = ready.of_text &&
           EVP_DigestVerifyInit(ready.of_text.get(), nullptr, nullptr, nullptr, key_.get()) == 1;
  } else {
    // The hash is made apart: EVP_DigestVerify fetches one anew for each copy of its context, which
    // costs a third of an RSA verification.
    ready.hash.reset(EVP_MD_fetch(nullptr, HashOf(algorithm), nullptr));
    ready.of_hash.reset(EVP_PKEY_CTX_new_from_pkey(nullptr, key_.get(), nullptr));
    EVP_PKEY_CTX* context = ready.of_hash.get();
    good = ready.hash && context != nullptr && EVP_PKEY_verify_init(context) == 1 &&
           EVP_PKEY_CTX_set_signature_md(context, ready.hash.get()) == 1;
    if (good && type_ == KeyType::kRsa) {
      const bool pss = algorithm == SigningAlgorithm::kPs256;
      good = EVP_PKEY_CTX_set_rsa_padding(context,
                                          pss ? RSA_PKCS1_PSS_PADDING : RSA_PKCS1_PADDING) == 1 &&
             // RFC 7518, 3.5: the salt is as long as the hash.
             (!pss || EVP_PKEY_CTX_set_rsa_pss_saltlen(context, RSA_PSS_SALTLEN_DIGEST) == 1);
    }
  }
  ERR_clear_error();
  return good;
}

bool JwkSet::Key::IsGood(const Ready& ready, const std::string& signature, std::string_view text) {
  if (ready.of_text) {
    const Owned<EVP_MD_CTX, EVP_MD_CTX_free> context(EVP_MD_CTX_new());
    return context && EVP_MD_CTX_copy_ex(context.get(), ready.of_text.get()) == 1 &&
           EVP_DigestVerify(context.get(), Bytes(signature), signature.size(), Bytes(text),
                            text.size()) == 1;
  }
  unsigned char hash[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  const OwnedKeyContext context(EVP_PKEY_CTX_dup(ready.of_hash.get()));
  return context &&
         EVP_Digest(text.data(), text.size(), hash, &size, ready.hash.get(), nullptr) == 1 &&
         EVP_PKEY_verify(context.get(), Bytes(signature), signature.size(), hash, size) == 1;
}

bool JwkSet::Key::Verify(const Jwt& token) const {
  std::string signature = token.signature;
  if (type_ == KeyType::kP256 || type_ == KeyType::kP384) {
    auto der = DerOf(signature, type_ == KeyType::kP256 ? 32 : 48);
    if (!der) return false;
    signature = *std::move(der);
  }
  const auto ready = ready_.find(token.algorithm);
  if (ready == ready_.end()) return false;
  const bool good = IsGood(ready->second, signature, token.signed_text);
  // What it left there would be read as another call's.
  ERR_clear_error();
  return good;
}

Result<JwkSet> JwkSet::Parse(std::string_view text) {
  if (text.size() > kMostSetBytes) return InvalidArgument("a key set of more than 1 MiB");
  ASSIGN_OR_RETURN(const json top, ParseStrictJson(text));
  const auto keys = top.find("keys");
  if (keys == top.end() || !keys->is_array())
    return InvalidArgument("no JWK Set: it has no list \"keys\"");
  if (keys->size() > kMostKeys) {
    return InvalidArgument("a key set of " + std::to_string(keys->size()) +
                           " keys, the limit is 100");
  }
  JwkSet set;
  for (const json& jwk : *keys)
    if (auto key = Key::Make(jwk)) set.keys_.push_back(std::move(key));
  if (set.keys_.empty()) {
    return InvalidArgument("none of its " + std::to_string(keys->size()) +
                           " keys can be used: RSA from 2048 bits, EC P-256 or P-384, or Ed25519, "
                           "for signatures");
  }
  return set;
}

bool JwkSet::Has(const std::string& key_id) const {
  return std::any_of(keys_.begin(), keys_.end(),
                     [&](const auto& key) { return key_id.empty() || key->id() == key_id; });
}

Status JwkSet::Verify(const Jwt& token) const {
  std::vector<const Key*> fitting;
  for (const auto& key : keys_) {
    const bool named = token.key_id.empty() || key->id() == token.key_id;
    if (named && key->Fits(token.algorithm)) fitting.push_back(key.get());
  }
  if (fitting.empty()) return NotFound("the issuer has no such key for this algorithm");
  if (token.key_id.empty() && fitting.size() > 1)
    return Unauthenticated("the token: it names no key (kid), and its issuer has several");
  fitting.resize(std::min(fitting.size(), kMostTried));
  const bool good = std::any_of(fitting.begin(), fitting.end(),
                                [&](const Key* key) { return key->Verify(token); });
  return good ? Status() : Unauthenticated("the token: its signature is wrong");
}

}  // namespace interlink::auth
