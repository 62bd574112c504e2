#include "rest/admit.h"

#include <algorithm>

#include "wire/headers.h"
#include "wire/media_type.h"

namespace interlink::rest {
namespace {

using wire::Route;

// For callers that do not say how long they wait.
constexpr auto kDefaultTimeout = std::chrono::seconds(30);
// No request but exec-sync waits longer for the domain; the rest comes as events.
constexpr auto kMaxTimeout = std::chrono::seconds(60);

std::string HeaderOf(const net::HttpRequest& request, std::string_view name) {
  return request.headers.Get(name).value_or("");
}

bool TakesBody(const net::HttpRequest& request) {
  return request.method == "PUT" || request.method == "POST";
}

Status Identify(Face face, Exchange& exchange) {
  const wire::Access access = exchange.routing.entry->access;
  if (access == wire::Access::kOpen || access == wire::Access::kLocal) return {};
  if (access == wire::Access::kOperator && face == Face::kOperator) return {};
  const net::HttpRequest& request = exchange.request;
  const auth::Authenticator& authenticator = exchange.state->ports.authenticator;
  ASSIGN_OR_RETURN(const auth::Identity identity,
                   authenticator.Authenticate(request.peer, request.headers.Get("Authorization")));
  exchange.caller.node = identity.node;
  if (identity.by_token) {
    const auth::TokenIdentity& token = identity.token;
    exchange.caller.token = std::make_shared<const site::TokenClaims>(
        site::TokenClaims{token.issuer, token.subject, token.tenant, token.groups});
  }
  return authenticator.CheckDenied(identity);
}

Status ReadHeaders(Exchange& exchange) {
  const net::HttpRequest& request = exchange.request;
  ASSIGN_OR_RETURN(const auto timeout, wire::ParseTimeout(HeaderOf(request, wire::kHeaderTimeout)));
  if (timeout && *timeout == std::chrono::milliseconds::zero())
    return DeadlineExceeded("the caller does not wait any more");
  ASSIGN_OR_RETURN(const auto link, wire::ParseLink(HeaderOf(request, wire::kHeaderLink)));
  exchange.caller.link = link.value_or(0);
  exchange.wait = wire::ParsePreferWait(HeaderOf(request, wire::kHeaderPrefer));
  if (!TakesBody(request) && !request.body.empty())
    return InvalidArgument("a " + request.method + " request has no body here");
  return {};
}

}  // namespace

Call CallOf(const net::HttpRequest& request) {
  const std::string id = HeaderOf(request, wire::kHeaderRequestId);
  const std::string trace = HeaderOf(request, wire::kHeaderTraceparent);
  const auto timeout = wire::ParseTimeout(HeaderOf(request, wire::kHeaderTimeout));
  Duration limit = kDefaultTimeout;
  if (timeout.ok() && *timeout) limit = **timeout;
  return Call(std::chrono::steady_clock::now() + limit,
              wire::IsRequestId(id) ? RequestId(id) : MintRequestId(),
              wire::IsTraceparent(trace) ? trace : "");
}

std::optional<net::HttpResponse> Admit(Face face, Exchange& exchange) {
  const net::HttpRequest& request = exchange.request;
  const bool head = request.method == "HEAD";
  exchange.routing =
      wire::MatchRoute(face == Face::kControl ? wire::Listener::kControl : wire::Listener::kSite,
                       head ? "GET" : request.method, request.target);
  const wire::Routing& routing = exchange.routing;
  if (routing.entry == nullptr) return ProblemAnswer(exchange, routing.why, routing.http_status);
  if (head && routing.entry->kind != wire::Kind::kAnswer)
    return ProblemAnswer(exchange, Unimplemented("this route has no HEAD"), 405);
  if (const Status status = Identify(face, exchange); !status.ok())
    return ProblemAnswer(exchange, status);
  if (const Status status = ReadHeaders(exchange); !status.ok())
    return ProblemAnswer(exchange, status);
  if (routing.entry->route != Route::kExecSync) exchange.call = exchange.call.Capped(kMaxTimeout);

  // Health checks and scrapers say what they like in Accept; their answers are plain text.
  if (routing.entry->access == wire::Access::kOpen || routing.entry->route == Route::kMetrics)
    return std::nullopt;
  const std::string type = HeaderOf(request, "Content-Type");
  if (TakesBody(request)) {
    const auto encoding = wire::EncodingOfBody(type, !request.body.empty());
    if (!encoding.ok()) return ProblemAnswer(exchange, encoding.status(), 415);
    exchange.body_encoding = *encoding;
  }
  const bool has_protobuf = !type.empty() && exchange.body_encoding == wire::Encoding::kProtobuf;
  const auto accepted =
      wire::EncodingOfAnswer(HeaderOf(request, "Accept"),
                             has_protobuf ? wire::Encoding::kProtobuf : wire::Encoding::kJson);
  if (!accepted.ok()) return ProblemAnswer(exchange, accepted.status(), 406);
  exchange.answer_encoding = *accepted;
  return std::nullopt;
}

Running::Running(std::shared_ptr<Edge::State> state, NodeId node,
                 std::shared_ptr<net::Signal> signal, bool stream)
    : state_(std::move(state)), node_(std::move(node)) {
  MutexLock lock(state_->mutex);
  position_ = state_->running.insert(state_->running.end(), {std::move(signal), stream});
  count_ = ++state_->in_progress[node_];
}

Running::~Running() {
  MutexLock lock(state_->mutex);
  state_->running.erase(position_);
  const auto it = state_->in_progress.find(node_);
  if (--it->second == 0) state_->in_progress.erase(it);
  if (state_->running.empty()) state_->idle.NotifyAll();
}

bool IsLimited(Route route) {
  constexpr Route kNever[] = {Route::kHealthz,       Route::kReadyz,
                              Route::kPing,          Route::kLink,
                              Route::kEvents,        Route::kLogs,
                              Route::kStopSandbox,   Route::kRemoveSandbox,
                              Route::kStopContainer, Route::kRemoveContainer,
                              Route::kCancelPull};
  return std::find(std::begin(kNever), std::end(kNever), route) == std::end(kNever);
}

}  // namespace interlink::rest
