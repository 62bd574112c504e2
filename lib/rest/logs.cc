// GET /v1/logs: the upgrade to a WebSocket; a new one of the same node ends the older.
#include "rest/log_session.h"
#include "rest/routes.h"

namespace interlink::rest {
namespace {

constexpr auto kUpgrade = std::chrono::seconds(10);

// The session that is in force now; the older one is ended.
void Replace(const ExchangePtr& exchange, const std::shared_ptr<LogSession>& session) {
  Edge::State& state = *exchange->state;
  std::shared_ptr<LogSession> old;
  {
    MutexLock lock(state.mutex);
    auto& slot = state.logs[exchange->caller.node];
    old = slot.lock();
    slot = session;
  }
  if (old != nullptr) old->Cancel();
}

void Forget(const ExchangePtr& exchange) {
  Edge::State& state = *exchange->state;
  MutexLock lock(state.mutex);
  const auto it = state.logs.find(exchange->caller.node);
  if (it != state.logs.end() && it->second.expired()) state.logs.erase(it);
}

}  // namespace

net::Awaitable<void> ServeLogs(ExchangePtr exchange, std::shared_ptr<net::Signal> signal,
                               net::Responder& responder) {
  Log& log = exchange->state->ports.log;
  const auto accept = net::WebSocket::Accept(exchange->request);
  if (!accept.ok()) {
    const Status sent = co_await responder.Send(ProblemAnswer(*exchange, accept.status()));
    if (!sent.ok()) log.Debug("an answer did not reach its caller", {{"reason", sent.message()}});
    co_return;
  }
  std::string early;
  const std::shared_ptr<net::Connection> connection = responder.Hijack(&early);
  Status why = co_await connection->Write(*accept, std::chrono::steady_clock::now() + kUpgrade);
  if (why.ok()) {
    auto socket = std::make_shared<net::WebSocket>(connection, std::move(early),
                                                   net::WebSocket::Role::kServer);
    auto session = std::make_shared<LogSession>(exchange, std::move(socket), signal);
    Replace(exchange, session);
    why = co_await session->Run();
    session.reset();
    Forget(exchange);
  }
  log.Info("a log stream has ended",
           {{"node", exchange->caller.node.str()}, {"reason", why.message()}});
}

}  // namespace interlink::rest
