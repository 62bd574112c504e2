#include "cri/http.h"

#include <nlohmann/json.hpp>

#include "base/step_pool.h"
#include "net/reply_wait.h"
#include "net/url.h"
#include "wire/problem.h"

namespace interlink::cri {
namespace {

using net::Awaitable;
using net::HttpRequest;
using net::HttpResponse;

constexpr auto kWipe = std::chrono::minutes(5);
constexpr size_t kMaxWaiting = 16;

HttpResponse Text(int status, std::string body, const char* type = "text/plain; charset=utf-8") {
  HttpResponse response;
  response.status = status;
  response.headers.Add("Content-Type", type);
  response.body = std::move(body);
  return response;
}

HttpResponse Problem(const Status& status) {
  return Text(wire::HttpStatusOf(status.code()), wire::EncodeProblem({.status = status}),
              "application/problem+json");
}

// Why the site cannot be used, as a word for programs: the reason of the CRI condition.
std::string ReasonOf(node::Node& node) {
  const auto status = node.runtime().GetStatus(false);
  for (const auto& condition : status.status().conditions()) {
    if (condition.type() == "SiteReachable") return condition.reason();
  }
  return "";
}

HttpResponse StatusPage(node::Node& node) {
  const node::NodeSummary summary = node.Summary();
  nlohmann::json waiting = nlohmann::json::array();
  for (const auto& pod : summary.first_waiting) {
    waiting.push_back({{"pod", pod.pod}, {"sandbox", pod.sandbox}, {"why", pod.why}});
  }
  const nlohmann::json page = {
      {"site", summary.site_name},
      {"siteSeen", summary.site_seen},
      {"siteReachable", summary.reachable.ok()},
      {"reason", ReasonOf(node)},
      {"why", summary.reachable.message()},
      {"siteLineage", summary.site_lineage},
      {"link", summary.link},
      {"sandboxes", summary.sandboxes},
      {"containers", summary.containers},
      {"liveSandboxes", summary.live_sandboxes},
      {"waitingCalls", summary.parked},
      {"waitingPods", summary.waiting},
      {"firstWaitingPods", std::move(waiting)},
  };
  return Text(200, page.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n",
              "application/json");
}

Awaitable<HttpResponse> Wipe(node::Node& node, std::string forget,
                             boost::asio::any_io_executor executor) {
  const Call call = Call::WithTimeout(kWipe);
  const auto start = [&](node::Reply<std::string> reply) {
    node.Wipe(call, forget, std::move(reply));
  };
  auto done = co_await net::WaitFor<Result<std::string>>(executor, start);
  if (!done.ok()) co_return Problem(done.status());
  co_return Text(200, *done + "\n");
}

struct Pages {
  explicit Pages(HttpPorts given)
      : node(given.node), metrics(std::move(given.metrics)), reload(std::move(given.reload)) {}

  node::Node& node;
  const std::function<std::string()> metrics;
  const std::function<Result<std::string>()> reload;
  mutable StepPool blocking{"http", 1, kMaxWaiting};

  Awaitable<HttpResponse> Reload(boost::asio::any_io_executor executor) const {
    const auto start = [this](std::function<void(Result<std::string>)> reply) {
      const Status posted = blocking.Post("reload", [this, reply] { reply(reload()); });
      if (!posted.ok()) reply(posted);
    };
    auto done = co_await net::WaitFor<Result<std::string>>(executor, start);
    if (!done.ok()) co_return Problem(done.status());
    co_return Text(200, *done);
  }

  Awaitable<HttpResponse> Answer(const HttpRequest& request,
                                 boost::asio::any_io_executor executor) const {
    const auto target = net::ParseTarget(request.target);
    if (!target.ok()) co_return Problem(target.status());
    const bool get = request.method == "GET" || request.method == "HEAD";
    const bool post = request.method == "POST";
    const std::string& path = target->path;
    if (path == "/healthz" && (get || post)) co_return Text(200, "ok\n");
    if (path == "/readyz" && (get || post)) {
      const auto summary = node.Summary();
      if (!summary.site_seen)
        co_return Text(503, "the site has never been seen: " + summary.reachable.message() + "\n");
      if (!summary.listed.ok()) co_return Text(503, summary.listed.message() + "\n");
      co_return Text(200, "ok\n");
    }
    if (path == "/metrics" && get) co_return Text(200, metrics(), "text/plain; version=0.0.4");
    if (path == "/status" && get) co_return StatusPage(node);
    if (path == "/wipe" && post) {
      // Found before the co_await: GCC 12 destroys the temporary of a conditional expression inside
      // one twice.
      std::string forget;
      if (const auto given = target->query.find("forget"); given != target->query.end())
        forget = given->second;
      co_return co_await Wipe(node, forget, executor);
    }
    if (path == "/reload" && post) co_return co_await Reload(executor);
    const bool known = path == "/healthz" || path == "/readyz" || path == "/metrics" ||
                       path == "/status" || path == "/wipe" || path == "/reload";
    if (known) co_return Text(405, "method " + request.method + " is not for " + path + "\n");
    co_return Text(404, "this is the CRI socket: gRPC, and /healthz /readyz /metrics /status\n");
  }
};

Awaitable<void> Serve(const Pages& pages, HttpRequest request, net::Responder& responder) {
  const auto executor = co_await boost::asio::this_coro::executor;
  HttpResponse response = co_await pages.Answer(request, executor);
  // A client that left before its answer is no error of ours.
  const Status sent = co_await responder.Send(std::move(response));
  if (!sent.ok()) co_return;
}

}  // namespace

net::HttpHandler HttpOf(HttpPorts ports) {
  // Owners: every copy of the handler.
  auto pages = std::make_shared<const Pages>(std::move(ports));
  return [pages](HttpRequest request, net::Responder& responder) {
    return Serve(*pages, std::move(request), responder);
  };
}

}  // namespace interlink::cri
