#include "config/api_config.h"

#include <catch2/catch.hpp>
#include <string>

#include "unit/config/folder.h"

namespace interlink::config {
namespace {

const std::string kHead =
    "SiteName: hpc-1\n"
    "TLS: {CertFile: /t/s.crt, KeyFile: /t/s.key, CACertFile: /t/ca.crt}\n";
const std::string kPlugins = "Plugins: [{Name: local, Handlers: [{Name: local}]}]\n";

TEST_CASE("a whole file is understood") {
  const Folder folder;
  const std::string file = folder.Write("config.yaml", R"(SiteName: hpc-1
Address: 10.0.0.1
Port: "9000"
OperatorPort: 9001
TLS:
  CertFile: /t/s.crt
  KeyFile: /t/s.key
  CACertFile: /t/ca.crt
  ClientAuth: verify
Auth:
  TokenFile: /t/tokens
  RequireToken: true
  CommonNamePrefix: "system:node:"
DataRootFolder: /data
LogBufferPerContainer: 64MiB
NodeGoneAfter: 24h
Limits: {Connections: 10, ConnectionsPerNode: 5, StepThreads: 3}
Images:
  DefaultRegistry: registry.example.org
  Mirrors:
    docker.io: ["https://m1", "http://localhost:5000"]
DefaultHandler: fast
Plugins:
  - Name: local
    Path: /opt/local.so
    Handlers:
      - Name: slow
      - Name: fast
        AllowPrivileged: true
        AllowHostNamespaces: true
        AllowedHostPaths: [/data, /scratch]
    Options:
      Runtime: crun
      CNI:
        ConfDir: /etc/cni/net.d
        BinDirs: [/usr/lib/cni, /opt/cni]
  - Name: slurm
    Handlers: [{Name: batch}]
)");

  const auto config = LoadApiConfig(file, {});

  INFO(config.status().ToString());
  REQUIRE(config.ok());
  CHECK(config->site_name == "hpc-1");
  CHECK(config->address == "10.0.0.1");
  CHECK(config->port == 9000);
  CHECK(config->operator_port == 9001);
  CHECK(config->client_auth == net::ClientAuth::kVerify);
  CHECK(config->auth.token_file == "/t/tokens");
  CHECK(config->auth.require_token);
  CHECK(config->log_buffer_per_container == 64U << 20U);
  CHECK(config->node_gone_after == std::chrono::hours(24));
  CHECK(config->limits.connections == 10);
  CHECK(config->limits.requests_per_node == 1024);
  CHECK(config->control_socket == "/data/control.sock");
  CHECK(config->images.root == "/data/images");
  CHECK(config->images.mirrors.at("docker.io").size() == 2);
  REQUIRE(config->plugins.size() == 2);
  CHECK(config->plugins[0].path == "/opt/local.so");
  CHECK(config->plugins[1].path.empty());
  CHECK(config->plugins[1].options.handlers == std::vector<std::string>{"batch"});
  CHECK(config->plugins[0].options.handlers == std::vector<std::string>{"slow", "fast"});
}

TEST_CASE("a certificate is enough unless none is asked for or a token is needed too") {
  const Folder folder;
  const auto enough = [&folder](const std::string& text) {
    const auto config = LoadApiConfig(folder.Write("f", text + kPlugins), {});
    INFO(config.status().ToString());
    REQUIRE(config.ok());
    return config->certificate_is_enough;
  };
  CHECK(enough(kHead));
  CHECK(enough(kHead + "Auth: {TokenFile: /t/tokens}\n"));
  CHECK_FALSE(enough(kHead + "Auth: {TokenFile: /t/tokens, RequireToken: true}\n"));
  CHECK_FALSE(
      enough("SiteName: s\nTLS: {CertFile: /c, KeyFile: /k, ClientAuth: none}\n"
             "Auth: {TokenFile: /t}\n"));
}

TEST_CASE("options and handler keys reach the plugin with their lines") {
  const Folder folder;
  const std::string file = folder.Write("f", kHead +
                                                 "Plugins:\n"                       // 3
                                                 "  - Name: local\n"                // 4
                                                 "    Handlers:\n"                  // 5
                                                 "      - Name: fast\n"             // 6
                                                 "        AllowPrivileged: true\n"  // 7
                                                 "        AllowedHostPaths:\n"      // 8
                                                 "          - /data\n"              // 9
                                                 "          - /scratch\n"           // 10
                                                 "    Options:\n"                   // 11
                                                 "      CNI:\n"                     // 12
                                                 "        BinDirs: [/a, /b]\n"      // 13
                                                 "      Runtime: crun\n");          // 14
  const auto config = LoadApiConfig(file, {});
  REQUIRE(config.ok());

  std::string seen;
  for (const sdk::Option& option : config->plugins[0].options.options)
    seen += folder.Short(option.where) + " " + option.key + "=" + option.value + "\n";

  CHECK(seen ==
        "f:7 Handlers.fast.AllowPrivileged=true\n"
        "f:9 Handlers.fast.AllowedHostPaths[0]=/data\n"
        "f:10 Handlers.fast.AllowedHostPaths[1]=/scratch\n"
        "f:13 CNI.BinDirs[0]=/a\n"
        "f:13 CNI.BinDirs[1]=/b\n"
        "f:14 Runtime=crun\n");
  CHECK(config->plugins[0].options.name == "local");
}

TEST_CASE("the site's log buffer is the default of each plugin's own, with its line") {
  const Folder folder;
  const std::string plugins =
      "Plugins:\n"
      "  - {Name: local, Handlers: [{Name: a}], Options: {LogBufferPerContainer: 2097152}}\n"
      "  - {Name: slurm, Handlers: [{Name: b}]}\n";
  const auto options = [](const PluginConfig& plugin) {
    std::string seen;
    for (const sdk::Option& option : plugin.options.options)
      seen += option.key + "=" + option.value + " ";
    return seen;
  };

  const auto set =
      LoadApiConfig(folder.Write("f", kHead + "LogBufferPerContainer: 64MiB\n" + plugins), {});
  REQUIRE(set.ok());
  CHECK(options(set->plugins[0]) == "LogBufferPerContainer=2097152 ");
  CHECK(options(set->plugins[1]) == "LogBufferPerContainer=67108864 ");
  CHECK(folder.Short(set->plugins[1].options.options[0].where) == "f:3");

  // Not set: nothing is handed to a plugin that may not know the key.
  const auto unset = LoadApiConfig(folder.Write("f", kHead + plugins), {});
  REQUIRE(unset.ok());
  CHECK(options(unset->plugins[1]).empty());
}

TEST_CASE("images are on the nodes' host when a plugin says so, or the key") {
  const Folder folder;
  const auto on_node_host = [&folder](const std::string& key, const std::string& option) {
    const auto config = LoadApiConfig(
        folder.Write("f", kHead + key +
                              "Plugins: [{Name: local, Handlers: [{Name: a}], Options: {" + option +
                              "}}]\n"),
        {});
    INFO(config.status().ToString());
    REQUIRE(config.ok());
    return config->images.on_node_host == true;
  };
  CHECK_FALSE(on_node_host("", ""));
  CHECK_FALSE(on_node_host("", "KubeletHost: false"));
  CHECK(on_node_host("", "KubeletHost: true"));
  CHECK(on_node_host("Images: {OnNodeHost: true}\n", ""));
  CHECK_FALSE(on_node_host("Images: {OnNodeHost: false}\n", "KubeletHost: true"));
}

TEST_CASE("the section for agents, and what follows from other keys") {
  const Folder folder;
  const auto load = [&folder](const std::string& agents) {
    auto config = LoadApiConfig(folder.Write("f", kHead + agents + kPlugins), {});
    INFO(config.status().ToString());
    REQUIRE(config.ok());
    return config->agents;
  };

  const AgentsConfig none = load("");
  const AgentsConfig few =
      load("Agents: {Port: 8444, PublicAddress: \"[2001:db8::1]:9000\", Lease: never}\n");
  const AgentsConfig all = load(
      "Agents: {Address: 10.0.0.1, Port: 8444, PublicAddress: \"site:9000\", ServerName: s.test, "
      "CACertFile: /t/other.crt, Lease: 1m, Heartbeat: 20s, IdleTimeout: 2h, "
      "MaxAgents: 7}\n");

  CHECK(none.port == 0);
  CHECK(few.address == "0.0.0.0");
  CHECK(few.server_name == "2001:db8::1");
  CHECK(few.ca_cert_file == "/t/ca.crt");
  CHECK(few.lease == Duration::zero());
  CHECK(few.heartbeat == std::chrono::seconds(10));
  CHECK(few.idle_timeout == std::chrono::minutes(10));
  CHECK(all.address == "10.0.0.1");
  CHECK(all.port == 8444);
  CHECK(all.public_address == "site:9000");
  CHECK(all.server_name == "s.test");
  CHECK(all.ca_cert_file == "/t/other.crt");
  CHECK(all.lease == std::chrono::minutes(1));
  CHECK(all.heartbeat == std::chrono::seconds(20));
  CHECK(all.idle_timeout == std::chrono::hours(2));
  CHECK(all.max_agents == 7);
}

TEST_CASE("issuers of tokens, with what their tokens mean") {
  const Folder folder;
  const std::string file = folder.Write("f", kHead + R"(Auth:
  RequireToken: true
  OIDC:
    - Issuer: https://login.example.org
      Audiences: [interlink]
      NodePrefix: "system:node:"
    - Issuer: https://kubernetes.default.svc
      Audiences: [site-x, interlink]
      JWKSFile: /t/jwks.json
      CACertFile: /t/cluster.crt
      NodeClaim: [kubernetes.io, node, name]
)" + kPlugins);

  const auto config = LoadApiConfig(file, {});

  INFO(config.status().ToString());
  REQUIRE(config.ok());
  REQUIRE(config->auth.oidc.size() == 2);
  const OidcIssuerConfig& first = config->auth.oidc[0];
  CHECK(first.issuer == "https://login.example.org");
  CHECK(first.audiences == std::vector<std::string>{"interlink"});
  CHECK(first.node_claim == std::vector<std::string>{"sub"});
  CHECK(first.node_prefix == "system:node:");
  const OidcIssuerConfig& second = config->auth.oidc[1];
  CHECK(second.jwks_file == "/t/jwks.json");
  CHECK(second.ca_cert_file == "/t/cluster.crt");
  CHECK(second.node_claim == std::vector<std::string>{"kubernetes.io", "node", "name"});
}

TEST_CASE("without TLS the site listens on this machine only and takes tokens") {
  const Folder folder;
  const std::string file =
      folder.Write("f",
                   "SiteName: s\nAddress: 127.0.0.1\nTLS: {Enabled: false, ClientAuth: require}\n"
                   "Auth: {TokenFile: /t}\n" +
                       kPlugins);
  const auto config = LoadApiConfig(file, {});
  INFO(config.status().ToString());
  REQUIRE(config.ok());
  CHECK(config->client_auth == net::ClientAuth::kNone);
}

TEST_CASE("the variables of interlink-api are its own") {
  const Folder folder;
  const std::string file = folder.Write("f", kHead + kPlugins);
  const auto config = LoadApiConfig(
      "",
      {{"INTERLINK_API_CONFIG", file}, {"INTERLINK_API_DEBUG", "1"}, {"INTERLINK_CRI_DEBUG", "x"}});
  REQUIRE(config.ok());
  CHECK(config->verbose_logging);
  CHECK_FALSE(
      LoadApiConfig("", {{"INTERLINK_API_CONFIG", file}, {"INTERLINK_API_DEBUG", "x"}}).ok());
}

TEST_CASE("bad input of a site is told with file, line and what would be right") {
  const auto plugin = [](const std::string& text) { return kHead + "Plugins:\n" + text; };
  const auto [text, message] = GENERATE_COPY(table<std::string, std::string>({
      {kHead, "f: Plugins must name at least one plugin"},
      {kHead + "Plugins: []\n", "f:3: Plugins must name at least one plugin"},
      {kHead + "Plugins: {Name: local}\n", "f:3: Plugins must be a list of maps, it is a map"},
      {plugin("  - local\n"),
       "f:4: Plugins[0] must be a map with the keys Name and Handlers, it is \"local\""},
      {plugin("  - Handlers: [{Name: a}]\n"),
       "f:4: Plugins[0].Name must be the name of a plugin in lower case, e.g. local"},
      {plugin("  - Name: local\n"), "f:4: Plugins[0].Handlers must be set"},
      {plugin("  - Name: local\n    Handlers: []\n"),
       "f:5: Plugins[0].Handlers must be a list of maps with at least one item, it is a list"},
      {plugin("  - Name: local\n    Handlers: [a]\n"),
       "f:5: Plugins[0].Handlers[0] must be a map with the key Name, it is \"a\""},
      {plugin("  - Name: local\n    Handlers: [{Name: A}]\n"),
       "f:5: Plugins[0].Handlers[0].Name must be a handler name: 1 to 63 lower-case letters, "
       "digits "
       "and \"-\", beginning and ending with a letter or digit"},
      {plugin("  - Name: local\n    Handlers: [{AllowPrivileged: true}]\n"),
       "f:5: Plugins[0].Handlers[0].Name must be a handler name: 1 to 63 lower-case letters, "
       "digits "
       "and \"-\", beginning and ending with a letter or digit"},
      {plugin("  - Name: local\n    Handlers:\n      - Name: a\n        AllowPriviledged: true\n"),
       "f:7: unknown key \"Plugins[0].Handlers[0].AllowPriviledged\", the nearest known key is "
       "\"Plugins[0].Handlers[0].AllowPrivileged\""},
      {plugin("  - Name: local\n    Handlers: [{Name: a, AllowedHostPaths: /data}]\n"),
       "f:5: Plugins[0].Handlers[0].AllowedHostPaths must be a list of absolute paths, it is "
       "\"/data\""},
      {plugin("  - Name: local\n    Handlers: [{Name: a, AllowedHostPaths: [data]}]\n"),
       "f:5: Plugins[0].Handlers[0].AllowedHostPaths[0] must be an absolute path without \"..\", "
       "it "
       "is \"data\""},
      {plugin("  - Name: local\n    Handlers: [{Name: a, AllowDevices: [/dev/fuse]}]\n"),
       "f:5: Plugins[0].Handlers[0].AllowDevices must be true or false (without quotes), it is a "
       "list"},
      {plugin(
           "  - {Name: local, Handlers: [{Name: a}]}\n  - {Name: local, Handlers: [{Name: b}]}\n"),
       "f:5: plugin \"local\" stands twice, it is also at f:4"},
      {plugin(
           "  - {Name: local, Handlers: [{Name: a}]}\n  - {Name: slurm, Handlers: [{Name: a}]}\n"),
       "f:5: handler \"a\" stands twice, plugin \"local\" has it already"},
      {plugin("  - Name: local\n    Handlers: [{Name: a}]\n    Options: {X: }\n"),
       "f:6: Plugins[0].Options.X must be a value, it is empty"},
      {plugin("  - Name: local\n    Handlers: [{Name: a}]\n    Path: local.so\n"),
       "f:6: Plugins[0].Path must be an absolute path without \"..\", it is \"local.so\""},
      {kHead + "DefaultHandler: b\n" + kPlugins,
       "f:3: DefaultHandler must be a handler of Plugins (local), it is \"b\""},
      {"SiteName: \"a b\"\n" + kPlugins,
       "f:1: SiteName must be set: 1 to 63 letters, digits, \".\", \"_\" and \"-\" that tell nodes "
       "which site this is"},
      {"SiteName: s\nTLS: {Enabled: false}\n" + kPlugins,
       "f:2: TLS.Enabled must be true unless Address is this machine's own (127.0.0.1, ::1)"},
      {"SiteName: s\nAddress: \"::1\"\nTLS: {Enabled: false}\n" + kPlugins,
       "f: Auth.TokenFile (or Auth.OIDC) must be set when no client certificates are asked for: "
       "nobody could be identified"},
      {"SiteName: s\n" + kPlugins,
       "f: TLS.CertFile must be set: the certificate chain of this site"},
      {"SiteName: s\nTLS: {CertFile: /c}\n" + kPlugins,
       "f: TLS.KeyFile must be set: the private key of TLS.CertFile"},
      {"SiteName: s\nTLS: {CertFile: /c, KeyFile: /k}\n" + kPlugins,
       "f: TLS.CACertFile must be set: who may have signed the nodes' certificates (or "
       "TLS.ClientAuth must be none)"},
      {"SiteName: s\nTLS: {ClientAuth: optional}\n" + kPlugins,
       "f:2: TLS.ClientAuth must be require or verify or none, it is \"optional\""},
      {kHead + "Agents: {PublicAddress: \"h:1\"}\n" + kPlugins,
       "f:3: Agents.PublicAddress needs Agents.Port, the port for the agents"},
      {kHead + "Agents: {Port: 8444}\n" + kPlugins,
       "f: Agents.PublicAddress must be set with Agents.Port: HOST:PORT under which allocations "
       "reach this site"},
      {kHead + "Agents: {Port: 8444, PublicAddress: site}\n" + kPlugins,
       "f:3: Agents.PublicAddress must be HOST:PORT (an IPv6 address in brackets), it is \"site\": "
       "it has no port"},
      {kHead + "Agents: {Port: 8444, PublicAddress: \"site:1/x\"}\n" + kPlugins,
       "f:3: Agents.PublicAddress must be HOST:PORT (an IPv6 address in brackets), it is "
       "\"site:1/x\": it has a path"},
      {kHead + "Agents: {Port: 8443, PublicAddress: \"site:1\"}\n" + kPlugins,
       "f:3: Agents.Port must not be the same as Port or OperatorPort"},
      {kHead + "Agents: {Port: 8444, PublicAddress: \"site:1\", Lease: 29s}\n" + kPlugins,
       "f:3: Agents.Lease must be at least three times Agents.Heartbeat, or never"},
      {"SiteName: s\nAddress: \"::1\"\nTLS: {Enabled: false}\nAuth: {TokenFile: /t}\n"
       "Agents: {Port: 8444, PublicAddress: \"site:1\"}\n" +
           kPlugins,
       "f:5: Agents.Port needs TLS.Enabled: agents come in over TLS only"},
      {"SiteName: s\nTLS: {CertFile: /c, KeyFile: /k, ClientAuth: none}\nAuth: {TokenFile: /t}\n"
       "Agents: {Port: 8444, PublicAddress: \"site:1\"}\n" +
           kPlugins,
       "f: Agents.CACertFile must be set, or TLS.CACertFile: who has signed TLS.CertFile"},
      {kHead + "Auth: {RequireToken: true}\n" + kPlugins,
       "f:3: Auth.RequireToken needs Auth.TokenFile or Auth.OIDC"},
      {kHead + "Auth: {OIDC: {Issuer: x}}\n" + kPlugins,
       "f:3: Auth.OIDC must be a list of maps, it is a map"},
      {kHead + "Auth: {OIDC: [x]}\n" + kPlugins,
       "f:3: Auth.OIDC[0] must be a map with the keys Issuer and Audiences, it is \"x\""},
      {kHead + "Auth: {OIDC: [{Audiences: [a]}]}\n" + kPlugins,
       "f:3: Auth.OIDC[0].Issuer must be set"},
      {kHead + "Auth: {OIDC: [{Issuer: \"https://i\"}]}\n" + kPlugins,
       "f:3: Auth.OIDC[0].Audiences must be set: a token that is for somebody else is not for this "
       "site"},
      {kHead + "Auth: {OIDC: [{Issuer: \"http://i\", Audiences: [a]}]}\n" + kPlugins,
       "f:3: Auth.OIDC[0].Issuer must begin with https://: nobody else may answer for it"},
      {kHead + "Auth: {OIDC: [{Issuer: \"https://i\", Audiences: [a], NodeClaim: []}]}\n" +
           kPlugins,
       "f:3: Auth.OIDC[0].NodeClaim must name a claim"},
      {kHead + "Auth: {OIDC: [{Issuer: \"https://i\", Audience: a}]}\n" + kPlugins,
       "f:3: unknown key \"Auth.OIDC[0].Audience\", the nearest known key is "
       "\"Auth.OIDC[0].Audiences\""},
      {kHead +
           "Auth:\n  OIDC:\n  - {Issuer: \"https://i\", Audiences: [a]}\n"
           "  - {Issuer: \"https://i\", Audiences: [b]}\n" +
           kPlugins,
       "f:6: issuer \"https://i\" stands twice, it is also at f:5"},
      {kHead + "Auth: {CommonNamePrefix: a, UriPrefix: b}\n" + kPlugins,
       "f:3: Auth.UriPrefix and Auth.CommonNamePrefix must not both be set"},
      {kHead + "Images: {Mirrors: {docker.io: https://m}}\n" + kPlugins,
       "f:3: Images.Mirrors.docker.io must be a list, it is \"https://m\""},
      {kHead + "Images: {Mirrors: {docker.io: [\"http://m\"]}}\n" + kPlugins,
       "f:3: Images.Mirrors has the mirror \"http://m\" for \"docker.io\": plain http is taken "
       "only "
       "for this machine"},
      {kHead + "LogBufferPerContainer: 1GB\n" + kPlugins,
       "f:3: LogBufferPerContainer must be a size such as 512MiB or 1GiB, from 1MiB to 1024TiB, "
       "it "
       "is \"1GB\""},
      {kHead + "NodeGoneAfter: 0\n" + kPlugins,
       "f:3: NodeGoneAfter must be never, or a duration such as 24h, it is \"0\""},
      {kHead + "Limits: {StepThreads: 0}\n" + kPlugins,
       "f:3: Limits.StepThreads must be a whole number from 1 to 1024, it is \"0\""},
      {kHead + "OperatorPort: 8443\n" + kPlugins, "f:3: OperatorPort must not be the same as Port"},
  }));
  const Folder folder;
  const std::string file = folder.Write("f", text);

  const Status status = LoadApiConfig(file, {}).status();

  INFO(text);
  CHECK(status.code() == Code::kInvalidArgument);
  CHECK(folder.Short(status.message()) == message);
}

}  // namespace
}  // namespace interlink::config
