#include "site_client/sessions.h"

#include <boost/asio/post.hpp>

#include "site_client/session_wire.h"

namespace interlink::site_client {
namespace {

constexpr auto kOpen = std::chrono::seconds(30);

class SessionHandle final : public node::Session {
 public:
  explicit SessionHandle(std::shared_ptr<SessionWire> wire) : wire_(std::move(wire)) {}
  ~SessionHandle() override { wire_->Cancel(); }
  void Read(node::Reply<node::SessionOutput> reply) override { wire_->Read(std::move(reply)); }
  void Write(node::SessionInput input, std::function<void(Status)> done) override {
    wire_->Write(std::move(input), std::move(done));
  }
  void Cancel() override { wire_->Cancel(); }

 private:
  const std::shared_ptr<SessionWire> wire_;
};

// One opening. Owners: its coroutine and the call's registration.
struct Opening {
  Opening(std::shared_ptr<Requests> r, const Call& c, Ask a, boost::asio::any_io_executor s,
          node::Reply<node::SessionPtr> reply)
      : requests(std::move(r)),
        call(c.Capped(kOpen)),
        ask(std::move(a)),
        strand(std::move(s)),
        answer(std::move(reply)) {}

  const std::shared_ptr<Requests> requests;
  const Call call;
  const Ask ask;
  const boost::asio::any_io_executor strand;
  node::Answer<node::SessionPtr> answer;
  std::string first;                       // SessionRequest
  std::shared_ptr<net::WebSocket> socket;  // on the strand
  bool cancelled = false;                  // on the strand
};
using OpeningPtr = std::shared_ptr<Opening>;

Status Unknown(const Status& why) {
  if (why.code() == Code::kCancelled) return why;
  return Unavailable("connection lost, the command may still run: " + why.message());
}

// The answer as a status.
Status Understand(const Result<std::optional<std::string>>& message) {
  if (!message.ok()) return Unknown(message.status());
  interlink::v1::SessionAnswer answer;
  const bool known = message->has_value() && answer.ParseFromString(**message);
  if (!known || answer.kind_case() == interlink::v1::SessionAnswer::KIND_NOT_SET)
    return Unknown(Unavailable("the site gives no answer"));
  if (answer.kind_case() == interlink::v1::SessionAnswer::kReady) return {};
  const Status status = wire::FromProblem(answer.problem());
  // Of the opening, not of the command: nothing is said of that.
  return status.code() == Code::kDeadlineExceeded ? Unavailable(status.message()) : status;
}

net::Awaitable<Status> Open(OpeningPtr opening) {
  CO_RETURN_IF_ERROR(opening->requests->reachable());
  auto request = opening->requests->Build(opening->call, opening->ask);
  if (!request.ok()) co_return request.status();
  const std::string site = "site " + opening->requests->name() + ": ";
  auto upgraded = co_await opening->requests->http().Upgrade(opening->strand, *std::move(request),
                                                             opening->call.deadline());
  if (!upgraded.ok()) co_return Unavailable(site + upgraded.status().message());
  if (upgraded->socket == nullptr)
    co_return opening->requests->Understand(upgraded->refusal, nullptr);
  if (opening->cancelled) co_return CancelledError("the caller has gone");
  opening->socket = upgraded->socket;
  const Status sent = co_await opening->socket->Write(opening->first, opening->call.deadline());
  if (!sent.ok()) co_return Unknown(sent);
  const auto message = co_await opening->socket->Read(opening->call.deadline());
  co_return Understand(message);
}

net::Awaitable<void> OpenAndAnswer(OpeningPtr opening) {
  // The weak reference: what cancels the call must not keep what holds the call.
  const auto cancelled = opening->call.OnCancel([weak = std::weak_ptr<Opening>(opening)] {
    const OpeningPtr self = weak.lock();
    if (self == nullptr) return;
    boost::asio::post(self->strand, [self] {
      self->cancelled = true;
      if (self->socket != nullptr) self->socket->Cancel();
    });
    self->answer.Give(CancelledError("the caller has gone"));
  });
  const Status status = co_await Open(opening);
  if (!status.ok()) {
    opening->answer.Give(status);
    co_return;
  }
  const bool forward = opening->ask.route == wire::Route::kPortForward;
  const auto wire =
      std::make_shared<SessionWire>(opening->socket, forward, opening->requests->session_silence());
  opening->socket = nullptr;
  wire->Start();
  // A caller that has gone lets go of it, which ends it.
  opening->answer.Give(node::SessionPtr(std::make_shared<SessionHandle>(wire)));
}

}  // namespace

void OpenSession(net::Io& io, std::shared_ptr<Requests> requests, const Call& call, Ask ask,
                 const interlink::v1::SessionRequest& request,
                 node::Reply<node::SessionPtr> reply) {
  const auto strand = io.Strand();
  const auto opening = std::make_shared<Opening>(std::move(requests), call, std::move(ask), strand,
                                                 std::move(reply));
  opening->first = request.SerializeAsString();
  net::Io::Spawn(strand, OpenAndAnswer(opening));
}

}  // namespace interlink::site_client
