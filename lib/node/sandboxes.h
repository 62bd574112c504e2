// Sandboxes: the pod sandbox calls of CRI, as use cases. Thread-safe; nothing blocks. Ids may be
// unique prefixes: ambiguous = kInvalidArgument that says so.
#ifndef INTERLINK_NODE_SANDBOXES_H_
#define INTERLINK_NODE_SANDBOXES_H_

#include "base/call.h"
#include "base/status.h"
#include "node/reply.h"
#include "runtime/v1/api.pb.h"

namespace interlink::node {

class Sandboxes {
 public:
  virtual ~Sandboxes() = default;

  // Same (namespace, name, uid, attempt) again: in flight -> joins, READY -> its id. While queued
  // at the site it answers before the call's deadline kUnavailable "queued at site ..., the request
  // is kept, ask again". One that failed while no call waited answers why, once, within 5 minutes;
  // the call after that is a new try.
  virtual void Run(const Call& call, const runtime::v1::RunPodSandboxRequest& request,
                   Reply<runtime::v1::RunPodSandboxResponse> reply) = 0;
  // OK after proof and after lists say NOTREADY. An unknown id is success.
  virtual void Stop(const Call& call, const runtime::v1::StopPodSandboxRequest& request,
                    Reply<runtime::v1::StopPodSandboxResponse> reply) = 0;
  // Stops it, removes its containers, then it. OK after proof. An unknown id is success.
  virtual void Remove(const Call& call, const runtime::v1::RemovePodSandboxRequest& request,
                      Reply<runtime::v1::RemovePodSandboxResponse> reply) = 0;
  virtual void UpdateResources(const Call& call,
                               const runtime::v1::UpdatePodSandboxResourcesRequest& request,
                               Reply<runtime::v1::UpdatePodSandboxResourcesResponse> reply) = 0;
  // kNotFound when absent or not listed. verbose asks the site; its silence is no error: `info`
  // says it.
  virtual void GetStatus(const Call& call, const runtime::v1::PodSandboxStatusRequest& request,
                         Reply<runtime::v1::PodSandboxStatusResponse> reply) = 0;
  // From memory. kUnavailable only while a fresh or restored store has not linked (DESIGN 6.6).
  virtual Result<Slices> List(const runtime::v1::PodSandboxFilter& filter) const = 0;
};

}  // namespace interlink::node

#endif  // INTERLINK_NODE_SANDBOXES_H_
