#include "site_client/requests.h"

#include <google/protobuf/message.h>

#include "wire/body.h"
#include "wire/headers.h"
#include "wire/media_type.h"
#include "wire/problem.h"

namespace interlink::site_client {
namespace {

// DESIGN 12.3: a step is one request of at most 10 s.
constexpr auto kStep = std::chrono::seconds(10);

}  // namespace

Requests::Requests(net::Io& io, Options options)
    : options_(std::move(options)),
      name_(options_.endpoint.Name()),
      http_(io, {.endpoint = options_.endpoint}) {}

void Requests::SetReachable(Status why_not) {
  const bool lost = !why_not.ok();
  std::function<void()> wake;
  {
    MutexLock lock(mutex_);
    unreachable_ = std::move(why_not);
    wake = on_reachable_;
  }
  if (lost) return http_.DropIdle();
  if (wake) wake();
}

void Requests::OnReachable(std::function<void()> wake) {
  MutexLock lock(mutex_);
  on_reachable_ = std::move(wake);
}

Status Requests::reachable() const {
  MutexLock lock(mutex_);
  return unreachable_;
}

Result<net::HttpRequest> Requests::Build(const Call& call, const Ask& ask) const {
  const wire::Target target = wire::MakeTarget(ask.route, ask.path, ask.query);
  net::HttpRequest request;
  request.method = std::string(target.method);
  request.target = target.target;
  request.headers.Add("Accept", std::string(wire::kMediaProtobuf));
  if (!ask.body.empty()) request.headers.Add("Content-Type", std::string(wire::kMediaProtobuf));
  request.headers.Add(std::string(wire::kHeaderTimeout), wire::FormatTimeout(call.remaining()));
  request.headers.Add(std::string(wire::kHeaderRequestId), call.request_id().str());
  if (!options_.user_agent.empty()) request.headers.Add("User-Agent", options_.user_agent);
  if (!call.traceparent().empty())
    request.headers.Add(std::string(wire::kHeaderTraceparent), call.traceparent());
  if (ask.link != 0) request.headers.Add(std::string(wire::kHeaderLink), std::to_string(ask.link));
  if (const std::string prefer = wire::FormatPreferWait(ask.wait); !prefer.empty()) {
    request.headers.Add(std::string(wire::kHeaderPrefer), prefer);
  }
  if (options_.token) {
    ASSIGN_OR_RETURN(const std::string token, options_.token());
    if (!token.empty()) request.headers.Add("Authorization", "Bearer " + token);
  }
  request.body = ask.body;
  return request;
}

Status Requests::Understand(const net::HttpResponse& response,
                            google::protobuf::Message* answer) const {
  const std::string type = response.headers.Get("Content-Type").value_or("");
  if (response.status < 200 || response.status > 299) {
    if (response.status == 401 && options_.token_refused) options_.token_refused();
    return wire::StatusOfAnswer(response.status, type, response.body);
  }
  if (answer == nullptr) return {};
  const auto encoding = wire::EncodingOfBody(type, !response.body.empty());
  Status status =
      encoding.ok() ? wire::Decode(*encoding, response.body, answer) : encoding.status();
  // An answer that makes no sense leaves it open what happened.
  if (!status.ok())
    return Unavailable("site " + name_ +
                       " gives an answer that cannot be understood: " + status.message());
  return {};
}

Status Requests::Send(const Call& call, const Ask& ask, google::protobuf::Message* answer,
                      bool always) {
  if (!always) RETURN_IF_ERROR(reachable());
  const Call capped = call.Capped(kStep);
  ASSIGN_OR_RETURN(net::HttpRequest request, Build(capped, ask));
  const auto response = http_.Do(capped, std::move(request));
  if (!response.ok()) {
    if (response.status().code() == Code::kCancelled) return response.status();
    // Whatever broke, it is unknown whether the site has acted.
    return Unavailable("site " + name_ + ": " + response.status().message());
  }
  return Understand(*response, answer);
}

void Requests::SendAsync(const Call& call, const Ask& ask,
                         std::function<void(Result<net::HttpResponse>)> reply) {
  if (const Status status = reachable(); !status.ok()) return reply(status);
  auto request = Build(call, ask);
  if (!request.ok()) return reply(request.status());
  // Not idempotent: never sent twice once a byte was written.
  http_.DoAsync(call, *std::move(request), false, std::move(reply));
}

}  // namespace interlink::site_client
