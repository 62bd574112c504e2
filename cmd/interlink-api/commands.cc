#include "commands.h"

#include <algorithm>
#include <array>
#include <ctime>
#include <iostream>
#include <vector>

#include "config/print.h"
#include "daemon/exit_code.h"
#include "interlink/v1/link.pb.h"
#include "net/http_client.h"
#include "net/io.h"
#include "wire/body.h"
#include "wire/media_type.h"
#include "wire/problem.h"
#include "wire/routes.h"

namespace interlink::cmd_api {
namespace {

constexpr auto kAsk = std::chrono::seconds(30);

int Fail(const Status& status) {
  std::cerr << "interlink-api: " << status.message() << "\n";
  return cmd_daemon::ExitCodeOf(status);
}

// One request to the running daemon: its JSON answer.
Result<std::string> Ask(const config::ApiConfig& config, wire::Route route,
                        const wire::PathParameters& path) {
  net::Io io(1);
  net::HttpClient client(io, {.endpoint = {.unix_path = config.control_socket}});
  const wire::Target target = wire::MakeTarget(route, path);
  net::HttpRequest request{.method = std::string(target.method), .target = target.target};
  request.headers.Add("Accept", std::string(wire::kMediaJson));
  auto response = client.Do(Call::WithTimeout(kAsk), std::move(request), false);
  if (!response.ok()) return Unavailable("is the daemon running? " + response.status().message());
  if (response->status >= 200 && response->status < 300) return std::move(response->body);
  return wire::StatusOfAnswer(response->status, response->headers.Get("Content-Type").value_or(""),
                              response->body);
}

int AskDaemon(const config::ApiConfig& config, wire::Route route,
              const wire::PathParameters& path) {
  const auto answer = Ask(config, route, path);
  if (!answer.ok()) return Fail(answer.status());
  std::cout << *answer << "\n";
  return 0;
}

std::string Ago(int64_t time_ns) {
  if (time_ns == 0) return "never";
  const int64_t seconds =
      std::max<int64_t>(static_cast<int64_t>(std::time(nullptr)) - time_ns / 1'000'000'000, 0);
  if (seconds < 120) return std::to_string(seconds) + "s ago";
  if (seconds < 2 * 3600) return std::to_string(seconds / 60) + "m ago";
  if (seconds < 2 * kSecondsPerDay) return std::to_string(seconds / 3600) + "h ago";
  return std::to_string(seconds / kSecondsPerDay) + "d ago";
}

void PrintNodes(const interlink::v1::NodeList& list) {
  std::vector<std::array<std::string, 6>> rows = {
      {"NODE", "LINK", "SANDBOXES", "CONTAINERS", "SEEN", "NOTE"}};
  for (const auto& node : list.nodes()) {
    rows.push_back({node.node(), std::to_string(node.link()), std::to_string(node.sandboxes()),
                    std::to_string(node.containers()), Ago(node.last_seen_ns()),
                    node.takeover() ? "its next link is taken over" : ""});
  }
  std::array<size_t, 6> widths{};
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  for (const auto& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i)
      line += row[i] + std::string(widths[i] - row[i].size() + 2, ' ');
    line.erase(line.find_last_not_of(' ') + 1);
    std::cout << line << "\n";
  }
}

}  // namespace

int PrintDefaults() {
  config::ApiConfig config;
  std::cout << config::PrintYaml(config::ApiKeys(&config),
                                 "interlink-api: every key with its default");
  return 0;
}

int PrintReference() {
  std::cout << config::ApiReference();
  return 0;
}

int PrintConfig(const config::ApiConfig& config) {
  config::ApiConfig copy = config;
  std::cout << config::PrintYaml(config::ApiKeys(&copy),
                                 "interlink-api: in force, from " + config.file);
  return 0;
}

int ListNodes(const config::ApiConfig& config, bool json) {
  if (json) return AskDaemon(config, wire::Route::kListNodes, {});
  const auto answer = Ask(config, wire::Route::kListNodes, {});
  if (!answer.ok()) return Fail(answer.status());
  interlink::v1::NodeList list;
  const Status status = wire::Decode(wire::Encoding::kJson, *answer, &list);
  if (!status.ok()) return Fail(status.WithContext("the daemon's answer"));
  PrintNodes(list);
  return 0;
}
int Takeover(const config::ApiConfig& config, const std::string& node) {
  return AskDaemon(config, wire::Route::kTakeover, {.node = node});
}
int DropNode(const config::ApiConfig& config, const std::string& node) {
  return AskDaemon(config, wire::Route::kDropNode, {.node = node});
}
int ForgetDead(const config::ApiConfig& config, const std::string& id) {
  return AskDaemon(config, wire::Route::kForgetDead, {.any_id = id});
}

int Reload(const config::ApiConfig& config) {
  const auto answer = Ask(config, wire::Route::kReload, {});
  if (!answer.ok()) return Fail(answer.status());
  std::cout << *answer;
  return 0;
}

}  // namespace interlink::cmd_api
