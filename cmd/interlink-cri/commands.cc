#include "commands.h"

#include <ctime>
#include <iostream>
#include <nlohmann/json.hpp>

#include "auth/token_source.h"
#include "base/clock.h"
#include "base/timer.h"
#include "config/print.h"
#include "daemon/exit_code.h"
#include "net/http_client.h"
#include "net/io.h"
#include "net/url.h"
#include "node/plugin_config.h"
#include "parts.h"
#include "site_client/site_client.h"
#include "telemetry/log.h"
#include "wire/problem.h"

namespace interlink::cmd_cri {
namespace {

constexpr auto kAsk = std::chrono::seconds(10);
constexpr int64_t kDay = 24 * 3600;

int Fail(const Status& status) {
  std::cerr << "interlink-cri: " << status.message() << "\n";
  return cmd_daemon::ExitCodeOf(status);
}

// One request to the running daemon.
int AskDaemon(const config::CriConfig& config, const std::string& method, const std::string& target,
              Duration timeout) {
  net::Io io(1);
  net::HttpClient client(io, {.endpoint = {.unix_path = config.socket_file}});
  const auto response =
      client.Do(Call::WithTimeout(timeout), {.method = method, .target = target}, false);
  if (!response.ok())
    return Fail(Unavailable("is the daemon running? " + response.status().message()));
  if (response->status != 200) {
    return Fail(wire::StatusOfAnswer(
        response->status, response->headers.Get("Content-Type").value_or(""), response->body));
  }
  std::cout << response->body;
  return 0;
}

// What becomes of PluginConfig at that site.
void ShowPluginConfig(const config::CriConfig& config, const interlink::v1::InfoResponse& info) {
  for (const auto& handler : info.handlers()) {
    std::string keys;
    for (const auto& [key, value] : node::OptionsFor(handler, config.plugin_config))
      keys += (keys.empty() ? "" : ", ") + key;
    if (!keys.empty())
      std::cout << "pods of handler \"" << handler.name() << "\" go with " << keys << "\n";
  }
  for (const std::string& key : node::UntakenKeys(info, config.plugin_config)) {
    std::cout << "warning: PluginConfig." << key
              << " has no effect: no handler of the site takes it\n";
  }
}

int CheckSite(const config::CriConfig& config, const net::Endpoint& endpoint) {
  const auto log = telemetry::OpenLog({.errors_only = true});
  Timer timer;
  net::Io io(1);
  const auto tokens = OpenTokens(config, io, timer, *log);
  if (!tokens.ok()) return Fail(tokens.status());
  site_client::Options options{.endpoint = endpoint};
  if (tokens->any()) options.token = [&tokens] { return tokens->Token(); };
  if (tokens->grant != nullptr) {
    const auto token = tokens->grant->Wait(std::chrono::steady_clock::now() + kAsk);
    if (!token.ok()) return Fail(token.status());
    std::cout << "the issuer gives a token to " << config.oidc.client_id << "\n";
  }
  const auto site = site_client::Create(io, std::move(options), *log);
  const auto info = site->Info(Call::WithTimeout(kAsk));
  if (!info.ok()) return Fail(info.status().WithContext("the site does not answer as it should"));
  std::cout << "site \"" << info->site() << "\" answers, version " << info->version() << "\n";
  if (!AreTestedTogether(info->version(), INTERLINK_VERSION)) {
    std::cout << "warning: this is version " << INTERLINK_VERSION
              << ": only equal major.minor versions are tested together, install the same release "
                 "on both sides\n";
  }
  for (const auto& handler : info->handlers()) {
    std::cout << "handler \"" << handler.name() << "\" by plugin \"" << handler.plugin() << "\""
              << (!handler.unavailable().empty() ? ": not available: " + handler.unavailable()
                  : handler.recovered()          ? ""
                                                 : ": being inventoried")
              << "\n";
  }
  ShowPluginConfig(config, *info);
  return 0;
}

// The daemon knows whether its link was refused, e.g. because another store uses the same identity.
// Asked only when the site has answered this command.
int CheckDaemon(const config::CriConfig& config) {
  net::Io io(1);
  net::HttpClient client(io, {.endpoint = {.unix_path = config.socket_file}});
  const auto response =
      client.Do(Call::WithTimeout(std::chrono::seconds(3)), {.method = "GET", .target = "/status"});
  if (!response.ok() || response->status != 200) {
    std::cout << "no daemon answers on " << config.socket_file
              << ": whether its link is accepted is not known\n";
    return 0;
  }
  const auto page = nlohmann::json::parse(response->body, nullptr, false);
  if (!page.is_object() || !page.contains("siteReachable"))
    return Fail(InternalError("the answer on " + config.socket_file + " is not a status"));
  if (page.value("siteReachable", false)) {
    std::cout << "the daemon on " << config.socket_file << " is linked with the site\n";
    return 0;
  }
  const std::string why = page.value("why", "");
  if (page.value("reason", "") == "LinkRefused")
    return Fail(FailedPrecondition("the site answers, but it refuses the daemon's link: " + why));
  return Fail(Unavailable("the site answers, but the daemon on " + config.socket_file +
                          " does not reach it now: " + why));
}

}  // namespace

int PrintDefaults() {
  config::CriConfig config;
  std::cout << config::PrintYaml(config::CriKeys(&config),
                                 "interlink-cri: every key with its default");
  return 0;
}

int PrintReference() {
  std::cout << config::CriReference();
  return 0;
}

int PrintConfig(const config::CriConfig& config) {
  config::CriConfig copy = config;
  std::cout << config::PrintYaml(config::CriKeys(&copy),
                                 "interlink-cri: in force, from " + config.file);
  return 0;
}

int Check(const config::CriConfig& config, bool online) {
  std::cout << "configuration " << config.file << " is valid\n";
  if (!config.cri.enabled)
    std::cout << "warning: CRI.Enabled is false: interlink-cri serve ends at once\n";
  const auto tls = SiteTls(config);
  if (!tls.ok()) return Fail(tls.status());
  if (*tls != nullptr && (*tls)->not_after() != 0) {
    const int64_t days = ((*tls)->not_after() - static_cast<int64_t>(std::time(nullptr))) / kDay;
    std::cout << "certificate " << config.tls.files.cert_file << " fits its key and is valid for "
              << days << " days\n";
    if (days < 14) std::cout << "warning: renew it soon\n";
  }
  if (!online) return 0;
  const int code = CheckSite(config, SiteEndpoint(config, *tls));
  return code != 0 ? code : CheckDaemon(config);
}

int ShowStatus(const config::CriConfig& config) {
  return AskDaemon(config, "GET", "/status", kAsk);
}

int Reload(const config::CriConfig& config) { return AskDaemon(config, "POST", "/reload", kAsk); }

int Wipe(const config::CriConfig& config, const std::string& forget_site) {
  const std::string target =
      forget_site.empty() ? "/wipe" : "/wipe?forget=" + net::PercentEncode(forget_site);
  return AskDaemon(config, "POST", target, std::chrono::minutes(5));
}

}  // namespace interlink::cmd_cri
