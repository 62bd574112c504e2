// Attach: the stdio of a container itself.
#include "node/calls.h"

namespace interlink::node {
namespace {

// What the container was made with is what there is to attach to.
Status CheckAttach(const runtime::v1::AttachRequest& request,
                   const runtime::v1::ContainerConfig& config) {
  if (request.tty() && !config.tty())
    return InvalidArgument("the container has no terminal: leave tty false");
  if (!request.tty() && config.tty())
    return InvalidArgument("the container has a terminal: ask for tty");
  if (request.stdin() && !config.stdin())
    return InvalidArgument("the container was created without stdin: leave stdin false");
  return {};
}

}  // namespace

Result<runtime::v1::AttachResponse> LiveNode::SessionCalls::Attach(
    const runtime::v1::AttachRequest& request) {
  RETURN_IF_ERROR(CheckStreams(request.stdin(), request.stdout(), request.stderr(), request.tty()));
  StreamRequest stream;
  stream.kind = StreamRequest::Kind::kAttach;
  stream.tty = request.tty();
  stream.in = request.stdin();
  stream.out = request.stdout();
  stream.err = request.stderr();
  {
    MutexLock lock(node_.mutex_);
    ASSIGN_OR_RETURN(const Container* container, FindRunningLocked(request.container_id()));
    RETURN_IF_ERROR(CheckAttach(request, container->request->config()));
    stream.container = container->id();
    stream.sandbox = container->sandbox();
  }
  runtime::v1::AttachResponse response;
  ASSIGN_OR_RETURN(*response.mutable_url(), node_.ports_.streams.AddressFor(std::move(stream)));
  return response;
}

}  // namespace interlink::node
