#include "config/cri_config.h"

#include <catch2/catch.hpp>
#include <string>

#include "unit/config/folder.h"

namespace interlink::config {
namespace {

const std::string kTls =
    "TLS: {Enabled: true, CertFile: /t/c.crt, KeyFile: /t/c.key, CACertFile: /t/ca.crt}\n";

TEST_CASE("the file of the usage guide is understood") {
  const Folder folder;
  const std::string file = folder.Write("config.yaml", R"(
# InterLink API Server connection
InterlinkAddress: "https://interlink-api.example.com"  # InterLink API server endpoint
Interlinkport: "8080"

CRI:
  Enabled: true
  SocketPath: "unix:///var/run/interlink/interlink.sock"
  RuntimeHandler: "hpc"
  DefaultHandler: none
  RequestTimeout: "10m"

VerboseLogging: true
ErrorsOnlyLogging: false

TLS:
  Enabled: true
  CertFile: "/etc/interlink/cri/tls/client.crt"    # Client certificate for mTLS
  KeyFile: "/etc/interlink/cri/tls/client.key"
  CACertFile: "/etc/interlink/cri/tls/ca.crt"

DataRootFolder: "/data"

PluginConfig:
  SLURM_PARTITION: "gpu"
  SLURM_TIME: 1:30:00
  SLURM_CPUS: 8
  SITE_WORD: "true"
)");

  const auto config = LoadCriConfig(file, {{"VK_TOKEN_FILE", "/etc/interlink/token"}});

  INFO(config.status().ToString());
  REQUIRE(config.ok());
  CHECK(config->https);
  CHECK(config->host == "interlink-api.example.com");
  CHECK(config->port == 8080);
  CHECK(config->cri.enabled);
  CHECK(config->socket_file == "/var/run/interlink/interlink.sock");
  CHECK(config->cri.runtime_handler == "hpc");
  CHECK(config->cri.default_handler == "none");
  CHECK(config->cri.request_timeout == std::chrono::minutes(10));
  CHECK(config->verbose_logging);
  CHECK_FALSE(config->errors_only_logging);
  CHECK(config->tls.files.cert_file == "/etc/interlink/cri/tls/client.crt");
  CHECK(config->tls.files.key_file == "/etc/interlink/cri/tls/client.key");
  CHECK(config->tls.files.ca_file == "/etc/interlink/cri/tls/ca.crt");
  CHECK(config->data_root_folder == "/data");
  CHECK(config->token_file == "/etc/interlink/token");
  CHECK(config->plugin_config == NodeOptions{{"SLURM_PARTITION", "gpu"},
                                             {"SLURM_TIME", "1:30:00"},
                                             {"SLURM_CPUS", "8"},
                                             {"SITE_WORD", "true"}});
}

TEST_CASE("what is not said has its default") {
  const Folder folder;
  const std::string file = folder.Write("config.yaml", "InterlinkAddress: https://site\n" + kTls);

  const auto config = LoadCriConfig(file, {});

  REQUIRE(config.ok());
  CHECK(config->port == 443);
  CHECK(config->socket_file == "/var/run/interlink/cri.sock");
  CHECK(config->cri.runtime_handler == "interlink");
  CHECK(config->cri.default_handler.empty());
  CHECK(config->cri.request_timeout == std::chrono::minutes(15));
  CHECK(config->data_root_folder == "/var/lib/interlink-cri");
  CHECK(config->token_file.empty());
}

TEST_CASE("ports are numbers or texts, in their own key or in the address") {
  const Folder folder;
  const auto port = [&folder](const std::string& lines) {
    const auto config = LoadCriConfig(folder.Write("config.yaml", lines + kTls), {});
    INFO(lines << config.status().ToString());
    REQUIRE(config.ok());
    return config->port;
  };
  CHECK(port("InterlinkAddress: https://site\nInterlinkport: 8080\n") == 8080);
  CHECK(port("InterlinkAddress: https://site\nInterlinkport: \"8080\"\n") == 8080);
  CHECK(port("InterlinkAddress: https://site:9000\n") == 9000);
  CHECK(port("InterlinkAddress: https://site:9000/\nInterlinkport: 9000\n") == 9000);
}

TEST_CASE("plain http goes to this machine only, with a token") {
  const Folder folder;
  const std::string address =
      GENERATE("http://127.0.0.1", "http://localhost", "http://[::1]", "http://127.9.9.9");
  const std::string file = folder.Write("config.yaml", "InterlinkAddress: " + address + "\n");
  const auto config = LoadCriConfig(file, {{"VK_TOKEN_FILE", "/t"}});
  INFO(config.status().ToString());
  REQUIRE(config.ok());
  CHECK_FALSE(config->https);
  CHECK(config->port == 80);
}

TEST_CASE("without TLS its keys are not used, and a token says who asks") {
  const Folder folder;
  const std::string file = folder.Write("config.yaml",
                                        "InterlinkAddress: https://site\n"
                                        "TLS: {Enabled: false, CertFile: /c, KeyFile: /k}\n");
  const auto config = LoadCriConfig(file, {{"VK_TOKEN_FILE", "/t"}});
  REQUIRE(config.ok());
  CHECK(config->https);
  CHECK(config->tls.files.cert_file.empty());
}

TEST_CASE("streams are served on this machine's own address, or anywhere with TLS") {
  const Folder folder;
  const auto load = [&folder](const std::string& lines) {
    return LoadCriConfig(
        folder.Write("config.yaml", "InterlinkAddress: https://site\n" + kTls + lines), {});
  };
  const auto plain = load("");
  REQUIRE(plain.ok());
  CHECK(plain->cri.stream_server_address == "127.0.0.1");
  CHECK(plain->cri.stream_server_port == 0);
  CHECK(plain->cri.stream_sessions == 1024);
  CHECK(load("CRI: {StreamServerAddress: \"::1\", StreamServerPort: 10010}\n")
            ->cri.stream_server_port == 10010);
  const auto tls = load(
      "CRI: {StreamServerAddress: 10.0.0.1, StreamTLSEnabled: true, StreamTLSCertFile: /c, "
      "StreamTLSKeyFile: /k}\n");
  INFO(tls.status().ToString());
  REQUIRE(tls.ok());
  CHECK(tls->cri.stream_tls.files.key_file == "/k");
  // Off means off: the section may stay in the file.
  CHECK(load("CRI: {StreamTLSCertFile: /c}\n")->cri.stream_tls.files.cert_file.empty());
}

TEST_CASE("addresses for streams that nobody may or can use are refused by name") {
  const Folder folder;
  const auto [lines, key] = GENERATE(table<std::string, std::string>({
      {"StreamServerAddress: 10.0.0.1", "CRI.StreamServerAddress"},
      {"StreamServerAddress: 0.0.0.0", "CRI.StreamServerAddress"},
      {"StreamServerAddress: \"::\"", "CRI.StreamServerAddress"},
      {"StreamServerAddress: localhost", "CRI.StreamServerAddress"},
      {"StreamServerAddress: \"\"", "CRI.StreamServerAddress"},
      {"StreamServerPort: 65536", "CRI.StreamServerPort"},
      {"StreamSessions: 0", "CRI.StreamSessions"},
      {"StreamTLSEnabled: true, StreamTLSKeyFile: /k", "CRI.StreamTLSCertFile"},
      {"StreamTLSEnabled: true, StreamTLSCertFile: /c", "CRI.StreamTLSKeyFile"},
      {"StreamTLSCACertFile: /c", "StreamTLSCACertFile"},
  }));
  const auto config =
      LoadCriConfig(folder.Write("config.yaml", "InterlinkAddress: https://site\n" + kTls +
                                                    "CRI: {" + lines + "}\n"),
                    {});
  CHECK(config.status().code() == Code::kInvalidArgument);
  CHECK_THAT(config.status().message(), Catch::Contains(key));
}

TEST_CASE("--config is over the variable, and that over the file in /etc") {
  const Folder folder;
  const std::string flag = folder.Write("flag.yaml", "InterlinkAddress: https://flag\n" + kTls);
  const std::string variable =
      folder.Write("variable.yaml", "InterlinkAddress: https://variable\n" + kTls);

  CHECK(LoadCriConfig(flag, {{"INTERLINK_CRI_CONFIG", variable}})->host == "flag");
  CHECK(LoadCriConfig("", {{"INTERLINK_CRI_CONFIG", variable}})->host == "variable");
  CHECK(LoadCriConfig("", {{"INTERLINK_CRI_CONFIG", folder.Path("absent")}}).status().message() ==
        "configuration (--config FILE, INTERLINK_CRI_CONFIG): " +
            LoadDocument(folder.Path("absent")).status().message());
}

TEST_CASE("INTERLINK_CRI_DEBUG wins over the file") {
  const Folder folder;
  const std::string file = folder.Write(
      "config.yaml", "InterlinkAddress: https://site\nErrorsOnlyLogging: true\n" + kTls);

  const auto debug = LoadCriConfig(file, {{"INTERLINK_CRI_DEBUG", "true"}});
  REQUIRE(debug.ok());
  CHECK(debug->verbose_logging);
  CHECK_FALSE(debug->errors_only_logging);
  CHECK(LoadCriConfig(file, {{"INTERLINK_CRI_DEBUG", "false"}})->errors_only_logging);
  CHECK(LoadCriConfig(file, {{"INTERLINK_CRI_DEBUG", "yes"}}).status() ==
        InvalidArgument(
            "environment variable INTERLINK_CRI_DEBUG must be true or false, it is \"yes\""));
}

TEST_CASE("bad input is told with file, line and what would be right") {
  // {file, message}; the address and TLS are right unless the case is about them
  const std::string head = "InterlinkAddress: https://site\n" + kTls;
  const std::string no_tls = "InterlinkAddress: https://site\n";
  const auto [text, message] = GENERATE_COPY(table<std::string, std::string>({
      {head + "Interlinkprt: 1\n",
       "f:3: unknown key \"Interlinkprt\", the nearest known key is \"Interlinkport\""},
      {head + "interlinkport: 1\n",
       "f:3: unknown key \"interlinkport\", the nearest known key is \"Interlinkport\""},
      {head + "CRI:\n  SocketPth: /x\n",
       "f:4: unknown key \"CRI.SocketPth\", the nearest known key is \"CRI.SocketPath\""},
      {head + "SocketPath: /x\n",
       "f:3: unknown key \"SocketPath\", the nearest known key is \"CRI.SocketPath\""},
      {head + "Cri: {}\n", "f:3: unknown key \"Cri\", the nearest known key is \"CRI\""},
      {head + "CRI: yes\n", "f:3: CRI must be a section: a map of keys and values"},
      {head + "CRI: [a]\n", "f:3: CRI must be a section: a map of keys and values"},
      {head + "CRI: {Enabled: yes}\n",
       "f:3: CRI.Enabled must be true or false (without quotes), it is \"yes\""},
      {head + "CRI: {Enabled: \"true\"}\n",
       "f:3: CRI.Enabled must be true or false (without quotes), it is \"true\""},
      {head + "CRI:\n  Enabled:\n",
       "f:4: CRI.Enabled must be true or false (without quotes), it is empty"},
      {head + "CRI: {RequestTimeout: 15}\n",
       "f:3: CRI.RequestTimeout must be a duration such as 15m, 1h30m or 250ms, from 1s to 24h, it "
       "is \"15\""},
      {head + "CRI: {RequestTimeout: 25h}\n",
       "f:3: CRI.RequestTimeout must be a duration such as 15m, 1h30m or 250ms, from 1s to 24h, it "
       "is \"25h\""},
      {head + "CRI: {RequestTimeout: [15m]}\n",
       "f:3: CRI.RequestTimeout must be a text, it is a list"},
      {head + "CRI: {SocketPath: tcp://1.2.3.4:5}\n",
       "f:3: CRI.SocketPath must be unix:///PATH with an absolute path of at most 107 bytes, it is "
       "\"tcp://1.2.3.4:5\""},
      {head + "CRI: {SocketPath: run/x.sock}\n",
       "f:3: CRI.SocketPath must be unix:///PATH with an absolute path of at most 107 bytes, it is "
       "\"run/x.sock\""},
      {head + "CRI: {RuntimeHandler: Inter_Link}\n",
       "f:3: CRI.RuntimeHandler must be a handler name: 1 to 63 lower-case letters, digits and "
       "\"-\", beginning and ending with a letter or digit"},
      {head + "Interlinkport: 0\n",
       "f:3: Interlinkport must be a port from 1 to 65535, it is \"0\""},
      {head + "Interlinkport: 65536\n",
       "f:3: Interlinkport must be a port from 1 to 65535, it is \"65536\""},
      {head + "Interlinkport: http\n",
       "f:3: Interlinkport must be a port from 1 to 65535, it is \"http\""},
      {head + "DataRootFolder: lib\n",
       "f:3: DataRootFolder must be an absolute path without \"..\", it is \"lib\""},
      {head + "DataRootFolder: /a/../b\n",
       "f:3: DataRootFolder must be an absolute path without \"..\", it is \"/a/../b\""},
      {head + "DataRootFolder: \"/a\\nb\"\n",
       "f:3: DataRootFolder must be one line without control characters, it is \"/a\\x0ab\""},
      {head + "VerboseLogging: true\nErrorsOnlyLogging: true\n",
       "f:4: ErrorsOnlyLogging and VerboseLogging must not both be true"},
      {head + "PluginConfig: [a]\n",
       "f:3: PluginConfig must be a map of upper-case names and texts or numbers, at most 32, it "
       "is a list"},
      {head + "PluginConfig:\n  DOCKER_REGISTRY: registry.example.org\n",
       "f:4: PluginConfig.DOCKER_REGISTRY is not taken from a node: the registry for image names "
       "without a host is Images.DefaultRegistry of interlink-api"},
      {head + "PluginConfig:\n  slurm_partition: gpu\n",
       "f:4: PluginConfig has the key \"slurm_partition\": keys must be an upper-case name: A to "
       "Z, then A to Z, 0 to 9 and \"_\", at most 64 characters"},
      {head + "PluginConfig:\n  " + std::string(65, 'A') + ": gpu\n",
       "f:4: PluginConfig has the key \"" + std::string(65, 'A') +
           "\": keys must be an upper-case name: A to Z, then A to Z, 0 to 9 and \"_\", at most "
           "64 characters"},
      {head + "PluginConfig:\n  SLURM_QOS:\n",
       "f:4: PluginConfig.SLURM_QOS must be a text or a number of 1 to 256 printable ASCII "
       "characters, it is empty"},
      {head + "PluginConfig:\n  SLURM_QOS: [a, b]\n",
       "f:4: PluginConfig.SLURM_QOS must be a text or a number of 1 to 256 printable ASCII "
       "characters, it is a list"},
      {head + "PluginConfig:\n  SLURM_QOS: true\n",
       "f:4: PluginConfig.SLURM_QOS must be a text or a number of 1 to 256 printable ASCII "
       "characters, true and false in quotes, it is \"true\""},
      {head + "PluginConfig:\n  SLURM_QOS: \"a\\tb\"\n",
       "f:4: PluginConfig.SLURM_QOS must be a text or a number of 1 to 256 printable ASCII "
       "characters, it is \"a\\x09b\""},
      {kTls,
       "f: InterlinkAddress must be set: the address of interlink-api, e.g. "
       "https://site.example.org"},
      {"InterlinkAddress: http://site\n",
       "f:1: InterlinkAddress must be https://: plain http is taken only for this machine "
       "(localhost, 127.0.0.1, [::1])"},
      {"InterlinkAddress: http://localhost.example.org\n",
       "f:1: InterlinkAddress must be https://: plain http is taken only for this machine "
       "(localhost, 127.0.0.1, [::1])"},
      {"InterlinkAddress: https://site/api\n",
       "f:1: InterlinkAddress must be https://HOST without a path, it is \"https://site/api\""},
      {"InterlinkAddress: https://site:1\nInterlinkport: 2\n" + kTls,
       "f:2: Interlinkport must not differ from the port in InterlinkAddress"},
      {"InterlinkAddress: http://127.0.0.1\nTLS: {Enabled: true}\n",
       "f:2: TLS.Enabled must be false with an InterlinkAddress of http://"},
      {no_tls + "TLS: {Enabled: true, CertFile: /c}\n",
       "f:2: TLS.CertFile needs the other one: TLS.CertFile and TLS.KeyFile are set together"},
      {no_tls + "TLS: {Enabled: true, KeyFile: /c}\n",
       "f:2: TLS.KeyFile needs the other one: TLS.CertFile and TLS.KeyFile are set together"},
      {no_tls + "TLS: {Enabled: true, CACertFile: /c}\n",
       "f: TLS.CertFile must be set, or Auth.OIDC or the environment variable VK_TOKEN_FILE: "
       "without a certificate or a token the site cannot know who asks"},
      {no_tls + "TLS: {Enabled: false}\n",
       "f:2: TLS.Enabled is false, so the environment variable VK_TOKEN_FILE must name a token "
       "file: without a certificate or a token the site cannot know who asks"},
      {no_tls + "TLS: {CertFile: c.crt}\n",
       "f:2: TLS.CertFile must be an absolute path without \"..\", it is \"c.crt\""},
  }));
  const Folder folder;
  const std::string file = folder.Write("f", text);

  const Status status = LoadCriConfig(file, {}).status();

  INFO(text);
  CHECK(status.code() == Code::kInvalidArgument);
  CHECK(folder.Short(status.message()) == message);
}

TEST_CASE("an address that is no URL is refused") {
  const std::string address = GENERATE("site", "ftp://site", "https://", "https://a b", "unix:///x",
                                       "https://u:p@site", "https://site:99999");
  const Folder folder;
  const std::string file = folder.Write("f", "InterlinkAddress: \"" + address + "\"\n" + kTls);
  const Status status = LoadCriConfig(file, {}).status();
  INFO(status.ToString());
  CHECK(
      folder.Short(status.message())
          .starts_with("f:1: InterlinkAddress must be https://HOST, it is \"" + address + "\": "));
}

}  // namespace
}  // namespace interlink::config
