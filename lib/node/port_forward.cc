// PortForward, and each of its connections.
#include "node/calls.h"

namespace interlink::node {

Status LiveNode::SessionCalls::CheckReadyLocked(const SandboxId& id) const {
  const Sandbox* sandbox = node_.tables_.Find(id);
  if (sandbox == nullptr) return NotFound("no sandbox \"" + id.str() + "\"");
  if (sandbox->shown != runtime::v1::SANDBOX_READY ||
      sandbox->stored.fact().seen() != interlink::v1::SEEN_UP) {
    return FailedPrecondition("sandbox \"" + id.str() + "\" is not ready");
  }
  return node_.ReachableLocked();
}

Result<runtime::v1::PortForwardResponse> LiveNode::SessionCalls::PortForward(
    const runtime::v1::PortForwardRequest& request) {
  constexpr int32_t kMaxPort = 65535;
  StreamRequest stream;
  stream.kind = StreamRequest::Kind::kPortForward;
  for (const int32_t port : request.port()) {
    if (port < 1 || port > kMaxPort)
      return InvalidArgument("port " + std::to_string(port) + " is not between 1 and 65535");
    stream.ports.push_back(static_cast<uint16_t>(port));
  }
  {
    MutexLock lock(node_.mutex_);
    const auto resolved = node_.tables_.ResolveSandbox(request.pod_sandbox_id());
    if (!resolved.ok()) {
      if (resolved.status().code() == Code::kNotFound) RETURN_IF_ERROR(node_.ListsReadyLocked());
      return resolved.status();
    }
    RETURN_IF_ERROR(CheckReadyLocked(*resolved));
    stream.sandbox = *resolved;
  }
  runtime::v1::PortForwardResponse response;
  ASSIGN_OR_RETURN(*response.mutable_url(), node_.ports_.streams.AddressFor(std::move(stream)));
  return response;
}

void LiveNode::SessionCalls::Dial(const Call& call, const SandboxId& sandbox, uint16_t port,
                                  Reply<SessionPtr> reply) {
  LinkNumber link = 0;
  Status why;
  {
    MutexLock lock(node_.mutex_);
    link = node_.link_;
    why = CheckReadyLocked(sandbox);
  }
  if (why.ok() && port == 0) why = InvalidArgument("port 0 is not between 1 and 65535");
  if (!why.ok()) return reply(why);
  auto place = node_.open_sessions_->Take();
  if (!place.ok()) return reply(place.status());
  node_.ports_.site.Dial(call, link, MintSessionId(), sandbox, port,
                         KeepOpened(call, *std::move(place), std::move(reply)));
}

}  // namespace interlink::node
