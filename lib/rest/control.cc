// What a person does at the site, over the control socket. The answers of the domain are sentences.
#include "rest/routes.h"

namespace interlink::rest {
namespace {

site::Reply<std::string> TextReply(const ExchangePtr& exchange, Answer answer) {
  return [exchange, answer = std::move(answer)](const Result<std::string>& text) {
    answer(text.ok() ? TextAnswer(200, *text + "\n") : ProblemAnswer(*exchange, text.status()));
  };
}

}  // namespace

void ListNodes(const ExchangePtr& exchange, Answer answer) {
  answer(MessageAnswer(*exchange, 200, exchange->site().ListNodes()));
}

void Takeover(const ExchangePtr& exchange, Answer answer) {
  exchange->site().Takeover(exchange->call, NodeId(exchange->routing.path.node),
                            TextReply(exchange, std::move(answer)));
}

void DropNode(const ExchangePtr& exchange, Answer answer) {
  exchange->site().DropNode(exchange->call, NodeId(exchange->routing.path.node),
                            TextReply(exchange, std::move(answer)));
}

void ForgetDead(const ExchangePtr& exchange, Answer answer) {
  exchange->site().ForgetDead(exchange->call, exchange->routing.path.any_id,
                              TextReply(exchange, std::move(answer)));
}

void Reload(const ExchangePtr& exchange, Answer answer) {
  const auto& reload = exchange->state->ports.reload;
  if (!reload)
    return answer(ProblemAnswer(*exchange, Unimplemented("nothing can be reloaded here")));
  RunBlocking(exchange, answer, [exchange, &reload] {
    const auto text = reload();
    return text.ok() ? TextAnswer(200, *text) : ProblemAnswer(*exchange, text.status());
  });
}

}  // namespace interlink::rest
