#include "rest/session_opening.h"

#include "base/metric_names.h"

namespace interlink::rest {
namespace {

constexpr auto kFirstMessage = std::chrono::seconds(10);
constexpr auto kLastMessage = std::chrono::seconds(2);

struct Opening {
  std::shared_ptr<net::WebSocket> socket;
  std::shared_ptr<net::Connection> end;
  std::shared_ptr<void> counted;
};

Result<interlink::v1::SessionRequest> Understand(const SessionRoute& route,
                                                 const std::optional<std::string>& message) {
  interlink::v1::SessionRequest request;
  if (!message || !request.ParseFromString(*message) || request.kind_case() != route.kind) {
    return InvalidArgument(std::string("the first message must be a SessionRequest with \"") +
                           route.name + "\"");
  }
  return request;
}

net::Awaitable<Status> Open(ExchangePtr exchange, const SessionRoute& route, Opening& opening) {
  const SteadyTime limit = std::chrono::steady_clock::now() + kFirstMessage;
  auto message = co_await opening.socket->Read(limit);
  if (!message.ok()) co_return message.status();
  const auto request = Understand(route, *message);
  if (!request.ok()) co_return request.status();
  Describe(*request, *exchange->notes);
  const std::function<void(std::function<void(Result<site::Session>)>)> start =
      [&exchange, &route, &request](std::function<void(Result<site::Session>)> reply) {
        route.open(*exchange, *request, std::move(reply));
      };
  const auto strand = opening.socket->connection().executor();
  auto session = co_await net::WaitFor<Result<site::Session>>(strand, start);
  if (!session.ok()) co_return session.status();
  auto end = net::Adopt(strand, std::move(session->fd));
  if (!end.ok()) co_return end.status();
  opening.end = *std::move(end);
  opening.counted = std::move(session->counted);
  co_return Status::Ok();
}

net::Awaitable<Status> AnswerOpening(std::shared_ptr<net::WebSocket> socket, Status status) {
  const SteadyTime limit = std::chrono::steady_clock::now() + kFirstMessage;
  interlink::v1::SessionAnswer answer;
  if (status.ok()) {
    answer.mutable_ready();
  } else {
    *answer.mutable_problem() = wire::ToProblem(status);
  }
  const std::string bytes = answer.SerializeAsString();
  const Status sent = co_await socket->Write(bytes, limit);
  if (status.ok() || !sent.ok()) co_return sent;
  // The node closes first, or has its time: our answer must not be lost with the connection.
  const SteadyTime soon = std::chrono::steady_clock::now() + kLastMessage;
  const Status closed = co_await socket->Close(net::WebSocket::kNormalClosure, "", soon);
  if (closed.ok()) {
    const auto ignored = co_await socket->Read(soon);
    static_cast<void>(ignored);
  }
  co_return status;
}

net::Awaitable<Status> Serve(ExchangePtr exchange, std::shared_ptr<net::Signal> signal,
                             std::shared_ptr<net::WebSocket> socket, const SessionRoute& route) {
  const SteadyTime begun = std::chrono::steady_clock::now();
  Opening opening;
  opening.socket = socket;
  const Status opened = co_await Open(exchange, route, opening);
  exchange->notes->Ended(opened);
  AuditAnswer(*exchange, opened.ok() ? 101 : wire::HttpStatusOf(opened.code()),
              std::chrono::steady_clock::now() - begun);
  const Status answered = co_await AnswerOpening(socket, opened);
  if (!answered.ok()) co_return answered;
  SessionPump::Parts parts{socket, std::move(opening.end), std::move(opening.counted), signal,
                           [state = exchange->state] { return state->Stopping(); }};
  const auto pump = std::make_shared<SessionPump>(route.carries, std::move(parts));
  const Status why = co_await pump->Run();
  AuditSessionEnd(*exchange, why, std::chrono::steady_clock::now() - begun);
  co_return why;
}

// Counts a session while it lives, from the upgrade on.
class SessionCount {
 public:
  SessionCount(std::shared_ptr<Edge::State> state, std::string route)
      : state_(std::move(state)), route_(std::move(route)) {
    Tell(Add(1));
  }
  ~SessionCount() { Tell(Add(-1)); }
  SessionCount(const SessionCount&) = delete;
  SessionCount& operator=(const SessionCount&) = delete;

 private:
  size_t Add(int by) {
    MutexLock lock(state_->mutex);
    return state_->sessions[route_] += static_cast<size_t>(by);
  }
  // Whoever is the last to tell has told what is so.
  void Tell(size_t count) {
    while (true) {
      state_->ports.metrics.Gauge(kMetricRestSessions, {{"route", route_}},
                                  static_cast<double>(count));
      const size_t now = Add(0);
      if (now == count) return;
      count = now;
    }
  }

  const std::shared_ptr<Edge::State> state_;  // owners: the edge and its requests
  const std::string route_;
};

}  // namespace

net::Awaitable<void> ServeSession(ExchangePtr exchange, std::shared_ptr<net::Signal> signal,
                                  net::Responder& responder, const SessionRoute& route) {
  Log& log = exchange->state->ports.log;
  const auto accept = net::WebSocket::Accept(exchange->request);
  if (!accept.ok()) {
    net::HttpResponse refusal = ProblemAnswer(*exchange, accept.status());
    AuditAnswer(*exchange, refusal.status, Duration::zero());
    const Status sent = co_await responder.Send(std::move(refusal));
    if (!sent.ok()) log.Debug("an answer did not reach its caller", {{"reason", sent.message()}});
    co_return;
  }
  std::string early;
  const std::shared_ptr<net::Connection> connection = responder.Hijack(&early);
  const std::string name(exchange->routing.entry->name);
  const SessionCount count(exchange->state, name);
  const SteadyTime begun = std::chrono::steady_clock::now();
  Status why = co_await connection->Write(*accept, begun + kFirstMessage);
  if (why.ok()) {
    auto socket = std::make_shared<net::WebSocket>(connection, std::move(early),
                                                   net::WebSocket::Role::kServer);
    why = co_await Serve(exchange, signal, std::move(socket), route);
  }
  exchange->state->ports.metrics.Count(kMetricRestRequests, {{"route", name}, {"status", "101"}},
                                       1);
  log.Info("a session has ended", {{"route", name},
                                   {"node", exchange->caller.node.str()},
                                   {"sandbox", exchange->sandbox().str()},
                                   {"container", exchange->container().str()},
                                   {"request", exchange->call.request_id().str()},
                                   {"reason", why.message()}});
}

}  // namespace interlink::rest
