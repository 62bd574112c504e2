#include "rest/routes.h"

namespace interlink::rest {
namespace {

using interlink::v1::ContainerRecord;

}  // namespace

void CreateContainer(const ExchangePtr& exchange, Answer answer) {
  const auto body = ReadBodyBytes<interlink::v1::CreateContainerRequest>(*exchange);
  if (!body.ok()) return answer(ProblemAnswer(*exchange, body.status()));
  exchange->site().CreateContainer(exchange->call, exchange->caller, exchange->sandbox(),
                                   exchange->container(), *body, exchange->wait,
                                   RecordReply<ContainerRecord>(exchange, std::move(answer)));
}

void StartContainer(const ExchangePtr& exchange, Answer answer) {
  const auto request = ReadBody<interlink::v1::StartContainerRequest>(*exchange);
  if (!request.ok()) return answer(ProblemAnswer(*exchange, request.status()));
  exchange->site().StartContainer(exchange->call, exchange->caller, exchange->sandbox(),
                                  exchange->container(), request->handler(), exchange->wait,
                                  RecordReply<ContainerRecord>(exchange, std::move(answer)));
}

void StopContainer(const ExchangePtr& exchange, Answer answer) {
  const auto request = ReadBody<interlink::v1::StopContainerRequest>(*exchange);
  if (!request.ok()) return answer(ProblemAnswer(*exchange, request.status()));
  exchange->site().StopContainer(exchange->call, exchange->caller, exchange->sandbox(),
                                 exchange->container(), *request, exchange->wait,
                                 RecordReply<ContainerRecord>(exchange, std::move(answer)));
}

void RemoveContainer(const ExchangePtr& exchange, Answer answer) {
  exchange->site().RemoveContainer(exchange->call, exchange->caller, exchange->sandbox(),
                                   exchange->container(), exchange->QueryValue("handler"),
                                   exchange->wait,
                                   RecordReply<ContainerRecord>(exchange, std::move(answer)));
}

void UpdateContainer(const ExchangePtr& exchange, Answer answer) {
  const auto request = ReadBody<interlink::v1::UpdateContainerRequest>(*exchange);
  if (!request.ok()) return answer(ProblemAnswer(*exchange, request.status()));
  exchange->site().UpdateContainer(exchange->call, exchange->caller, exchange->sandbox(),
                                   exchange->container(), *request,
                                   RecordReply<ContainerRecord>(exchange, std::move(answer)));
}

void GetContainer(const ExchangePtr& exchange, Answer answer) {
  const auto verbose = wire::QueryFlag(exchange->routing.query, "verbose");
  if (!verbose.ok()) return answer(ProblemAnswer(*exchange, verbose.status()));
  if (*verbose) {
    return exchange->site().InspectContainer(
        exchange->call, exchange->caller.node, exchange->sandbox(), exchange->container(),
        MessageReply<interlink::v1::InspectResponse>(exchange, std::move(answer)));
  }
  MessageReply<ContainerRecord>(exchange, std::move(answer))(exchange->site().GetContainer(
      exchange->caller.node, exchange->sandbox(), exchange->container()));
}

void ExecSync(const ExchangePtr& exchange, Answer answer) {
  const auto request = ReadBody<interlink::v1::ExecSyncRequest>(*exchange);
  if (!request.ok()) return answer(ProblemAnswer(*exchange, request.status()));
  exchange->site().ExecSync(
      exchange->call, exchange->caller, exchange->sandbox(), exchange->container(), *request,
      MessageReply<interlink::v1::ExecSyncResponse>(exchange, std::move(answer)));
}

}  // namespace interlink::rest
