// What a node asks about the site and itself.
#include "rest/routes.h"

namespace interlink::rest {

void Link(const ExchangePtr& exchange, Answer answer) {
  const auto request = ReadBody<interlink::v1::LinkRequest>(*exchange);
  if (!request.ok()) return answer(ProblemAnswer(*exchange, request.status()));
  exchange->site().Link(exchange->call, exchange->caller.node, *request,
                        MessageReply<interlink::v1::LinkResponse>(exchange, std::move(answer)));
}

void Info(const ExchangePtr& exchange, Answer answer) {
  answer(MessageAnswer(*exchange, 200, exchange->site().Info()));
}

void ShowStatus(const ExchangePtr& exchange, Answer answer) {
  answer(MessageAnswer(*exchange, 200, exchange->site().StatusFor(exchange->caller.node)));
}

void Stats(const ExchangePtr& exchange, Answer answer) {
  exchange->site().Stats(exchange->call, exchange->caller.node,
                         MessageReply<interlink::v1::StatsResponse>(exchange, std::move(answer)));
}

void PodMetrics(const ExchangePtr& exchange, Answer answer) {
  exchange->site().PodMetrics(
      exchange->caller.node,
      MessageReply<interlink::v1::PodMetricsResponse>(exchange, std::move(answer)));
}

}  // namespace interlink::rest
