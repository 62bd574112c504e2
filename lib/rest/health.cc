// Health checks and metrics. The first three need no identity and reveal nothing.
#include "rest/routes.h"

namespace interlink::rest {

void Healthz(const ExchangePtr&, Answer answer) { answer(TextAnswer(200, "ok\n")); }

void Readyz(const ExchangePtr& exchange, Answer answer) {
  const bool ready = exchange->site().Ready() && !exchange->state->Stopping();
  answer(ready ? TextAnswer(200, "ok\n") : TextAnswer(503, "not ready\n"));
}

void Ping(const ExchangePtr&, Answer answer) { answer(TextAnswer(200, "ok\n")); }

void Metrics(const ExchangePtr& exchange, Answer answer) {
  net::HttpResponse response = TextAnswer(200, exchange->state->ports.metrics_text());
  response.headers.Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8");
  answer(std::move(response));
}

}  // namespace interlink::rest
