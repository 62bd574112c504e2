#include "agent_hub/port_certificate.h"

#include <cerrno>
#include <cstdio>

#include "base/file.h"
#include "net/tls.h"

namespace interlink::agent_hub {
namespace {

constexpr size_t kMaxPemFile = 1U << 20U;

}  // namespace

Status StageCertificate(const std::string& cert_file, const std::string& key_file,
                        const std::string& file) {
  RETURN_IF_ERROR(
      net::TlsContext::Server({.cert_file = cert_file, .key_file = key_file, .ca_file = ""},
                              net::ClientAuth::kNone)
          .status());
  ASSIGN_OR_RETURN(const std::string key, ReadFile(key_file, kMaxPemFile));
  ASSIGN_OR_RETURN(const std::string chain, ReadFile(cert_file, kMaxPemFile));
  const std::string fresh = key + "\n" + chain;
  const auto old = ReadFile(file, 2 * kMaxPemFile);
  if (old.ok() && *old == fresh) return {};
  const std::string next = file + ".next";
  RETURN_IF_ERROR(WriteFileAtomically(next, fresh, 0600));
  // The files may have changed since they were checked: what is served is what was checked.
  RETURN_IF_ERROR(net::TlsContext::Server({.cert_file = next, .key_file = next, .ca_file = ""},
                                          net::ClientAuth::kNone)
                      .status());
  if (rename(next.c_str(), file.c_str()) != 0) return ErrnoStatus(errno, "rename to " + file);
  return SyncDirectoryOf(file);
}

}  // namespace interlink::agent_hub
