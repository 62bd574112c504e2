#include "auth/audit_key.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <sys/stat.h>

#include <array>

#include "auth/audit_chain.h"
#include "base/file.h"

namespace interlink::auth {
namespace {

constexpr size_t kMaxFile = 64U << 10U;
constexpr size_t kSignatureBytes = 64;

using Bio = std::unique_ptr<BIO, decltype(&BIO_free)>;
using Digest = std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)>;

Bio BioOf(const std::string& text) {
  return {BIO_new_mem_buf(text.data(), static_cast<int>(text.size())), BIO_free};
}

// A passphrase is never asked for on a terminal.
int NoPassphrase(char* /*buffer*/, int /*size*/, int /*writing*/, void* /*user*/) { return 0; }

std::shared_ptr<EVP_PKEY> Own(EVP_PKEY* key) { return {key, EVP_PKEY_free}; }

Result<std::string> BytesOfHex(std::string_view hex) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string bytes;
  if (hex.size() % 2 != 0) return InvalidArgument("an odd number of hex digits");
  for (size_t i = 0; i < hex.size(); i += 2) {
    const size_t high = kDigits.find(hex[i]);
    const size_t low = kDigits.find(hex[i + 1]);
    if (high == std::string_view::npos || low == std::string_view::npos)
      return InvalidArgument("not lower-case hex digits");
    bytes.push_back(static_cast<char>(high << 4U | low));
  }
  return bytes;
}

}  // namespace

Result<AuditKey> AuditKey::Make(std::shared_ptr<EVP_PKEY> key, const std::string& path) {
  if (key == nullptr || EVP_PKEY_get_id(key.get()) != EVP_PKEY_ED25519) {
    return InvalidArgument("\"" + path +
                           "\" must be an Ed25519 key in PEM without a passphrase: openssl genpkey "
                           "-algorithm ed25519 -out FILE");
  }
  unsigned char* der = nullptr;
  const int size = i2d_PUBKEY(key.get(), &der);
  if (size <= 0) return InternalError("\"" + path + "\": the public key cannot be encoded");
  std::string id = AuditHash({reinterpret_cast<const char*>(der), static_cast<size_t>(size)});
  OPENSSL_free(der);
  return AuditKey(std::move(key), std::move(id));
}

Result<AuditKey> AuditKey::LoadPrivate(const std::string& path) {
  struct stat about {};
  if (stat(path.c_str(), &about) == 0 && (about.st_mode & 077U) != 0) {
    return PermissionDenied(
        "\"" + path + "\" is a private key and others may read it: chmod 600 \"" + path + "\"");
  }
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxFile));
  const Bio bio = BioOf(text);
  return Make(Own(PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassphrase, nullptr)), path);
}

Result<AuditKey> AuditKey::LoadPublic(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxFile));
  Bio bio = BioOf(text);
  auto key = Own(PEM_read_bio_PUBKEY(bio.get(), nullptr, NoPassphrase, nullptr));
  if (key == nullptr) {
    bio = BioOf(text);
    key = Own(PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassphrase, nullptr));
  }
  return Make(std::move(key), path);
}

Result<std::string> AuditKey::Sign(std::string_view text) const {
  const Digest context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  std::array<unsigned char, kSignatureBytes> signature{};
  size_t size = signature.size();
  if (context == nullptr ||
      EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key_.get()) != 1 ||
      EVP_DigestSign(context.get(), signature.data(), &size,
                     reinterpret_cast<const unsigned char*>(text.data()), text.size()) != 1)
    return InternalError("the audit log's key does not sign");
  return AuditHex({reinterpret_cast<const char*>(signature.data()), size});
}

bool AuditKey::Verify(std::string_view text, std::string_view signature) const {
  const auto bytes = BytesOfHex(signature);
  if (!bytes.ok() || bytes->size() != kSignatureBytes) return false;
  const Digest context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  return context != nullptr &&
         EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, key_.get()) == 1 &&
         EVP_DigestVerify(context.get(), reinterpret_cast<const unsigned char*>(bytes->data()),
                          bytes->size(), reinterpret_cast<const unsigned char*>(text.data()),
                          text.size()) == 1;
}

}  // namespace interlink::auth
