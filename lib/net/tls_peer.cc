#include "net/tls_peer.h"

#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <boost/asio/ip/address.hpp>
#include <memory>
#include <utility>

#include "net/tls_state.h"

namespace interlink::net {
namespace {

std::string TextOf(const ASN1_STRING* text) {
  unsigned char* utf8 = nullptr;
  const int size = ASN1_STRING_to_UTF8(&utf8, text);
  if (size < 0) return "";
  std::string value(reinterpret_cast<const char*>(utf8), static_cast<size_t>(size));
  OPENSSL_free(utf8);
  return value;
}

}  // namespace

std::string CertificateId(const X509_NAME* issuer, const ASN1_INTEGER* serial) {
  unsigned char* der = nullptr;
  const int size = i2d_X509_NAME(issuer, &der);
  std::string id(reinterpret_cast<const char*>(der), size > 0 ? static_cast<size_t>(size) : 0);
  OPENSSL_free(der);
  id.push_back(ASN1_STRING_type(serial) == V_ASN1_NEG_INTEGER ? '-' : '+');
  id.append(reinterpret_cast<const char*>(ASN1_STRING_get0_data(serial)),
            static_cast<size_t>(ASN1_STRING_length(serial)));
  return id;
}

void ReadPeerNames(X509& leaf, Peer& peer) {
  const X509_NAME* subject = X509_get_subject_name(&leaf);
  const int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  // Two common names would leave it open who this is.
  if (at >= 0 && X509_NAME_get_index_by_NID(subject, NID_commonName, at) < 0)
    peer.common_name = TextOf(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
  peer.not_after = UnixTime(X509_get0_notAfter(&leaf));
  peer.certificate_id = CertificateId(X509_get_issuer_name(&leaf), X509_get0_serialNumber(&leaf));
  const std::unique_ptr<GENERAL_NAMES, decltype(&GENERAL_NAMES_free)> names(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(&leaf, NID_subject_alt_name, nullptr, nullptr)),
      GENERAL_NAMES_free);
  for (int i = 0; names != nullptr && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type == GEN_DNS) peer.names.push_back(TextOf(name->d.dNSName));
    if (name->type == GEN_URI) peer.uris.push_back(TextOf(name->d.uniformResourceIdentifier));
  }
}

void ExpectServerName(SSL* ssl, const std::string& host) {
  boost::system::error_code not_an_address;
  boost::asio::ip::make_address(host, not_an_address);
  X509_VERIFY_PARAM* expected = SSL_get0_param(ssl);
  if (!not_an_address) {
    X509_VERIFY_PARAM_set1_ip_asc(expected, host.c_str());
    return;
  }
  X509_VERIFY_PARAM_set_hostflags(
      expected, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  X509_VERIFY_PARAM_set1_host(expected, host.c_str(), host.size());
  // RFC 6066, 3: addresses are no server names.
  SSL_set_tlsext_host_name(ssl, host.c_str());
}

const char* VerdictHint(long verdict) {
  switch (verdict) {
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
      return " (no CA of \"TLS.CACertFile\" has signed it)";
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return " (renew it, or check the clocks)";
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      return " (it has no such alternative name)";
    default:
      return "";
  }
}

}  // namespace interlink::net
