// Configuration of interlink-cri. Values.
#ifndef INTERLINK_CONFIG_CRI_CONFIG_H_
#define INTERLINK_CONFIG_CRI_CONFIG_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/node_options.h"
#include "base/status.h"
#include "config/audit_section.h"
#include "config/schema.h"
#include "net/tls.h"

namespace interlink::config {

// Members are the keys of the file (CriKeys documents them); what follows from them stands below.
struct CriConfig {
  std::string interlink_address;
  uint16_t interlink_port = 0;  // 0: not set
  struct Cri {
    bool enabled = true;
    std::string socket_path = "unix:///var/run/interlink/cri.sock";
    std::string runtime_handler = "interlink";
    std::string default_handler;  // "": the site's; "none": pods without a RuntimeClass are refused
    std::string kubelet_folder = "/var/lib/kubelet";
    Duration request_timeout = std::chrono::minutes(15);
    std::string stream_server_address = "127.0.0.1";
    int64_t stream_server_port = 0;  // 0: any free one
    int64_t stream_sessions = 1024;
    struct StreamTls {
      bool enabled = false;
      net::TlsFiles files;  // no ca_file: the address alone is the permission
    } stream_tls;
  } cri;
  struct Tls {
    bool enabled = false;
    net::TlsFiles files;
  } tls;
  // Auth.OIDC: a token by the client credentials grant. Empty client_id: none.
  struct Oidc {
    std::string issuer;
    std::string token_url;
    std::string client_id;
    std::string client_secret_file;
    std::vector<std::string> scopes;
    std::string audience;
    std::string ca_cert_file;
  } oidc;
  AuditConfig audit;
  bool verbose_logging = false;
  bool errors_only_logging = false;
  std::string data_root_folder = "/var/lib/interlink-cri";
  NodeOptions plugin_config = {};

  std::string token_file;  // VK_TOKEN_FILE; "": no token is read from a file
  // Derived by LoadCriConfig.
  std::string file;         // the main file
  bool https = true;        // false: plain http to this machine
  std::string host;         // an IPv6 address without brackets
  uint16_t port = 0;        // of the site
  std::string socket_file;  // CRI.SocketPath without "unix://"
};

// Names of environment variables and their values; what is absent is not set.
using Environment = std::map<std::string, std::string>;
// The variables that LoadCriConfig looks at, for main to collect.
inline constexpr const char* kCriVariables[] = {"VK_TOKEN_FILE", "INTERLINK_CRI_CONFIG",
                                                "INTERLINK_CRI_DEBUG"};
inline constexpr const char* kCriDefaultFile = "/etc/interlink/cri/config.yaml";

// The table of keys, bound to `config`, which must outlive it.
Keys CriKeys(CriConfig* config);

// `flag` (--config) over INTERLINK_CRI_CONFIG over kCriDefaultFile; conf.d/*.yaml beside that file
// on top. Files that it names (certificates, token) are not opened. kNotFound or kPermissionDenied:
// the file; kInvalidArgument: "file:line: what must be".
Result<CriConfig> LoadCriConfig(const std::string& flag, const Environment& environment);

// docs/config-cri.md, which a test compares.
std::string CriReference();

}  // namespace interlink::config

#endif  // INTERLINK_CONFIG_CRI_CONFIG_H_
