#include "rest/rest.h"

#include <algorithm>
#include <boost/asio/this_coro.hpp>

#include "base/metric_names.h"
#include "rest/admit.h"
#include "rest/routes.h"
#include "wire/media_type.h"
#include "wire/problem.h"

namespace interlink::rest {
namespace {

using wire::Route;

// The domain answers by the call's deadline; after this much more it is taken for lost.
constexpr auto kPatience = std::chrono::seconds(5);
// How long requests that are told to end may take for it.
constexpr auto kEnding = std::chrono::seconds(5);
constexpr auto kFarewell = std::chrono::seconds(1);
constexpr int kForbidden = 403;
constexpr int kTooManyRequests = 429;

net::Awaitable<net::HttpResponse> WaitAnswer(ExchangePtr exchange, RouteFunction function,
                                             std::shared_ptr<net::Signal> signal) {
  struct Slot {
    Mutex mutex;
    std::optional<net::HttpResponse> response GUARDED_BY(mutex);

    std::optional<net::HttpResponse> Take() {
      MutexLock lock(mutex);
      return std::exchange(response, std::nullopt);
    }
  };
  auto slot = std::make_shared<Slot>();  // owners: this coroutine and the answer
  function(exchange, [slot, signal](net::HttpResponse response) {
    {
      MutexLock lock(slot->mutex);
      slot->response = std::move(response);
    }
    signal->Set();
  });
  const SteadyTime limit = exchange->call.deadline() + kPatience;
  while (true) {
    if (auto response = slot->Take()) co_return *std::move(response);
    if (exchange->state->Ended()) {
      co_return ProblemAnswer(
          *exchange, Unavailable("the site is shutting down: what was asked for may still happen"));
    }
    if (std::chrono::steady_clock::now() >= limit) {
      co_return ProblemAnswer(
          *exchange, Unavailable("no answer in time: what was asked for may still happen"));
    }
    co_await signal->Wait(limit);
  }
}

net::Awaitable<void> Send(ExchangePtr exchange, net::Responder& responder,
                          net::HttpResponse response, SteadyTime begun) {
  const Edge::State& state = *exchange->state;
  const wire::RouteEntry* entry = exchange->routing.entry;
  const std::string route(entry != nullptr ? entry->name : "none");
  const MetricLabels labels = {{"route", route}, {"status", std::to_string(response.status)}};
  state.ports.metrics.Count(kMetricRestRequests, labels, 1);
  const Duration took = std::chrono::steady_clock::now() - begun;
  const std::chrono::duration<double> seconds = took;
  AuditAnswer(*exchange, response.status, took);
  if (response.status == kForbidden) {
    state.ports.log.Info("a request was denied", {{"route", route},
                                                  {"node", exchange->caller.node.str()},
                                                  {"request", exchange->call.request_id().str()},
                                                  {"why", exchange->notes->status().message()}});
  }
  state.ports.metrics.Observe(kMetricRestSeconds, {{"route", route}}, seconds.count());
  if (state.ports.log.Enabled(LogLevel::kDebug)) {
    state.ports.log.Debug("request answered", {{"route", route},
                                               {"status", std::to_string(response.status)},
                                               {"node", exchange->caller.node.str()},
                                               {"request", exchange->call.request_id().str()}});
  }
  const Status sent = co_await responder.Send(std::move(response));
  if (!sent.ok()) {
    state.ports.log.Debug("an answer did not reach its caller",
                          {{"route", route}, {"reason", sent.message()}});
  }
}

// In time, the same request goes through: for a node it is a site that cannot be asked just now,
// not a refusal, which would make it give up what the site may have long since.
net::HttpResponse TooMany(const Exchange& exchange, const std::string& why, Duration wait) {
  net::HttpResponse response = ProblemAnswer(exchange, Unavailable(why), kTooManyRequests);
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(wait).count();
  response.headers.Set("Retry-After", std::to_string(std::max<int64_t>(1, seconds)));
  return response;
}

// Why a request that was admitted is not begun; nothing: it is.
std::optional<net::HttpResponse> CheckLoad(const Exchange& exchange, const Running& running) {
  Edge::State& state = *exchange.state;
  const wire::RouteEntry& entry = *exchange.routing.entry;
  if (state.Stopping() && entry.access != wire::Access::kOpen)
    return ProblemAnswer(exchange, Unavailable("the site is shutting down"));
  if (IsLimited(entry.route) && running.count() > state.options.max_requests_per_node) {
    return TooMany(exchange,
                   "node \"" + exchange.caller.node.str() + "\" has " +
                       std::to_string(state.options.max_requests_per_node) +
                       " requests in progress already",
                   std::chrono::seconds(1));
  }
  if (!BeginsSomething(entry.route)) return std::nullopt;
  if (state.ports.throttle) {
    if (const auto throttled = state.ports.throttle(exchange.caller, exchange.request.body.size()))
      return TooMany(exchange, throttled->why, throttled->wait);
  }
  if (state.ports.audit != nullptr) {
    if (const Status status = state.ports.audit->MayBegin(); !status.ok())
      return ProblemAnswer(exchange, status);
  }
  return std::nullopt;
}

net::Awaitable<void> Handle(std::shared_ptr<Edge::State> state, Face face, net::HttpRequest request,
                            net::Responder& responder) {
  const SteadyTime begun = std::chrono::steady_clock::now();
  const Call call = CallOf(request);
  auto exchange = std::make_shared<Exchange>(state, std::move(request), call);
  if (auto refusal = Admit(face, *exchange)) {
    co_await Send(exchange, responder, *std::move(refusal), begun);
    co_return;
  }
  const wire::RouteEntry& entry = *exchange->routing.entry;
  const bool stream = entry.kind == wire::Kind::kStream || entry.kind == wire::Kind::kWebSocket;
  auto signal = std::make_shared<net::Signal>(co_await boost::asio::this_coro::executor);
  const Running running(state, exchange->caller.node, signal, stream);
  if (auto refusal = CheckLoad(*exchange, running)) {
    co_await Send(exchange, responder, *std::move(refusal), begun);
    co_return;
  }
  const StreamFunction serve = StreamOf(entry.route);
  if (serve != nullptr) co_return co_await serve(exchange, signal, responder);
  const RouteFunction function = FunctionOf(entry.route);
  if (function == nullptr) {
    const Status status =
        Unimplemented(std::string(entry.name) + " is not built in this version of interlink-api");
    co_await Send(exchange, responder, ProblemAnswer(*exchange, status), begun);
    co_return;
  }
  // The caller's end kills the command.
  if (entry.route == Route::kExecSync)
    responder.WatchPeer([waited = exchange->call] { waited.Cancel(); });
  net::HttpResponse response = co_await WaitAnswer(exchange, function, signal);
  co_await Send(exchange, responder, std::move(response), begun);
}

// Errors that the HTTP server itself answers, before there is a request.
net::HttpResponse ErrorPage(const std::string& site, int http_status, const std::string& text) {
  wire::Problem problem;
  // In time the same request goes through.
  const bool later = http_status == 408 || http_status == kTooManyRequests;
  problem.status = later                ? Unavailable(text)
                   : http_status == 500 ? InternalError(text)
                                        : InvalidArgument(text);
  problem.http_status = http_status;
  problem.site = site;
  problem.request_id = MintRequestId().str();
  net::HttpResponse response;
  response.status = http_status;
  response.headers.Add("Content-Type", std::string(wire::kMediaProblem));
  response.body = wire::EncodeProblem(problem);
  return response;
}

}  // namespace

Edge::Edge(Options options, Ports ports)
    : state_(std::make_shared<State>(std::move(options), ports)) {}

Edge::~Edge() { Stop(Duration::zero()); }

void Edge::Serve(std::unique_ptr<net::Listener> listener, Face face) {
  net::HttpServerOptions options;
  options.max_connections = state_->options.max_connections;
  options.max_connections_per_peer = state_->options.max_connections_per_node;
  options.error_page = [site = state_->options.site](int status, const std::string& text) {
    return ErrorPage(site, status, text);
  };
  options.on_handshake_error = [&log = state_->ports.log](const net::Peer&, const Status& why) {
    log.Info("a client did not get through the TLS handshake", {{"reason", why.message()}});
  };
  auto server = std::make_unique<net::HttpServer>(
      state_->ports.io, std::move(listener), std::move(options),
      [state = state_, face](net::HttpRequest request, net::Responder& responder) {
        return Handle(state, face, std::move(request), responder);
      });
  server->Start();
  MutexLock lock(state_->mutex);
  state_->servers.push_back(std::move(server));
}

void Edge::Stop(Duration grace) {
  const SteadyTime deadline = std::chrono::steady_clock::now() + grace;
  std::vector<std::unique_ptr<net::HttpServer>> servers;
  const auto end = [this](bool all) {
    std::vector<std::shared_ptr<net::Signal>> signals;
    {
      MutexLock lock(state_->mutex);
      state_->stopping = true;
      state_->ended = state_->ended || all;
      for (const State::Running& running : state_->running) {
        if (running.stream || all) signals.push_back(running.signal);
      }
    }
    for (const auto& signal : signals) signal->Set();
  };
  const auto wait = [this](SteadyTime until) {
    MutexLock lock(state_->mutex);
    return state_->idle.WaitUntil(state_->mutex, until,
                                  [this]() NO_LOCK_ANALYSIS { return state_->running.empty(); });
  };
  end(false);
  wait(deadline);
  end(true);
  {
    MutexLock lock(state_->mutex);
    servers.swap(state_->servers);
  }
  // What was told to end now gets its answer out before its connection is closed.
  for (const auto& server : servers) server->Stop(kFarewell);
  if (!wait(std::chrono::steady_clock::now() + kEnding))
    state_->ports.log.Error("requests did not end in time");
  state_->blocking.Stop(Duration::zero());
}

}  // namespace interlink::rest
