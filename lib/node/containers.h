// Containers: the container calls of CRI, as use cases. Thread-safe; nothing blocks. Ids may be
// unique prefixes: ambiguous = kInvalidArgument that says so.
#ifndef INTERLINK_NODE_CONTAINERS_H_
#define INTERLINK_NODE_CONTAINERS_H_

#include "base/call.h"
#include "base/status.h"
#include "node/reply.h"
#include "runtime/v1/api.pb.h"

namespace interlink::node {

class Containers {
 public:
  virtual ~Containers() = default;

  // REQUIRES of CRI: sandbox READY (kFailedPrecondition), image present (kNotFound). Same (sandbox,
  // name, attempt) again: in flight -> joins, CREATED -> its id.
  virtual void Create(const Call& call, const runtime::v1::CreateContainerRequest& request,
                      Reply<runtime::v1::CreateContainerResponse> reply) = 0;
  // From CREATED, else kFailedPrecondition. A failed start: EXITED 128 StartError, and an error
  // with the reason.
  virtual void Start(const Call& call, const runtime::v1::StartContainerRequest& request,
                     Reply<runtime::v1::StartContainerResponse> reply) = 0;
  // OK after proof and after lists say EXITED. Unknown and exited: OK.
  virtual void Stop(const Call& call, const runtime::v1::StopContainerRequest& request,
                    Reply<runtime::v1::StopContainerResponse> reply) = 0;
  // Kills first. OK after proof. Unknown: OK.
  virtual void Remove(const Call& call, const runtime::v1::RemoveContainerRequest& request,
                      Reply<runtime::v1::RemoveContainerResponse> reply) = 0;
  virtual void UpdateResources(const Call& call,
                               const runtime::v1::UpdateContainerResourcesRequest& request,
                               Reply<runtime::v1::UpdateContainerResourcesResponse> reply) = 0;
  virtual void GetStatus(const Call& call, const runtime::v1::ContainerStatusRequest& request,
                         Reply<runtime::v1::ContainerStatusResponse> reply) = 0;
  virtual void ExecSync(const Call& call, const runtime::v1::ExecSyncRequest& request,
                        Reply<runtime::v1::ExecSyncResponse> reply) = 0;
  // Local to the node; the new file exists when the reply comes. Not running: kFailedPrecondition
  // and no file.
  virtual void ReopenLog(const Call& call, const runtime::v1::ReopenContainerLogRequest& request,
                         Reply<runtime::v1::ReopenContainerLogResponse> reply) = 0;
  virtual Result<Slices> List(const runtime::v1::ContainerFilter& filter) const = 0;
};

}  // namespace interlink::node

#endif  // INTERLINK_NODE_CONTAINERS_H_
