#include "rest/routes.h"

namespace interlink::rest {
namespace {

using interlink::v1::SandboxRecord;

}  // namespace

void RunSandbox(const ExchangePtr& exchange, Answer answer) {
  const auto body = ReadBodyBytes<interlink::v1::RunSandboxRequest>(*exchange);
  if (!body.ok()) return answer(ProblemAnswer(*exchange, body.status()));
  exchange->site().RunSandbox(exchange->call, exchange->caller, exchange->sandbox(), *body,
                              exchange->wait,
                              RecordReply<SandboxRecord>(exchange, std::move(answer)));
}

void StopSandbox(const ExchangePtr& exchange, Answer answer) {
  const auto request = ReadBody<interlink::v1::StopSandboxRequest>(*exchange);
  if (!request.ok()) return answer(ProblemAnswer(*exchange, request.status()));
  exchange->site().StopSandbox(exchange->call, exchange->caller, exchange->sandbox(),
                               request->handler(), exchange->wait,
                               RecordReply<SandboxRecord>(exchange, std::move(answer)));
}

void RemoveSandbox(const ExchangePtr& exchange, Answer answer) {
  exchange->site().RemoveSandbox(exchange->call, exchange->caller, exchange->sandbox(),
                                 exchange->QueryValue("handler"), exchange->wait,
                                 RecordReply<SandboxRecord>(exchange, std::move(answer)));
}

void UpdateSandbox(const ExchangePtr& exchange, Answer answer) {
  const auto request = ReadBody<interlink::v1::UpdateSandboxRequest>(*exchange);
  if (!request.ok()) return answer(ProblemAnswer(*exchange, request.status()));
  exchange->site().UpdateSandbox(exchange->call, exchange->caller, exchange->sandbox(), *request,
                                 RecordReply<SandboxRecord>(exchange, std::move(answer)));
}

void GetSandbox(const ExchangePtr& exchange, Answer answer) {
  const auto verbose = wire::QueryFlag(exchange->routing.query, "verbose");
  if (!verbose.ok()) return answer(ProblemAnswer(*exchange, verbose.status()));
  if (*verbose) {
    return exchange->site().InspectSandbox(
        exchange->call, exchange->caller.node, exchange->sandbox(),
        MessageReply<interlink::v1::InspectResponse>(exchange, std::move(answer)));
  }
  MessageReply<SandboxRecord>(exchange, std::move(answer))(
      exchange->site().GetSandbox(exchange->caller.node, exchange->sandbox()));
}

void ListSandboxes(const ExchangePtr& exchange, Answer answer) {
  interlink::v1::SandboxList list;
  for (auto& record : exchange->site().ListSandboxes(exchange->caller.node))
    *list.add_sandboxes() = std::move(record);
  answer(MessageAnswer(*exchange, 200, list));
}

}  // namespace interlink::rest
