// StopPodSandbox and RemovePodSandbox: wanted is raised, durably; OK after proof and after lists
// say so.
#include "node/calls.h"
#include "node/views.h"

namespace interlink::node {

void LiveNode::SandboxCalls::Stop(const Call& call,
                                  const runtime::v1::StopPodSandboxRequest& request,
                                  Reply<runtime::v1::StopPodSandboxResponse> reply) {
  End(call, request.pod_sandbox_id(), interlink::v1::WANTED_STOP,
      [reply = std::move(reply)](const Status& status) {
        status.ok() ? reply(runtime::v1::StopPodSandboxResponse()) : reply(status);
      });
}

void LiveNode::SandboxCalls::Remove(const Call& call,
                                    const runtime::v1::RemovePodSandboxRequest& request,
                                    Reply<runtime::v1::RemovePodSandboxResponse> reply) {
  End(call, request.pod_sandbox_id(), interlink::v1::WANTED_REMOVE,
      [reply = std::move(reply)](const Status& status) {
        status.ok() ? reply(runtime::v1::RemovePodSandboxResponse()) : reply(status);
      });
}

void LiveNode::SandboxCalls::End(const Call& call, const std::string& name,
                                 interlink::v1::Wanted wanted, Accept done) {
  Status decided;
  bool now = false;
  {
    MutexLock lock(node_.mutex_);
    const auto id = node_.tables_.ResolveSandbox(name);
    if (node_.stopping_) {
      now = true;
      decided = ShuttingDown();
    } else if (!id.ok()) {
      now = true;
      // An unknown id is a success by the node's own store, once that is complete.
      decided = id.status().code() == Code::kNotFound ? node_.ListsReadyLocked() : id.status();
    } else {
      Sandbox& sandbox = *node_.tables_.Find(*id);
      Change change{{}, {}, {}, false, {*id}};
      if (sandbox.stored.wanted() < wanted) {
        sandbox.stored.set_wanted(wanted);
        change.sandboxes.push_back(*id);
      }
      // Nothing of it may start any more.
      for (const ContainerId& part : sandbox.containers) {
        Container* container = node_.tables_.Find(part);
        if (container == nullptr || container->stored.wanted() >= wanted) continue;
        container->stored.set_wanted(wanted);
        container->stored.set_grace_seconds(0);
        change.containers.push_back(part);
      }
      node_.WaitLocked(call, id->str(), false,
                       wanted == interlink::v1::WANTED_STOP ? Until::kEnded : Until::kGone, done);
      node_.CommitLocked(change, false, {});
    }
  }
  if (now) done(decided);
}

void LiveNode::SandboxCalls::UpdateResources(
    const Call& call, const runtime::v1::UpdatePodSandboxResourcesRequest& request,
    Reply<runtime::v1::UpdatePodSandboxResourcesResponse> reply) {
  interlink::v1::UpdateSandboxRequest update;
  SandboxId id;
  LinkNumber link = 0;
  Status why;
  {
    MutexLock lock(node_.mutex_);
    const auto resolved = node_.tables_.ResolveSandbox(request.pod_sandbox_id());
    why = node_.stopping_ ? ShuttingDown() : resolved.status();
    if (why.ok()) {
      Sandbox& sandbox = *node_.tables_.Find(*resolved);
      id = *resolved;
      link = node_.link_;
      sandbox.stored.set_update_sequence(sandbox.stored.update_sequence() + 1);
      update.set_handler(sandbox.stored.handler());
      update.set_sequence(sandbox.stored.update_sequence());
      *update.mutable_overhead() = request.overhead();
      *update.mutable_resources() = request.resources();
      why = node_.ReachableLocked();
      node_.CommitLocked({{id}, {}, {}, false, {}}, false, {});
    }
  }
  if (!why.ok()) return reply(why);
  node_.PostOrFail<runtime::v1::UpdatePodSandboxResourcesResponse>(
      id.str(), std::move(reply),
      [this, call, link, id, update](Reply<runtime::v1::UpdatePodSandboxResourcesResponse> answer) {
        const Status status =
            node_.ports_.site.UpdateSandbox(node_.RequestOf(call).call, link, id, update);
        status.ok() ? answer(runtime::v1::UpdatePodSandboxResourcesResponse())
                    : answer(ForCaller(status));
      });
}

}  // namespace interlink::node
