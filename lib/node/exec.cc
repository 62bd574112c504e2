// Exec, and the opening of a session, which attach shares.
#include "node/calls.h"
#include "node/limits.h"
#include "node/views.h"

namespace interlink::node {

Status LiveNode::SessionCalls::CheckStreams(bool in, bool out, bool err, bool tty) {
  // CRI: ExecRequest, AttachRequest.
  if (!in && !out && !err)
    return InvalidArgument("one of stdin, stdout and stderr must be asked for");
  if (tty && err)
    return InvalidArgument("a terminal has no stderr: its output is stdout, leave stderr false");
  return {};
}

Result<const Container*> LiveNode::SessionCalls::FindRunningLocked(const std::string& id) const {
  const auto resolved = node_.tables_.ResolveContainer(id);
  if (!resolved.ok()) {
    if (resolved.status().code() == Code::kNotFound) RETURN_IF_ERROR(node_.ListsReadyLocked());
    return resolved.status();
  }
  const Container& container = *node_.tables_.Find(*resolved);
  if (container.shown != runtime::v1::CONTAINER_RUNNING ||
      container.stored.fact().seen() != interlink::v1::SEEN_UP) {
    return FailedPrecondition("container \"" + resolved->str() + "\" is not running");
  }
  RETURN_IF_ERROR(node_.ReachableLocked());
  return &container;
}

Result<runtime::v1::ExecResponse> LiveNode::SessionCalls::Exec(
    const runtime::v1::ExecRequest& request) {
  RETURN_IF_ERROR(CheckStreams(request.stdin(), request.stdout(), request.stderr(), request.tty()));
  if (request.cmd().empty()) return InvalidArgument("cmd is empty: which command is to be run?");
  StreamRequest stream;
  stream.kind = StreamRequest::Kind::kExec;
  stream.cmd.assign(request.cmd().begin(), request.cmd().end());
  stream.tty = request.tty();
  stream.in = request.stdin();
  stream.out = request.stdout();
  stream.err = request.stderr();
  {
    MutexLock lock(node_.mutex_);
    ASSIGN_OR_RETURN(const Container* container, FindRunningLocked(request.container_id()));
    stream.container = container->id();
    stream.sandbox = container->sandbox();
  }
  runtime::v1::ExecResponse response;
  ASSIGN_OR_RETURN(*response.mutable_url(), node_.ports_.streams.AddressFor(std::move(stream)));
  return response;
}

void LiveNode::SessionCalls::Open(const Call& call, const StreamRequest& request,
                                  Reply<SessionPtr> reply) {
  if (request.kind == StreamRequest::Kind::kPortForward)
    return reply(InvalidArgument("a port-forward has no session of its own: dial its ports"));
  LinkNumber link = 0;
  Status why;
  {
    MutexLock lock(node_.mutex_);
    link = node_.link_;
    why = FindRunningLocked(request.container.str()).status();
  }
  if (!why.ok()) return reply(why);
  auto place = node_.open_sessions_->Take();
  if (!place.ok()) return reply(place.status());
  node_.ports_.site.OpenSession(call, link, MintSessionId(), request,
                                KeepOpened(call, *std::move(place), std::move(reply)));
}

Reply<SessionPtr> LiveNode::SessionCalls::KeepOpened(const Call& call,
                                                     std::shared_ptr<OpenSessions::Place> place,
                                                     Reply<SessionPtr> reply) const {
  // Owners of both: the site's reply; of the answer also Stop, which does not wait for the site.
  const auto answer = std::make_shared<Answer<SessionPtr>>(std::move(reply));
  const auto stopped = std::make_shared<Call::Registration>(node_.stopped_.OnCancel([answer, call] {
    answer->Give(ShuttingDown());
    call.Cancel();
  }));
  return [answer, stopped, place = std::move(place),
          open = node_.open_sessions_](Result<SessionPtr> session) mutable {
    if (!session.ok()) return answer->Give(ForCaller(session.status()));
    answer->Give(open->Keep(std::move(place), *std::move(session)));
  };
}

}  // namespace interlink::node
