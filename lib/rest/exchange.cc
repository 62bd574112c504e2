#include "rest/exchange.h"

#include "wire/headers.h"
#include "wire/media_type.h"
#include "wire/problem.h"

namespace interlink::rest {

std::string Exchange::QueryValue(std::string_view key) const {
  const auto it = routing.query.find(key);
  return it == routing.query.end() ? std::string() : it->second;
}

net::HttpResponse ProblemAnswer(const Exchange& exchange, const Status& status, int http_status) {
  exchange.notes->Ended(status);
  wire::Problem problem;
  problem.status = status;
  problem.http_status = http_status;
  problem.site = exchange.state->options.site;
  problem.request_id = exchange.call.request_id().str();
  net::HttpResponse response;
  response.status = http_status != 0 ? http_status : wire::HttpStatusOf(status.code());
  response.headers.Add("Content-Type", std::string(wire::kMediaProblem));
  response.headers.Add(std::string(wire::kHeaderRequestId), problem.request_id);
  if (response.status == 401) response.headers.Add("WWW-Authenticate", "Bearer");
  if (response.status == 429 || response.status == 503) response.headers.Add("Retry-After", "1");
  if (!exchange.routing.allow.empty()) response.headers.Add("Allow", exchange.routing.allow);
  response.body = wire::EncodeProblem(problem);
  return response;
}

net::HttpResponse MessageAnswer(const Exchange& exchange, int http_status,
                                const google::protobuf::Message& message) {
  auto body = wire::Encode(exchange.answer_encoding, message);
  if (!body.ok()) return ProblemAnswer(exchange, body.status());
  net::HttpResponse response;
  response.status = http_status;
  response.headers.Add("Content-Type", std::string(wire::MediaType(exchange.answer_encoding)));
  response.headers.Add(std::string(wire::kHeaderRequestId), exchange.call.request_id().str());
  response.body = *std::move(body);
  return response;
}

net::HttpResponse TextAnswer(int http_status, std::string text) {
  net::HttpResponse response;
  response.status = http_status;
  response.headers.Add("Content-Type", "text/plain; charset=utf-8");
  response.body = std::move(text);
  return response;
}

void RunBlocking(const ExchangePtr& exchange, const Answer& answer,
                 std::function<net::HttpResponse()> work) {
  const Status posted = exchange->state->blocking.Post(
      exchange->call.request_id().str(), [answer, work = std::move(work)] { answer(work()); });
  if (!posted.ok()) answer(ProblemAnswer(*exchange, posted));
}

}  // namespace interlink::rest
