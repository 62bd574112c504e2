#include "config/cri_config.h"

#include <arpa/inet.h>

#include <algorithm>

#include "config/print.h"
#include "config/rules.h"
#include "net/url.h"

namespace interlink::config {
namespace {

// sockaddr_un::sun_path with its final zero.
constexpr size_t kMaxSocketPath = 107;

// What kind of literal IP address a text is.
enum class Literal { kNone, kAny, kLoopback, kOther };
Literal LiteralOf(const std::string& text) {
  in_addr four{};
  if (inet_pton(AF_INET, text.c_str(), &four) == 1) {
    if (four.s_addr == htonl(INADDR_ANY)) return Literal::kAny;
    return ntohl(four.s_addr) >> 24U == 127 ? Literal::kLoopback : Literal::kOther;
  }
  in6_addr six{};
  if (inet_pton(AF_INET6, text.c_str(), &six) != 1) return Literal::kNone;
  if (IN6_IS_ADDR_UNSPECIFIED(&six)) return Literal::kAny;
  return IN6_IS_ADDR_LOOPBACK(&six) ? Literal::kLoopback : Literal::kOther;
}

// The rules that span keys. Fills what is derived.
class CriRules {
 public:
  CriRules(CriConfig* config, const Sources& sources) : c_(*config), sources_(sources) {}

  Status Apply() {
    RETURN_IF_ERROR(Address());
    RETURN_IF_ERROR(Port());
    RETURN_IF_ERROR(Socket());
    RETURN_IF_ERROR(Handlers());
    RETURN_IF_ERROR(Streams());
    RETURN_IF_ERROR(Oidc());
    RETURN_IF_ERROR(Tls());
    RETURN_IF_ERROR(CheckAudit(c_.audit, sources_, c_.file));
    if (c_.verbose_logging && c_.errors_only_logging)
      return Refuse("ErrorsOnlyLogging", "and VerboseLogging must not both be true");
    return {};
  }

 private:
  Status Refuse(const std::string& path, const std::string& text) const {
    return RefuseKey(sources_, c_.file, path, text);
  }

  Status Address() {
    if (c_.interlink_address.empty())
      return Refuse("InterlinkAddress",
                    "must be set: the address of interlink-api, e.g. https://site.example.org");
    const auto url = net::ParseUrl(c_.interlink_address);
    if (!url.ok())
      return Refuse("InterlinkAddress", "must be https://HOST, it is " +
                                            Quoted(c_.interlink_address) + ": " +
                                            url.status().message());
    if (url->target != "/")
      return Refuse("InterlinkAddress",
                    "must be https://HOST without a path, it is " + Quoted(c_.interlink_address));
    if (url->scheme == "http" && !net::IsLoopbackHost(url->host))
      return Refuse("InterlinkAddress",
                    "must be https://: plain http is taken only for this machine (localhost, "
                    "127.0.0.1, [::1])");
    if (url->has_port && c_.interlink_port != 0 && url->port != c_.interlink_port)
      return Refuse("Interlinkport", "must not differ from the port in InterlinkAddress");
    c_.https = url->scheme == "https";
    c_.host = url->host;
    c_.port = url->port;
    return {};
  }

  Status Port() {
    if (c_.interlink_port != 0) c_.port = c_.interlink_port;
    return {};
  }

  Status Socket() {
    static constexpr std::string_view kPrefix = "unix://";
    std::string path = c_.cri.socket_path;
    if (path.starts_with(kPrefix)) path.erase(0, kPrefix.size());
    if (!IsAbsolutePath(path) || path.ends_with('/') || path.size() > kMaxSocketPath)
      return Refuse("CRI.SocketPath", "must be unix:///PATH with an absolute path of at most " +
                                          std::to_string(kMaxSocketPath) + " bytes, it is " +
                                          Quoted(c_.cri.socket_path));
    c_.socket_file = path;
    return {};
  }

  Status Handlers() {
    if (!IsHandlerName(c_.cri.runtime_handler))
      return Refuse("CRI.RuntimeHandler", kHandlerNameRule);
    if (!c_.cri.default_handler.empty() && !IsHandlerName(c_.cri.default_handler))
      return Refuse("CRI.DefaultHandler", kHandlerNameRule);
    return {};
  }

  Status Streams() {
    const std::string& address = c_.cri.stream_server_address;
    const Literal literal = LiteralOf(address);
    if (literal == Literal::kNone || literal == Literal::kAny)
      return Refuse("CRI.StreamServerAddress",
                    "must be one IP address of this machine, such as 127.0.0.1 or ::1: kubelet "
                    "connects to it; it is " +
                        Quoted(address));
    auto& tls = c_.cri.stream_tls;
    if (!tls.enabled && literal != Literal::kLoopback)
      return Refuse("CRI.StreamServerAddress",
                    "must be this machine's own (127.0.0.1, ::1) unless CRI.StreamTLSEnabled is "
                    "true, it is " +
                        Quoted(address));
    if (!tls.enabled) tls.files = {};
    if (tls.enabled && tls.files.cert_file.empty())
      return Refuse("CRI.StreamTLSCertFile", "must be set: the certificate chain of this address");
    if (tls.enabled && tls.files.key_file.empty())
      return Refuse("CRI.StreamTLSKeyFile",
                    "must be set: the private key of CRI.StreamTLSCertFile");
    return {};
  }

  Status Oidc() {
    const CriConfig::Oidc& oidc = c_.oidc;
    if (oidc.client_id.empty()) {
      return oidc.issuer.empty() && oidc.token_url.empty() && oidc.client_secret_file.empty()
                 ? Status()
                 : Refuse("Auth.OIDC.ClientID", "must be set with the other keys of Auth.OIDC");
    }
    if (!c_.token_file.empty())
      return Refuse("Auth.OIDC.ClientID",
                    "must not be set when the environment variable VK_TOKEN_FILE names a token");
    if (!c_.https)
      return Refuse("Auth.OIDC.ClientID",
                    "needs an InterlinkAddress of https://: a token is a secret");
    if (oidc.client_secret_file.empty())
      return Refuse("Auth.OIDC.ClientSecretFile", "must be set with Auth.OIDC.ClientID");
    if (oidc.issuer.empty() == oidc.token_url.empty())
      return Refuse("Auth.OIDC.Issuer", "or Auth.OIDC.TokenURL must be set, one of the two");
    const bool by_issuer = oidc.token_url.empty();
    const std::string& text = by_issuer ? oidc.issuer : oidc.token_url;
    const std::string key = by_issuer ? "Auth.OIDC.Issuer" : "Auth.OIDC.TokenURL";
    const auto url = net::ParseUrl(text);
    if (!url.ok()) return Refuse(key, "is no URL: " + url.status().message());
    if (url->scheme != "https" && !net::IsLoopbackHost(url->host))
      return Refuse(key, "must begin with https://: it gets a secret");
    return {};
  }

  Status Tls() {
    const net::TlsFiles& files = c_.tls.files;
    if (c_.tls.enabled && !c_.https)
      return Refuse("TLS.Enabled", "must be false with an InterlinkAddress of http://");
    if (c_.tls.enabled && files.cert_file.empty() != files.key_file.empty())
      return Refuse(files.cert_file.empty() ? "TLS.KeyFile" : "TLS.CertFile",
                    "needs the other one: TLS.CertFile and TLS.KeyFile are set together");
    // Off means off: the section may stay in the file.
    if (!c_.tls.enabled) c_.tls.files = {};
    if (c_.tls.files.cert_file.empty() && c_.token_file.empty() && c_.oidc.client_id.empty())
      return Refuse(c_.tls.enabled ? "TLS.CertFile" : "TLS.Enabled",
                    c_.tls.enabled
                        ? "must be set, or Auth.OIDC or the environment variable VK_TOKEN_FILE: "
                          "without a "
                          "certificate or a token the site cannot know who asks"
                        : "is false, so the environment variable VK_TOKEN_FILE must name a token "
                          "file: without a certificate or a token the site cannot know who asks");
    return {};
  }

  CriConfig& c_;
  const Sources& sources_;
};

std::string Variable(const Environment& environment, const std::string& name) {
  const auto it = environment.find(name);
  return it == environment.end() ? "" : it->second;
}

Status ApplyEnvironment(const Environment& environment, CriConfig* config) {
  config->token_file = Variable(environment, "VK_TOKEN_FILE");
  if (!config->token_file.empty() && !IsAbsolutePath(config->token_file))
    return InvalidArgument("environment variable VK_TOKEN_FILE must be an absolute path, it is " +
                           Quoted(config->token_file));
  const std::string debug = Variable(environment, "INTERLINK_CRI_DEBUG");
  if (debug == "true" || debug == "1") {
    config->verbose_logging = true;
    config->errors_only_logging = false;
  } else if (!debug.empty() && debug != "false" && debug != "0") {
    return InvalidArgument(
        "environment variable INTERLINK_CRI_DEBUG must be true or false, it is " + Quoted(debug));
  }
  return {};
}

Status ReadPluginOption(const Member& member, const std::string& path, NodeOptions* target) {
  Value value = member.value;
  value.where = member.where;  // an empty one stands where the next key does
  const std::string where = path + "." + member.key;
  // Only the site resolves image names.
  if (member.key == "DOCKER_REGISTRY") {
    return InvalidArgument(member.where + ": " + where +
                           " is not taken from a node: the registry for image names without a "
                           "host is Images.DefaultRegistry of interlink-api");
  }
  if (!IsNodeOptionName(member.key)) {
    return InvalidArgument(member.where + ": " + path + " has the key " + Quoted(member.key) +
                           ": keys must be " + kNodeOptionNameRule);
  }
  const bool word = value.kind == Value::Kind::kScalar && !value.quoted &&
                    (value.scalar == "true" || value.scalar == "false");
  if (value.kind != Value::Kind::kScalar || word || !IsNodeOptionValue(value.scalar)) {
    return MustBe(value, where,
                  kNodeOptionValueRule + std::string(word ? ", true and false in quotes" : ""));
  }
  (*target)[member.key] = value.scalar;
  return {};
}

Key PluginConfigKey(NodeOptions* target) {
  Key key;
  key.path = "PluginConfig";
  key.takes =
      "a map of upper-case names and texts or numbers, at most " + std::to_string(kMaxNodeOptions);
  key.doc =
      "Settings for the site's plugins, e.g. SLURM_PARTITION. Each goes with the pods of those "
      "handlers that take it; the site says which keys a handler takes, and its plugin which "
      "values. interlink-cri check --online shows keys that no handler takes. A change is for "
      "pods that come later. (DOCKER_REGISTRY is Images.DefaultRegistry of interlink-api.)";
  key.example = "{\"SLURM_PARTITION\": \"gpu\", \"SLURM_QOS\": \"high\"}";
  key.read = [target, takes = key.takes](const Value& value, const std::string& path) -> Status {
    if (value.kind != Value::Kind::kMap || value.members.size() > kMaxNodeOptions)
      return MustBe(value, path, takes);
    target->clear();
    for (const Member& member : value.members)
      RETURN_IF_ERROR(ReadPluginOption(member, path, target));
    return {};
  };
  key.show = [target] {
    std::string text;
    for (const auto& [name, value] : *target)
      text += (text.empty() ? "" : ", ") + Quoted(name) + ": " + Quoted(value);
    return "{" + text + "}";
  };
  return key;
}

Keys StreamKeys(CriConfig::Cri* c) {
  return {
      TextKey("CRI.StreamServerAddress", &c->stream_server_address,
              "IP address where exec, attach and port-forward are served; kubelet connects to it. "
              "Without CRI.StreamTLSEnabled only this machine's own."),
      NumberKey("CRI.StreamServerPort", &c->stream_server_port, 0, 65535,
                "Its port. 0: any free one."),
      NumberKey("CRI.StreamSessions", &c->stream_sessions, 1, 100'000,
                "Exec, attach and port-forward clients and the connections that are forwarded, at "
                "once; above it they are told to come again."),
      BooleanKey("CRI.StreamTLSEnabled", &c->stream_tls.enabled,
                 "True: the addresses that clients get are https. They ask for no client "
                 "certificate: an address is good for one use within a minute."),
      WithExample(PathKey("CRI.StreamTLSCertFile", &c->stream_tls.files.cert_file,
                          "Certificate chain for CRI.StreamServerAddress, PEM, leaf first."),
                  "\"/etc/interlink/cri/tls/stream.crt\""),
      WithExample(
          PathKey("CRI.StreamTLSKeyFile", &c->stream_tls.files.key_file, "Its private key, PEM."),
          "\"/etc/interlink/cri/tls/stream.key\""),
  };
}

Keys OidcKeys(CriConfig::Oidc* o) {
  return {
      WithExample(TextKey("Auth.OIDC.Issuer", &o->issuer,
                          "URL of the issuer of this node's tokens: it is asked where its token "
                          "endpoint is. https, or http on this machine."),
                  "\"https://login.example.org\""),
      WithExample(TextKey("Auth.OIDC.TokenURL", &o->token_url,
                          "That endpoint itself, instead of Auth.OIDC.Issuer."),
                  "\"https://login.example.org/oauth2/token\""),
      WithExample(TextKey("Auth.OIDC.ClientID", &o->client_id,
                          "This node's name at the issuer. With it a token is fetched by the "
                          "client credentials grant (RFC 6749, 4.4) and renewed before it ends; "
                          "VK_TOKEN_FILE must then not be set. Default: none is fetched."),
                  "\"hpc-node-1\""),
      WithExample(PathKey("Auth.OIDC.ClientSecretFile", &o->client_secret_file,
                          "Its secret there: one line, mode 0600; read for each request. Must be "
                          "set with Auth.OIDC.ClientID."),
                  "\"/etc/interlink/cri/client-secret\""),
      WithExample(TextListKey("Auth.OIDC.Scopes", &o->scopes, "Scopes that are asked for."),
                  "[\"openid\"]"),
      WithExample(TextKey("Auth.OIDC.Audience", &o->audience,
                          "Sent as \"audience\", for issuers that want to know for whom a token "
                          "is."),
                  "\"interlink\""),
      WithExample(PathKey("Auth.OIDC.CACertFile", &o->ca_cert_file,
                          "Who has signed the issuer's certificate, PEM. Default: whom this "
                          "machine trusts."),
                  "\"/etc/interlink/cri/issuer-ca.crt\""),
  };
}

}  // namespace

Keys CriKeys(CriConfig* c) {
  const auto second = std::chrono::seconds(1);
  Keys keys = {
      WithExample(TextKey("InterlinkAddress", &c->interlink_address,
                          "Address of interlink-api: https://HOST. Plain http:// only for this "
                          "machine. Must be set."),
                  "\"https://site.example.org\""),
      WithExample(PortKey("Interlinkport", &c->interlink_port,
                          "Port of interlink-api. Default: the one in InterlinkAddress, else 443 "
                          "(http: 80)."),
                  "\"8080\""),
      BooleanKey("CRI.Enabled", &c->cri.enabled,
                 "False: interlink-cri says so and ends; nothing is served."),
      TextKey("CRI.SocketPath", &c->cri.socket_path,
              "The socket for kubelet and crictl: unix:///PATH, at most 107 bytes of path."),
      TextKey("CRI.RuntimeHandler", &c->cri.runtime_handler,
              "The handler of the RuntimeClass for interLink; it means CRI.DefaultHandler. The "
              "site's handlers can be used under their own names too."),
      WithExample(TextKey("CRI.DefaultHandler", &c->cri.default_handler,
                          "The site's handler for pods without a RuntimeClass and for "
                          "CRI.RuntimeHandler. none: pods without a RuntimeClass are refused. "
                          "Default: the site's own default."),
                  "\"local\""),
      PathKey("CRI.KubeletFolder", &c->cri.kubelet_folder,
              "Kubelet's --root-dir. A site on another machine gets copies of ConfigMaps, Secrets, "
              "tokens and other small files that kubelet keeps below it for a pod."),
      DurationKey("CRI.RequestTimeout", &c->cri.request_timeout, second, std::chrono::hours(24),
                  "Bounds calls that come without a deadline. Pulls end after that time without "
                  "progress."),
  };
  const auto add = [&keys](Keys more) {
    for (Key& key : more) keys.push_back(std::move(key));
  };
  add(StreamKeys(&c->cri));
  add({
      BooleanKey("TLS.Enabled", &c->tls.enabled,
                 "True: the keys of this section are used. False with https: the system's "
                 "certificate authorities, and a token says who asks (VK_TOKEN_FILE)."),
      WithExample(PathKey("TLS.CertFile", &c->tls.files.cert_file,
                          "This node's certificate chain, PEM, leaf first."),
                  "\"/etc/interlink/cri/tls/client.crt\""),
      WithExample(PathKey("TLS.KeyFile", &c->tls.files.key_file, "Its private key, PEM."),
                  "\"/etc/interlink/cri/tls/client.key\""),
      WithExample(PathKey("TLS.CACertFile", &c->tls.files.ca_file,
                          "Who may have signed the site's certificate, PEM. Default: the system's "
                          "certificate authorities."),
                  "\"/etc/interlink/cri/tls/ca.crt\""),
  });
  add(OidcKeys(&c->oidc));
  add(AuditKeys(&c->audit, "calls on the CRI socket that change something, and by which process,",
                "/var/log/interlink-cri/audit"));
  add({
      BooleanKey(
          "VerboseLogging", &c->verbose_logging,
          "Logs debug lines too; so does the environment variable INTERLINK_CRI_DEBUG=true."),
      BooleanKey("ErrorsOnlyLogging", &c->errors_only_logging, "Logs errors only."),
      PathKey("DataRootFolder", &c->data_root_folder,
              "Where the store is kept. It must not be on a network file system."),
      PluginConfigKey(&c->plugin_config),
  });
  return keys;
}

Result<CriConfig> LoadCriConfig(const std::string& flag, const Environment& environment) {
  CriConfig config;
  const std::string variable = Variable(environment, "INTERLINK_CRI_CONFIG");
  config.file = !flag.empty() ? flag : !variable.empty() ? variable : kCriDefaultFile;
  const auto document = LoadDocument(config.file);
  if (!document.ok()) {
    if (document.status().code() == Code::kInvalidArgument) return document.status();
    return document.status().WithContext("configuration (--config FILE, INTERLINK_CRI_CONFIG)");
  }
  Sources sources;
  RETURN_IF_ERROR(ReadKeys(*document, CriKeys(&config), "", &sources));
  RETURN_IF_ERROR(ApplyEnvironment(environment, &config));
  RETURN_IF_ERROR(CriRules(&config, sources).Apply());
  return config;
}

std::string CriReference() {
  CriConfig config;
  return PrintReference(CriKeys(&config), "Configuration of interlink-cri") +
         "The file is `--config FILE`, else `INTERLINK_CRI_CONFIG`, else "
         "`/etc/interlink/cri/config.yaml`; `conf.d/*.yaml` beside it is merged on top. Unknown "
         "and "
         "duplicate keys are refused with file and line.\n\n"
         "Environment:\n\n"
         "- `VK_TOKEN_FILE`: the file with the bearer token for the site\n"
         "- `INTERLINK_CRI_DEBUG`: `true` is `VerboseLogging: true`\n\n"
         "Made by `interlink-cri config --reference`; a unit test compares this page with it.\n";
}

}  // namespace interlink::config
