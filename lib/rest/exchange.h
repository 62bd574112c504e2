// Internal: one request on its way through the edge, and how it is answered.
#ifndef INTERLINK_REST_EXCHANGE_H_
#define INTERLINK_REST_EXCHANGE_H_

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "base/call.h"
#include "net/http.h"
#include "rest/audit.h"
#include "rest/edge.h"
#include "site/site.h"
#include "wire/body.h"
#include "wire/routes.h"

namespace interlink::rest {

// Filled by Admit (admit.h) before a route sees it; constant afterwards.
struct Exchange {
  Exchange(std::shared_ptr<Edge::State> s, net::HttpRequest r, Call c)
      : state(std::move(s)), request(std::move(r)), call(std::move(c)) {
    if (state->ports.audit != nullptr) caller.ruling = std::make_shared<site::Ruling>();
  }

  const std::shared_ptr<Edge::State> state;  // owners: the edge and requests in progress
  net::HttpRequest request;
  Call call;
  wire::Routing routing;
  site::Caller caller;
  wire::Encoding body_encoding = wire::Encoding::kProtobuf;
  wire::Encoding answer_encoding = wire::Encoding::kJson;
  Duration wait = Duration::zero();  // Prefer: wait=N
  // Owners: all copies; they grow while the request is served.
  const std::shared_ptr<AuditNotes> notes = std::make_shared<AuditNotes>();

  site::Site& site() const { return state->ports.site; }
  const SandboxId& sandbox() const { return routing.path.sandbox; }
  const ContainerId& container() const { return routing.path.container; }
  // "" when the query has no such key.
  std::string QueryValue(std::string_view key) const;
};

// Owners: the request's coroutine and the domain's reply, which may come after the coroutine has
// given up.
using ExchangePtr = std::shared_ptr<const Exchange>;

// Completes the request: once, from any thread.
using Answer = std::function<void(net::HttpResponse)>;

// `http_status` 0: the one of the code.
net::HttpResponse ProblemAnswer(const Exchange& exchange, const Status& status,
                                int http_status = 0);
net::HttpResponse MessageAnswer(const Exchange& exchange, int http_status,
                                const google::protobuf::Message& message);
net::HttpResponse TextAnswer(int http_status, std::string text);

// Runs `work` where files may be read; a full queue is told to the caller.
void RunBlocking(const ExchangePtr& exchange, const Answer& answer,
                 std::function<net::HttpResponse()> work);

// The body as a message. kInvalidArgument.
template <typename Message>
Result<Message> ReadBody(const Exchange& exchange) {
  Message message;
  RETURN_IF_ERROR(wire::DecodeRequest(exchange.body_encoding, exchange.request.body, &message)
                      .WithContext("body"));
  Describe(message, *exchange.notes);
  return message;
}

// The same, as the protobuf bytes that the domain stores and compares: those that came, or of a
// JSON body in one fixed order.
template <typename Message>
Result<std::string> ReadBodyBytes(const Exchange& exchange) {
  ASSIGN_OR_RETURN(const Message message, ReadBody<Message>(exchange));
  if (exchange.body_encoding == wire::Encoding::kProtobuf) return exchange.request.body;
  return wire::EncodeDeterministic(message);
}

// Replies of the domain -> answers.
template <typename Message>
site::Reply<Message> MessageReply(ExchangePtr exchange, Answer answer) {
  return [exchange = std::move(exchange), answer = std::move(answer)](Result<Message> result) {
    answer(result.ok() ? MessageAnswer(*exchange, 200, *result)
                       : ProblemAnswer(*exchange, result.status()));
  };
}

// 200 when what was asked for is reached, else 202.
template <typename Record>
site::Reply<site::Answer<Record>> RecordReply(ExchangePtr exchange, Answer answer) {
  return [exchange = std::move(exchange),
          answer = std::move(answer)](Result<site::Answer<Record>> result) {
    answer(result.ok() ? MessageAnswer(*exchange, result->settled ? 200 : 202, result->record)
                       : ProblemAnswer(*exchange, result.status()));
  };
}

}  // namespace interlink::rest

#endif  // INTERLINK_REST_EXCHANGE_H_
