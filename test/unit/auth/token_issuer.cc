#include "token_issuer.h"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <stdexcept>
#include <vector>

namespace interlink::auth {
namespace {

using nlohmann::json;

void Require(bool good, const char* what) {
  if (!good) throw std::runtime_error(what);
}

EVP_PKEY* Key(const std::shared_ptr<void>& key) { return static_cast<EVP_PKEY*>(key.get()); }

std::string Number(EVP_PKEY* key, const char* name, size_t bytes = 0) {
  BIGNUM* number = nullptr;
  Require(EVP_PKEY_get_bn_param(key, name, &number) == 1, name);
  const size_t size = bytes != 0 ? bytes : static_cast<size_t>(BN_num_bytes(number));
  std::string text(size, '\0');
  BN_bn2binpad(number, reinterpret_cast<unsigned char*>(text.data()), static_cast<int>(size));
  BN_free(number);
  return text;
}

// r and s side by side.
std::string Flat(const std::string& der, size_t bytes) {
  const auto* at = reinterpret_cast<const unsigned char*>(der.data());
  ECDSA_SIG* pair = d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(der.size()));
  Require(pair != nullptr, "d2i_ECDSA_SIG");
  std::string flat(2 * bytes, '\0');
  auto* to = reinterpret_cast<unsigned char*>(flat.data());
  BN_bn2binpad(ECDSA_SIG_get0_r(pair), to, static_cast<int>(bytes));
  BN_bn2binpad(ECDSA_SIG_get0_s(pair), to + bytes, static_cast<int>(bytes));
  ECDSA_SIG_free(pair);
  return flat;
}

size_t CoordinateBytes(EVP_PKEY* key) {
  return static_cast<size_t>((EVP_PKEY_get_bits(key) + 7) / 8);
}

}  // namespace

std::string EncodeBase64Url(const std::string& bytes) {
  constexpr const char* kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  std::string text;
  unsigned bits = 0;
  unsigned count = 0;
  for (const char c : bytes) {
    bits = (bits << 8U) | static_cast<unsigned char>(c);
    for (count += 8; count >= 6; count -= 6) text += kDigits[(bits >> (count - 6)) & 63U];
  }
  if (count > 0) text += kDigits[(bits << (6 - count)) & 63U];
  return text;
}

IssuerKey::IssuerKey(const std::string& kind, int bits) {
  EVP_PKEY* key = nullptr;
  if (kind == "RSA") {
    key = EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", static_cast<size_t>(bits));
  } else if (kind == "Ed25519") {
    key = EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519");
  } else {
    key = EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", kind.c_str());
  }
  Require(key != nullptr, "make a key");
  key_ =
      std::shared_ptr<void>(key, [](void* made) { EVP_PKEY_free(static_cast<EVP_PKEY*>(made)); });
}

json IssuerKey::Jwk() const {
  EVP_PKEY* key = Key(key_);
  if (EVP_PKEY_is_a(key, "RSA") == 1) {
    return {{"kty", "RSA"},
            {"n", EncodeBase64Url(Number(key, OSSL_PKEY_PARAM_RSA_N))},
            {"e", EncodeBase64Url(Number(key, OSSL_PKEY_PARAM_RSA_E))}};
  }
  if (EVP_PKEY_is_a(key, "ED25519") == 1) {
    std::string x(32, '\0');
    size_t size = x.size();
    EVP_PKEY_get_raw_public_key(key, reinterpret_cast<unsigned char*>(x.data()), &size);
    return {{"kty", "OKP"}, {"crv", "Ed25519"}, {"x", EncodeBase64Url(x)}};
  }
  const size_t bytes = CoordinateBytes(key);
  return {{"kty", "EC"},
          {"crv", "P-" + std::to_string(EVP_PKEY_get_bits(key))},
          {"x", EncodeBase64Url(Number(key, OSSL_PKEY_PARAM_EC_PUB_X, bytes))},
          {"y", EncodeBase64Url(Number(key, OSSL_PKEY_PARAM_EC_PUB_Y, bytes))}};
}

std::string IssuerKey::PublicPem() const {
  BIO* bio = BIO_new(BIO_s_mem());
  PEM_write_bio_PUBKEY(bio, Key(key_));
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(bio, &bytes);
  std::string pem(bytes, static_cast<size_t>(size));
  BIO_free(bio);
  return pem;
}

std::string IssuerKey::Sign(const std::string& algorithm, const std::string& text) const {
  const EVP_MD* hash = EVP_sha256();
  if (algorithm.ends_with("384")) hash = EVP_sha384();
  if (algorithm.ends_with("512")) hash = EVP_sha512();
  if (algorithm == "EdDSA") hash = nullptr;
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  EVP_PKEY_CTX* parameters = nullptr;
  Require(EVP_DigestSignInit(context, &parameters, hash, nullptr, Key(key_)) == 1, "sign");
  if (algorithm.starts_with("PS")) {
    EVP_PKEY_CTX_set_rsa_padding(parameters, RSA_PKCS1_PSS_PADDING);
    EVP_PKEY_CTX_set_rsa_pss_saltlen(parameters, RSA_PSS_SALTLEN_DIGEST);
  }
  const auto* bytes = reinterpret_cast<const unsigned char*>(text.data());
  size_t size = 0;
  Require(EVP_DigestSign(context, nullptr, &size, bytes, text.size()) == 1, "sign");
  std::string signature(size, '\0');
  auto* to = reinterpret_cast<unsigned char*>(signature.data());
  Require(EVP_DigestSign(context, to, &size, bytes, text.size()) == 1, "sign");
  signature.resize(size);
  EVP_MD_CTX_free(context);
  return algorithm.starts_with("ES") ? Flat(signature, CoordinateBytes(Key(key_))) : signature;
}

std::string Compact(const std::string& header, const std::string& claims,
                    const std::string& signature) {
  return EncodeBase64Url(header) + "." + EncodeBase64Url(claims) + "." + EncodeBase64Url(signature);
}

std::string SignedToken(const IssuerKey& key, const json& header, const json& claims) {
  const std::string text = EncodeBase64Url(header.dump()) + "." + EncodeBase64Url(claims.dump());
  return text + "." + EncodeBase64Url(key.Sign(header.at("alg").get<std::string>(), text));
}

}  // namespace interlink::auth
