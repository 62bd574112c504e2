// Configuration of interlink-api. Values.
#ifndef INTERLINK_CONFIG_API_CONFIG_H_
#define INTERLINK_CONFIG_API_CONFIG_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/status.h"
#include "config/agents_section.h"
#include "config/audit_section.h"
#include "config/cri_config.h"
#include "config/oidc_section.h"
#include "config/schema.h"
#include "net/tls.h"
#include "sdk/descriptor.h"

namespace interlink::config {

// One item of Plugins.
struct PluginConfig {
  std::string path;   // of the .so; "": lib/interlink/plugins/NAME.so of this installation
  std::string where;  // "file:line"
  // name, handlers, and as options, in the file's order:
  //   everything below Options:          {"CNI.ConfDir", "/etc/cni/net.d"}, {"CNI.BinDirs[0]",
  //   "/usr/lib/cni"} the keys of each handler that are set, below Handlers.NAME:
  //                                      {"Handlers.fast.AllowPrivileged", "true"}
  //                                      {"Handlers.fast.AllowedHostPaths[0]", "/data"}
  sdk::PluginOptions options;
};

// Members are the keys of the file (ApiKeys documents them); what follows from them stands below.
struct ApiConfig {
  std::string site_name;
  std::string address = "0.0.0.0";
  uint16_t port = 8443;
  uint16_t operator_port = 0;  // 0: no listener
  struct Tls {
    bool enabled = true;
    net::TlsFiles files;
    size_t client_auth = 0;  // index into require, verify, none
  } tls;
  struct Auth {
    std::string token_file;
    bool require_token = false;
    std::string common_name_prefix;
    std::string uri_prefix;
    std::string deny_file;
    std::vector<OidcIssuerConfig> oidc;
  } auth;
  std::string policy_file;  // "": no policy
  AuditConfig audit;
  AgentsConfig agents;
  std::string data_root_folder = "/var/lib/interlink-api";
  std::string control_socket;  // default: DataRootFolder/control.sock
  bool verbose_logging = false;
  bool errors_only_logging = false;
  struct Limits {
    int64_t connections = 4096;
    int64_t connections_per_node = 512;
    int64_t requests_per_node = 1024;
    int64_t exec_sync_per_node = 256;
    int64_t step_threads = 32;
    int64_t step_queue = 4096;
    int64_t pull_threads = 4;
  } limits;
  uint64_t log_buffer_per_container = 1ULL << 30U;
  Duration node_gone_after = Duration::zero();  // zero: never
  struct Images {
    std::string root;                  // default: DataRootFolder/images
    std::optional<bool> on_node_host;  // always set after loading
    std::string default_registry = "docker.io";
    std::map<std::string, std::vector<std::string>> mirrors;
  } images;
  std::string default_handler;  // "": the first one
  std::vector<PluginConfig> plugins;

  // Derived by LoadApiConfig.
  std::string file;
  net::ClientAuth client_auth = net::ClientAuth::kRequire;  // kNone without TLS
  bool certificate_is_enough = true;                        // a node needs no token beside it
};

inline constexpr const char* kApiVariables[] = {"INTERLINK_API_CONFIG", "INTERLINK_API_DEBUG"};
inline constexpr const char* kApiDefaultFile = "/etc/interlink/api/config.yaml";

// The table of keys, bound to `config`, which must outlive it.
Keys ApiKeys(ApiConfig* config);

// As LoadCriConfig, with INTERLINK_API_CONFIG, INTERLINK_API_DEBUG and kApiDefaultFile.
Result<ApiConfig> LoadApiConfig(const std::string& flag, const Environment& environment);

// docs/config-api.md, which a test compares.
std::string ApiReference();

}  // namespace interlink::config

#endif  // INTERLINK_CONFIG_API_CONFIG_H_
