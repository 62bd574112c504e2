#include "config/api_config.h"

#include <algorithm>

#include "config/plugin_section.h"
#include "config/print.h"
#include "config/rules.h"
#include "net/url.h"

namespace interlink::config {
namespace {

// The rules that span keys. Fills what is derived.
class ApiRules {
 public:
  ApiRules(ApiConfig* config, const Sources& sources) : c_(*config), sources_(sources) {}

  Status Apply() {
    static constexpr std::string_view kSiteName =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRST"
        "UVWXYZ0123456789._-";
    if (c_.site_name.empty() || c_.site_name.size() > 63 ||
        c_.site_name.find_first_not_of(kSiteName) != std::string::npos)
      return Refuse("SiteName",
                    "must be set: 1 to 63 letters, digits, \".\", \"_\" and \"-\" that tell nodes "
                    "which site this is");
    RETURN_IF_ERROR(Tls());
    RETURN_IF_ERROR(Auth());
    if (c_.operator_port != 0 && c_.operator_port == c_.port)
      return Refuse("OperatorPort", "must not be the same as Port");
    if (c_.verbose_logging && c_.errors_only_logging)
      return Refuse("ErrorsOnlyLogging", "and VerboseLogging must not both be true");
    RETURN_IF_ERROR(
        CompleteAgents({c_.tls.enabled, c_.tls.files.ca_file, c_.port, c_.operator_port, c_.file},
                       sources_, &c_.agents));
    RETURN_IF_ERROR(CheckAudit(c_.audit, sources_, c_.file));
    RETURN_IF_ERROR(Mirrors());
    RETURN_IF_ERROR(Plugins());
    if (c_.control_socket.empty()) c_.control_socket = c_.data_root_folder + "/control.sock";
    if (c_.control_socket.size() > 107)
      return Refuse("ControlSocket", "must be a path of at most 107 bytes (a socket's limit)");
    if (c_.images.root.empty()) c_.images.root = c_.data_root_folder + "/images";
    ShareLogBuffer();
    if (!c_.images.on_node_host) c_.images.on_node_host = IsKubeletHost();
    return {};
  }

 private:
  Status Refuse(const std::string& path, const std::string& text) const {
    return RefuseKey(sources_, c_.file, path, text);
  }

  Status Tls() {
    static constexpr net::ClientAuth kChoices[] = {
        net::ClientAuth::kRequire, net::ClientAuth::kVerify, net::ClientAuth::kNone};
    c_.client_auth = kChoices[c_.tls.client_auth];
    if (!c_.tls.enabled) {
      if (!net::IsLoopbackHost(c_.address))
        return Refuse("TLS.Enabled",
                      "must be true unless Address is this machine's own (127.0.0.1, ::1)");
      c_.tls.files = {};
      c_.client_auth = net::ClientAuth::kNone;
      return {};
    }
    if (c_.tls.files.cert_file.empty())
      return Refuse("TLS.CertFile", "must be set: the certificate chain of this site");
    if (c_.tls.files.key_file.empty())
      return Refuse("TLS.KeyFile", "must be set: the private key of TLS.CertFile");
    if (!c_.tls.files.crl_file.empty() && c_.client_auth == net::ClientAuth::kNone)
      return Refuse("TLS.CRLFile", "needs TLS.ClientAuth to be require or verify");
    if (c_.tls.files.ca_file.empty() && c_.client_auth != net::ClientAuth::kNone)
      return Refuse("TLS.CACertFile",
                    "must be set: who may have signed the nodes' certificates (or TLS.ClientAuth "
                    "must be none)");
    return {};
  }

  Status Auth() {
    const bool tokens = !c_.auth.token_file.empty() || !c_.auth.oidc.empty();
    if (!tokens && c_.client_auth == net::ClientAuth::kNone)
      return Refuse("Auth.TokenFile",
                    "(or Auth.OIDC) must be set when no client certificates are asked for: nobody "
                    "could be identified");
    if (!tokens && c_.auth.require_token)
      return Refuse("Auth.RequireToken", "needs Auth.TokenFile or Auth.OIDC");
    if (!c_.auth.common_name_prefix.empty() && !c_.auth.uri_prefix.empty())
      return Refuse("Auth.UriPrefix", "and Auth.CommonNamePrefix must not both be set");
    c_.certificate_is_enough = c_.client_auth != net::ClientAuth::kNone && !c_.auth.require_token;
    return {};
  }

  Status Mirrors() {
    for (const auto& [host, urls] : c_.images.mirrors) {
      for (const std::string& text : urls) {
        const auto url = net::ParseUrl(text);
        if (!url.ok())
          return Refuse("Images.Mirrors", "has the mirror " + Quoted(text) + " for " +
                                              Quoted(host) + ": " + url.status().message());
        if (url->scheme == "http" && !net::IsLoopbackHost(url->host))
          return Refuse("Images.Mirrors", "has the mirror " + Quoted(text) + " for " +
                                              Quoted(host) +
                                              ": plain http is taken only for this machine");
      }
    }
    return {};
  }

  Status Plugins() {
    if (c_.plugins.empty()) return Refuse("Plugins", "must name at least one plugin");
    if (c_.default_handler.empty()) return {};
    std::string known;
    for (const PluginConfig& plugin : c_.plugins) {
      for (const std::string& handler : plugin.options.handlers) {
        if (handler == c_.default_handler) return {};
        known += (known.empty() ? "" : ", ") + handler;
      }
    }
    return Refuse("DefaultHandler", "must be a handler of Plugins (" + known + "), it is " +
                                        Quoted(c_.default_handler));
  }

  // Plugins keep the logs: the key of the whole site is the default of theirs.
  void ShareLogBuffer() {
    static constexpr const char* kKey = "LogBufferPerContainer";
    const auto source = sources_.find(kKey);
    if (source == sources_.end()) return;
    for (PluginConfig& plugin : c_.plugins) {
      auto& options = plugin.options.options;
      const bool own = std::any_of(options.begin(), options.end(),
                                   [](const sdk::Option& option) { return option.key == kKey; });
      if (!own)
        options.push_back({kKey, std::to_string(c_.log_buffer_per_container), source->second});
    }
  }

  bool IsKubeletHost() const {
    for (const PluginConfig& plugin : c_.plugins) {
      for (const sdk::Option& option : plugin.options.options) {
        if (option.key == "KubeletHost" && option.value == "true") return true;
      }
    }
    return false;
  }

  ApiConfig& c_;
  const Sources& sources_;
};

Keys LimitKeys(ApiConfig::Limits* l) {
  return {
      NumberKey("Limits.Connections", &l->connections, 1, 1'000'000,
                "Connections at once, of all nodes."),
      NumberKey("Limits.ConnectionsPerNode", &l->connections_per_node, 1, 1'000'000,
                "Connections at once of one node (before it is known: of one address)."),
      NumberKey("Limits.RequestsPerNode", &l->requests_per_node, 1, 1'000'000,
                "Requests of one node in progress at once, streams included."),
      NumberKey("Limits.ExecSyncPerNode", &l->exec_sync_per_node, 1, 100'000,
                "Commands of one node (probes) in progress at once."),
      NumberKey("Limits.StepThreads", &l->step_threads, 1, 1024,
                "Threads that carry out calls to plugins."),
      NumberKey("Limits.StepQueue", &l->step_queue, 1, 10'000'000,
                "Steps that wait for a thread; above it requests are answered with 503."),
      NumberKey("Limits.PullThreads", &l->pull_threads, 1, 64, "Images pulled at once."),
  };
}

Key PolicyKey(ApiConfig* c) {
  return WithExample(
      PathKey("Policy.File", &c->policy_file,
              "Rules that say which node may have what (docs/security.md); what no rule lets "
              "through is refused. Read again when it changes. Default: whoever is known may have "
              "everything that Plugins allow."),
      "\"/etc/interlink/api/policy.yaml\"");
}

Keys IdentityKeys(ApiConfig* c) {
  return {
      BooleanKey("TLS.Enabled", &c->tls.enabled,
                 "False: plain http, only when Address is this machine's own."),
      WithExample(PathKey("TLS.CertFile", &c->tls.files.cert_file,
                          "This site's certificate chain, PEM, leaf first. Must be set."),
                  "\"/etc/interlink/api/tls/server.crt\""),
      WithExample(
          PathKey("TLS.KeyFile", &c->tls.files.key_file, "Its private key, PEM. Must be set."),
          "\"/etc/interlink/api/tls/server.key\""),
      WithExample(PathKey("TLS.CACertFile", &c->tls.files.ca_file,
                          "Who may have signed the nodes' certificates, PEM."),
                  "\"/etc/interlink/api/tls/ca.crt\""),
      WithExample(PathKey("TLS.CRLFile", &c->tls.files.crl_file,
                          "Revoked certificates of nodes: a PEM list of each authority in "
                          "TLS.CACertFile that signs them. Read again when it changes; a revoked "
                          "one is refused from the next request on."),
                  "\"/etc/interlink/api/tls/nodes.crl\""),
      WordKey("TLS.ClientAuth", &c->tls.client_auth, {"require", "verify", "none"},
              "require: only nodes with a verified certificate connect. verify: a certificate "
              "counts when there is one, else a token. none: tokens only."),
      WithExample(PathKey("Auth.TokenFile", &c->auth.token_file,
                          "Static bearer tokens: lines of TOKEN,NODE; mode 0600. Read again when "
                          "it changes."),
                  "\"/etc/interlink/api/tokens\""),
      BooleanKey("Auth.RequireToken", &c->auth.require_token,
                 "A token is needed as well as a certificate, and both must name the same node."),
      WithExample(TextKey("Auth.CommonNamePrefix", &c->auth.common_name_prefix,
                          "What the common name of a certificate must begin with; the rest is the "
                          "node's name."),
                  "\"system:node:\""),
      WithExample(TextKey("Auth.UriPrefix", &c->auth.uri_prefix,
                          "Takes the node's name from the URI alternative name that begins with "
                          "this, instead of the common name."),
                  "\"spiffe://example.org/node/\""),
      WithExample(PathKey("Auth.DenyFile", &c->auth.deny_file,
                          "Nodes that are refused whatever they present, and subjects and tenants "
                          "of tokens, which a node escapes by leaving its token out unless "
                          "Auth.RequireToken: lines of node NAME, subject ISSUER SUBJECT, tenant "
                          "NAME. Read again when it changes."),
                  "\"/etc/interlink/api/denied\""),
      OidcKey(&c->auth.oidc),
  };
}

// A boolean whose default follows from other keys: not set is told apart from false.
Key OnNodeHostKey(std::optional<bool>* target) {
  bool read = false;
  Key key = BooleanKey("Images.OnNodeHost", &read,
                       "The nodes run on this machine, so their kubelet may collect its images; "
                       "else it sees them as pinned. Default: true when a plugin has KubeletHost: "
                       "true.");
  key.example = "true";
  key.read = [target](const Value& value, const std::string& path) -> Status {
    ASSIGN_OR_RETURN(*target, ReadBoolean(value, path));
    return {};
  };
  key.show = [target] { return !*target ? std::string() : **target ? "true" : "false"; };
  return key;
}

Status ApplyEnvironment(const Environment& environment, ApiConfig* config) {
  const auto it = environment.find("INTERLINK_API_DEBUG");
  const std::string debug = it == environment.end() ? "" : it->second;
  if (debug == "true" || debug == "1") {
    config->verbose_logging = true;
    config->errors_only_logging = false;
  } else if (!debug.empty() && debug != "false" && debug != "0") {
    return InvalidArgument(
        "environment variable INTERLINK_API_DEBUG must be true or false, it is " + Quoted(debug));
  }
  return {};
}

}  // namespace

Keys ApiKeys(ApiConfig* c) {
  Keys keys = {
      WithExample(TextKey("SiteName", &c->site_name,
                          "Tells nodes and logs which site this is. Must be set."),
                  "\"hpc-1\""),
      TextKey("Address", &c->address, "Address to listen on."),
      PortKey("Port", &c->port, "Port to listen on."),
      WithExample(PortKey("OperatorPort", &c->operator_port,
                          "A second listener on 127.0.0.1 where /metrics needs no identity. "
                          "Default: none."),
                  "9443"),
  };
  const auto add = [&keys](Keys more) {
    for (Key& key : more) keys.push_back(std::move(key));
  };
  add(IdentityKeys(c));
  add({PolicyKey(c)});
  add(AuditKeys(&c->audit, "calls of nodes that change something, and those that are denied,",
                "/var/log/interlink-api/audit"));
  add(AgentKeys(&c->agents));
  add({
      BooleanKey(
          "VerboseLogging", &c->verbose_logging,
          "Logs debug lines too; so does the environment variable INTERLINK_API_DEBUG=true."),
      BooleanKey("ErrorsOnlyLogging", &c->errors_only_logging, "Logs errors only."),
      PathKey("DataRootFolder", &c->data_root_folder,
              "Where the store is kept. It must not be on a network file system."),
      WithExample(PathKey("ControlSocket", &c->control_socket,
                          "Socket of the commands interlink-api node, status and forget; mode "
                          "0600. Default: control.sock in DataRootFolder."),
                  "\"/run/interlink/api.sock\""),
      SizeKey("LogBufferPerContainer", &c->log_buffer_per_container, 1U << 20U, 1ULL << 50U,
              "Log bytes that are kept for a node that does not read; then the oldest go and a "
              "line in the log says so. Plugins whose Options have no such key get it."),
      NeverKey("NodeGoneAfter", &c->node_gone_after,
               "The work of a node that has been silent for so long is stopped."),
  });
  add(LimitKeys(&c->limits));
  add({
      WithExample(PathKey("Images.Root", &c->images.root,
                          "Where images are kept. Default: images in DataRootFolder."),
                  "\"/var/lib/interlink-api/images\""),
      OnNodeHostKey(&c->images.on_node_host),
      TextKey("Images.DefaultRegistry", &c->images.default_registry,
              "The registry for image names without a host."),
      WithExample(TextListMapKey("Images.Mirrors", &c->images.mirrors,
                                 "Registry host -> URLs that are asked first, in order. Plain http "
                                 "only for this machine."),
                  "{\"docker.io\": [\"https://mirror.example.org\"]}"),
      WithExample(TextKey("DefaultHandler", &c->default_handler,
                          "The handler for pods that name none. Default: the first one."),
                  "\"local\""),
      PluginsKey(&c->plugins),
  });
  return keys;
}

Result<ApiConfig> LoadApiConfig(const std::string& flag, const Environment& environment) {
  ApiConfig config;
  const auto variable = environment.find("INTERLINK_API_CONFIG");
  config.file = flag;
  if (config.file.empty() && variable != environment.end()) config.file = variable->second;
  if (config.file.empty()) config.file = kApiDefaultFile;
  const auto document = LoadDocument(config.file);
  if (!document.ok()) {
    if (document.status().code() == Code::kInvalidArgument) return document.status();
    return document.status().WithContext("configuration (--config FILE, INTERLINK_API_CONFIG)");
  }
  Sources sources;
  RETURN_IF_ERROR(ReadKeys(*document, ApiKeys(&config), "", &sources));
  RETURN_IF_ERROR(ApplyEnvironment(environment, &config));
  RETURN_IF_ERROR(ApiRules(&config, sources).Apply());
  return config;
}

std::string ApiReference() {
  ApiConfig config;
  return PrintReference(ApiKeys(&config), "Configuration of interlink-api") +
         "The file is `--config FILE`, else `INTERLINK_API_CONFIG`, else "
         "`/etc/interlink/api/config.yaml`; `conf.d/*.yaml` beside it is merged on top. Unknown "
         "and "
         "duplicate keys are refused with file and line.\n\n"
         "Environment:\n\n"
         "- `INTERLINK_API_DEBUG`: `true` is `VerboseLogging: true`\n\n"
         "Made by `interlink-api config --reference`; a unit test compares this page with it.\n";
}

}  // namespace interlink::config
