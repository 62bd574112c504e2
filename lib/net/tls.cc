#include "net/tls.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <array>
#include <ctime>
#include <vector>

#include "base/file.h"
#include "net/tls_state.h"

namespace interlink::net {
namespace {

constexpr size_t kMaxPem = 1U << 20U;
constexpr size_t kMaxCrl = 64U << 20U;

struct CertificateDeleter {
  void operator()(X509* certificate) const { X509_free(certificate); }
};

// The certificates of a PEM text, in its order.
std::vector<std::unique_ptr<X509, CertificateDeleter>> ReadCertificates(const std::string& pem) {
  std::vector<std::unique_ptr<X509, CertificateDeleter>> all;
  const std::unique_ptr<BIO, decltype(&BIO_free)> bio(
      BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), BIO_free);
  while (X509* next = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr))
    all.emplace_back(next);
  ERR_clear_error();  // the end of the text
  return all;
}

Status Refused(const std::string& what, const std::string& file) {
  return InvalidArgument(what + " \"" + file + "\": " + TlsErrorText());
}

// Our own certificate and key; when it ends, in Unix seconds.
Result<int64_t> UseCertificate(const TlsFiles& files, SSL_CTX* context) {
  // Reading first tells "missing" and "not readable" from "not a certificate".
  ASSIGN_OR_RETURN(const std::string pem, ReadFile(files.cert_file, kMaxPem));
  RETURN_IF_ERROR(
      ReadFile(files.key_file, kMaxPem).status().WithContext("key of \"" + files.cert_file + "\""));
  const auto chain = ReadCertificates(pem);
  if (chain.empty()) return InvalidArgument("\"" + files.cert_file + "\" is not a PEM certificate");
  const auto& leaf = chain.front();
  const int64_t not_after = UnixTime(X509_get0_notAfter(leaf.get()));
  const auto now = static_cast<int64_t>(std::time(nullptr));
  if (now > not_after)
    return FailedPrecondition("certificate \"" + files.cert_file + "\" has expired: renew it");
  if (now < UnixTime(X509_get0_notBefore(leaf.get()))) {
    return FailedPrecondition("certificate \"" + files.cert_file +
                              "\" is not valid yet: check the clock");
  }
  if (SSL_CTX_use_certificate_chain_file(context, files.cert_file.c_str()) != 1)
    return Refused("certificate", files.cert_file);
  if (SSL_CTX_use_PrivateKey_file(context, files.key_file.c_str(), SSL_FILETYPE_PEM) != 1 ||
      SSL_CTX_check_private_key(context) != 1) {
    const std::string text = TlsErrorText();
    return InvalidArgument("key \"" + files.key_file + "\" does not fit certificate \"" +
                           files.cert_file + "\": " + text);
  }
  return not_after;
}

// The lists of revoked certificates: OpenSSL asks them in handshakes, and `revoked` gets all names
// in them.
Status UseRevocations(const std::string& file, SSL_CTX* context, std::set<std::string>& revoked) {
  ASSIGN_OR_RETURN(const std::string pem, ReadFile(file, kMaxCrl));
  const std::unique_ptr<BIO, decltype(&BIO_free)> bio(
      BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), BIO_free);
  X509_STORE* store = SSL_CTX_get_cert_store(context);
  size_t lists = 0;
  while (true) {
    const std::unique_ptr<X509_CRL, decltype(&X509_CRL_free)> list(
        PEM_read_bio_X509_CRL(bio.get(), nullptr, nullptr, nullptr), X509_CRL_free);
    if (list == nullptr) break;
    ++lists;
    const ASN1_TIME* next = X509_CRL_get0_nextUpdate(list.get());
    if (next != nullptr && static_cast<int64_t>(std::time(nullptr)) > UnixTime(next)) {
      return FailedPrecondition("a revocation list in \"" + file +
                                "\" has expired: get a newer one from its authority");
    }
    STACK_OF(X509_REVOKED)* entries = X509_CRL_get_REVOKED(list.get());
    for (int i = 0; i < sk_X509_REVOKED_num(entries); ++i) {
      revoked.insert(
          CertificateId(X509_CRL_get_issuer(list.get()),
                        X509_REVOKED_get0_serialNumber(sk_X509_REVOKED_value(entries, i))));
    }
    if (X509_STORE_add_crl(store, list.get()) != 1) return Refused("revocation list", file);
  }
  ERR_clear_error();  // the end of the text
  if (lists == 0)
    return InvalidArgument("\"" + file + "\" holds no revocation list (PEM, \"X509 CRL\")");
  X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK);
  return {};
}

int VerifyMode(std::optional<ClientAuth> server) {
  if (server == ClientAuth::kNone) return SSL_VERIFY_NONE;
  if (server == ClientAuth::kRequire) return SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
  return SSL_VERIFY_PEER;
}

}  // namespace

int64_t UnixTime(const asn1_string_st* time) {
  tm parts{};
  return ASN1_TIME_to_tm(time, &parts) == 1 ? static_cast<int64_t>(timegm(&parts)) : 0;
}

std::string TlsErrorText() {
  std::string text = "unknown TLS error";
  while (const unsigned long code = ERR_get_error()) {
    std::array<char, 256> buffer{};
    ERR_error_string_n(code, buffer.data(), buffer.size());
    const char* reason = ERR_reason_error_string(code);
    text = reason != nullptr ? reason : buffer.data();
  }
  return text;
}

TlsContext::~TlsContext() = default;

std::shared_ptr<TlsContext::State> TlsContext::state() const {
  const MutexLock lock(mutex_);
  return state_;
}

bool TlsContext::Revokes(const std::string& certificate_id) const {
  return state()->revoked.contains(certificate_id);
}

int64_t TlsContext::not_after() const { return state()->not_after; }

Result<std::shared_ptr<TlsContext::State>> TlsContext::Load() const {
  auto state = std::make_shared<State>();
  SSL_CTX* context = state->context.native_handle();
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                   SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_IGNORE_UNEXPECTED_EOF);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
  if (SSL_CTX_set_cipher_list(context, "ECDHE+AESGCM:ECDHE+CHACHA20") != 1)
    return InternalError("no usable TLS cipher");
  ERR_clear_error();
  if (!files_.cert_file.empty()) {
    ASSIGN_OR_RETURN(state->not_after, UseCertificate(files_, context));
  } else if (server_) {
    return InvalidArgument("a server needs \"TLS.CertFile\" and \"TLS.KeyFile\"");
  }
  if (!files_.ca_file.empty()) {
    RETURN_IF_ERROR(ReadFile(files_.ca_file, kMaxPem).status());
    if (SSL_CTX_load_verify_locations(context, files_.ca_file.c_str(), nullptr) != 1)
      return Refused("CA file", files_.ca_file);
    if (server_)
      SSL_CTX_set_client_CA_list(context, SSL_load_client_CA_file(files_.ca_file.c_str()));
  } else if (!server_) {
    SSL_CTX_set_default_verify_paths(context);
  } else if (server_ != ClientAuth::kNone) {
    return InvalidArgument(
        "\"TLS.CACertFile\" is needed to verify clients: name it or set \"TLS.ClientAuth: none\"");
  }
  if (!files_.crl_file.empty())
    RETURN_IF_ERROR(UseRevocations(files_.crl_file, context, state->revoked));
  SSL_CTX_set_verify(context, VerifyMode(server_), nullptr);
  if (!server_) TlsSessions::Use(context);
  if (server_) {
    const unsigned char context_id[] = "interlink-api";
    SSL_CTX_set_session_id_context(context, context_id, sizeof context_id - 1);
  }
  return state;
}

Result<std::function<void()>> TlsContext::Prepare() {
  ASSIGN_OR_RETURN(std::shared_ptr<State> fresh, Load());
  return std::function<void()>([this, fresh] {
    const MutexLock lock(mutex_);
    state_ = fresh;
  });
}

Status TlsContext::Reload() {
  ASSIGN_OR_RETURN(const auto take, Prepare());
  take();
  return {};
}

Result<std::shared_ptr<TlsContext>> TlsContext::Open(const TlsFiles& files,
                                                     std::optional<ClientAuth> server) {
  std::shared_ptr<TlsContext> made(new TlsContext(files, server));  // NOLINT: private constructor
  RETURN_IF_ERROR(made->Reload());
  return made;
}

Result<std::shared_ptr<TlsContext>> TlsContext::Server(const TlsFiles& files, ClientAuth auth) {
  return Open(files, auth);
}

Result<std::shared_ptr<TlsContext>> TlsContext::Client(const TlsFiles& files) {
  return Open(files, std::nullopt);
}

Status CheckServerCertificate(const std::string& cert_file, const std::string& ca_file,
                              const std::string& name) {
  ASSIGN_OR_RETURN(const std::string chain_pem, ReadFile(cert_file, kMaxPem));
  ASSIGN_OR_RETURN(const std::string ca_pem, ReadFile(ca_file, kMaxPem));
  const auto chain = ReadCertificates(chain_pem);
  const auto authorities = ReadCertificates(ca_pem);
  if (chain.empty()) return InvalidArgument("\"" + cert_file + "\" is not a PEM certificate");
  if (authorities.empty()) return InvalidArgument("\"" + ca_file + "\" is not a PEM certificate");
  const std::unique_ptr<X509_STORE, decltype(&X509_STORE_free)> trusted(X509_STORE_new(),
                                                                        X509_STORE_free);
  for (const auto& authority : authorities) X509_STORE_add_cert(trusted.get(), authority.get());
  const auto free_stack = [](STACK_OF(X509) * stack) { sk_X509_free(stack); };
  const std::unique_ptr<STACK_OF(X509), decltype(free_stack)> others(sk_X509_new_null(),
                                                                     free_stack);
  for (const auto& certificate : chain) sk_X509_push(others.get(), certificate.get());
  const std::unique_ptr<X509_STORE_CTX, decltype(&X509_STORE_CTX_free)> check(X509_STORE_CTX_new(),
                                                                              X509_STORE_CTX_free);
  if (X509_STORE_CTX_init(check.get(), trusted.get(), chain.front().get(), others.get()) != 1)
    return InternalError("cannot check a certificate: " + TlsErrorText());
  X509_STORE_CTX_set_purpose(check.get(), X509_PURPOSE_SSL_SERVER);
  X509_VERIFY_PARAM* wanted = X509_STORE_CTX_get0_param(check.get());
  if (X509_VERIFY_PARAM_set1_ip_asc(wanted, name.c_str()) != 1 &&
      X509_VERIFY_PARAM_set1_host(wanted, name.data(), name.size()) != 1)
    return InvalidArgument("\"" + name + "\" is no name and no address");
  const bool taken = X509_verify_cert(check.get()) == 1;
  ERR_clear_error();
  if (taken) return {};
  return InvalidArgument("certificate \"" + cert_file + "\", with the authorities in \"" + ca_file +
                         "\", is not one of \"" + name + "\": " +
                         X509_verify_cert_error_string(X509_STORE_CTX_get_error(check.get())));
}

}  // namespace interlink::net
