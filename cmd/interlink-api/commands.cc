#include "commands.h"

#include <ctime>
#include <iostream>

#include "config/print.h"
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
  return ExitCodeOf(status);
}

// One request to the running daemon; prints its JSON answer.
int AskDaemon(const config::ApiConfig& config, wire::Route route,
              const wire::PathParameters& path) {
  net::Io io(1);
  const std::string socket = config.control_socket.empty()
                                 ? config.data_root_folder + "/control.sock"
                                 : config.control_socket;
  net::HttpClient client(io, {.endpoint = {.unix_path = socket}});
  const wire::Target target = wire::MakeTarget(route, path);
  net::HttpRequest request{.method = std::string(target.method), .target = target.target};
  request.headers.Add("Accept", std::string(wire::kMediaJson));
  const auto response = client.Do(Call::WithTimeout(kAsk), std::move(request), false);
  if (!response.ok())
    return Fail(Unavailable("is the daemon running? " + response.status().message()));
  if (response->status >= 200 && response->status < 300) {
    std::cout << response->body << "\n";
    return 0;
  }
  return Fail(wire::StatusOfAnswer(
      response->status, response->headers.Get("Content-Type").value_or(""), response->body));
}

}  // namespace

int ExitCodeOf(const Status& status) {
  switch (status.code()) {
    case Code::kOk:
      return 0;
    case Code::kInvalidArgument:
    case Code::kFailedPrecondition:
    case Code::kNotFound:
    case Code::kPermissionDenied:
    case Code::kUnauthenticated:
    case Code::kAlreadyExists:
      return 2;
    default:
      return 1;
  }
}

int PrintDefaults() {
  config::ApiConfig config;
  std::cout << config::PrintYaml(config::ApiKeys(&config),
                                 "interlink-api: every key with its default");
  return 0;
}

int PrintConfig(const config::ApiConfig& config) {
  config::ApiConfig copy = config;
  std::cout << config::PrintYaml(config::ApiKeys(&copy),
                                 "interlink-api: in force, from " + config.file);
  return 0;
}

int Check(const config::ApiConfig& config) {
  std::cout << "configuration " << config.file << " is valid\n";
  if (!config.tls.enabled) return 0;
  const auto tls = net::TlsContext::Server(config.tls.files, config.client_auth);
  if (!tls.ok()) return Fail(tls.status());
  constexpr int64_t kDay = 24 * 3600;
  const int64_t days = ((*tls)->not_after() - static_cast<int64_t>(std::time(nullptr))) / kDay;
  std::cout << "certificate " << config.tls.files.cert_file << " fits its key and is valid for "
            << days << " days\n";
  return 0;
}

int ListNodes(const config::ApiConfig& config) {
  return AskDaemon(config, wire::Route::kListNodes, {});
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

}  // namespace interlink::cmd_api
