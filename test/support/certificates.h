// A certificate authority in a folder of the test's own: real files, made with OpenSSL. Not
// thread-safe. Failures abort the test by REQUIRE.
#ifndef INTERLINK_TEST_SUPPORT_CERTIFICATES_H_
#define INTERLINK_TEST_SUPPORT_CERTIFICATES_H_

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <catch2/catch.hpp>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

namespace interlink::test {

struct CertificateSpec {
  std::string common_name;
  std::string alternative_names;  // as in openssl.cnf: "DNS:localhost,IP:127.0.0.1,URI:a://b"
  long begins = -3600;            // seconds from now
  long ends = 86400;
};

struct CertificateFiles {
  std::string cert;
  std::string key;
  long serial = 0;
};

class CertificateAuthority {
 public:
  // `folder` exists and is the caller's to remove. `name` becomes a part of the file names.
  CertificateAuthority(std::string folder, const std::string& name)
      : folder_(std::move(folder)), name_(name), key_(EVP_EC_gen("P-256")) {
    REQUIRE(key_ != nullptr);
    certificate_ = Make({.common_name = name}, key_.get(), nullptr);
    ca_file_ = WriteCertificate(name, certificate_.get());
  }

  const std::string& ca_file() const { return ca_file_; }

  CertificateFiles Issue(const std::string& file_name, const CertificateSpec& spec) {
    const Key key(EVP_EC_gen("P-256"));
    REQUIRE(key != nullptr);
    const Certificate certificate = Make(spec, key.get(), certificate_.get());
    return {WriteCertificate(file_name, certificate.get()), WriteKey(file_name, key.get()),
            serial_};
  }

  // A list of revoked certificates that is good for `seconds` from now; the file's path.
  std::string Revoke(const std::vector<long>& serials, long seconds = 86400) {
    const std::unique_ptr<X509_CRL, decltype(&X509_CRL_free)> list(X509_CRL_new(), X509_CRL_free);
    const std::unique_ptr<ASN1_TIME, decltype(&ASN1_TIME_free)> time(ASN1_TIME_new(),
                                                                     ASN1_TIME_free);
    X509_CRL_set_version(list.get(), 1);
    X509_CRL_set_issuer_name(list.get(), X509_get_subject_name(certificate_.get()));
    X509_gmtime_adj(time.get(), -7200);
    X509_CRL_set1_lastUpdate(list.get(), time.get());
    for (const long serial : serials) {
      X509_REVOKED* revoked = X509_REVOKED_new();
      const std::unique_ptr<ASN1_INTEGER, decltype(&ASN1_INTEGER_free)> number(ASN1_INTEGER_new(),
                                                                               ASN1_INTEGER_free);
      ASN1_INTEGER_set(number.get(), serial);
      X509_REVOKED_set_serialNumber(revoked, number.get());
      X509_REVOKED_set_revocationDate(revoked, time.get());
      X509_CRL_add0_revoked(list.get(), revoked);
    }
    X509_gmtime_adj(time.get(), seconds);
    X509_CRL_set1_nextUpdate(list.get(), time.get());
    X509_CRL_sort(list.get());
    REQUIRE(X509_CRL_sign(list.get(), key_.get(), EVP_sha256()) > 0);
    const std::string path = folder_ + "/" + name_ + ".crl";
    std::FILE* file = std::fopen(path.c_str(), "w");
    REQUIRE(file != nullptr);
    PEM_write_X509_CRL(file, list.get());
    std::fclose(file);
    return path;
  }

 private:
  struct Free {
    void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
    void operator()(X509* certificate) const { X509_free(certificate); }
    void operator()(X509_EXTENSION* extension) const { X509_EXTENSION_free(extension); }
  };
  using Key = std::unique_ptr<EVP_PKEY, Free>;
  using Certificate = std::unique_ptr<X509, Free>;

  Certificate Make(const CertificateSpec& spec, EVP_PKEY* key, X509* issuer) {
    Certificate made(X509_new());
    X509* certificate = made.get();
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++serial_);
    X509_gmtime_adj(X509_getm_notBefore(certificate), spec.begins);
    X509_gmtime_adj(X509_getm_notAfter(certificate), spec.ends);
    X509_set_pubkey(certificate, key);
    X509_NAME* name = X509_get_subject_name(certificate);
    if (!spec.common_name.empty()) {
      X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                                 reinterpret_cast<const unsigned char*>(spec.common_name.c_str()),
                                 -1, -1, 0);
    }
    X509_set_issuer_name(certificate, issuer == nullptr ? name : X509_get_subject_name(issuer));
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer == nullptr ? certificate : issuer, certificate, nullptr,
                   nullptr, 0);
    const auto add = [&](int id, const std::string& value) {
      const std::unique_ptr<X509_EXTENSION, Free> extension(
          X509V3_EXT_conf_nid(nullptr, &context, id, value.c_str()));
      REQUIRE(extension != nullptr);
      X509_add_ext(certificate, extension.get(), -1);
    };
    if (issuer == nullptr) add(NID_basic_constraints, "critical,CA:TRUE");
    if (!spec.alternative_names.empty()) add(NID_subject_alt_name, spec.alternative_names);
    REQUIRE(X509_sign(certificate, key_.get(), EVP_sha256()) > 0);
    return made;
  }

  std::string WriteCertificate(const std::string& file_name, X509* certificate) {
    const std::string path = folder_ + "/" + file_name + ".crt";
    std::FILE* file = std::fopen(path.c_str(), "w");
    REQUIRE(file != nullptr);
    PEM_write_X509(file, certificate);
    std::fclose(file);
    return path;
  }
  std::string WriteKey(const std::string& file_name, EVP_PKEY* key) {
    const std::string path = folder_ + "/" + file_name + ".key";
    std::FILE* file = std::fopen(path.c_str(), "w");
    REQUIRE(file != nullptr);
    PEM_write_PrivateKey(file, key, nullptr, nullptr, 0, nullptr, nullptr);
    std::fclose(file);
    return path;
  }

  const std::string folder_;
  const std::string name_;
  const Key key_;
  Certificate certificate_;
  std::string ca_file_;
  long serial_ = 0;
};

}  // namespace interlink::test

#endif  // INTERLINK_TEST_SUPPORT_CERTIFICATES_H_
