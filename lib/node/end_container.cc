// StopContainer, RemoveContainer and UpdateContainerResources.
#include "node/calls.h"
#include "node/views.h"

namespace interlink::node {

void LiveNode::ContainerCalls::Stop(const Call& call,
                                    const runtime::v1::StopContainerRequest& request,
                                    Reply<runtime::v1::StopContainerResponse> reply) {
  End(call, request.container_id(), interlink::v1::WANTED_STOP,
      std::max<int64_t>(0, request.timeout()), [reply = std::move(reply)](const Status& status) {
        status.ok() ? reply(runtime::v1::StopContainerResponse()) : reply(status);
      });
}

void LiveNode::ContainerCalls::Remove(const Call& call,
                                      const runtime::v1::RemoveContainerRequest& request,
                                      Reply<runtime::v1::RemoveContainerResponse> reply) {
  End(call, request.container_id(), interlink::v1::WANTED_REMOVE, 0,
      [reply = std::move(reply)](const Status& status) {
        status.ok() ? reply(runtime::v1::RemoveContainerResponse()) : reply(status);
      });
}

void LiveNode::ContainerCalls::End(const Call& call, const std::string& name,
                                   interlink::v1::Wanted wanted, int64_t grace_seconds,
                                   std::function<void(Status)> done) {
  Status decided;
  bool now = false;
  {
    MutexLock lock(node_.mutex_);
    const auto id = node_.tables_.ResolveContainer(name);
    if (node_.stopping_) {
      now = true;
      decided = ShuttingDown();
    } else if (!id.ok()) {
      now = true;
      decided = id.status().code() == Code::kNotFound ? node_.ListsReadyLocked() : id.status();
    } else {
      Container& container = *node_.tables_.Find(*id);
      auto& stored = container.stored;
      Change change{{}, {}, {}, false, {container.sandbox()}};
      // The shortest grace wins: kubelet asks again with less when it loses patience.
      const bool shorter = stored.wanted() < interlink::v1::WANTED_STOP ||
                           stored.grace_seconds() < 0 || grace_seconds < stored.grace_seconds();
      if (stored.wanted() < wanted || (wanted == interlink::v1::WANTED_STOP && shorter)) {
        if (shorter) stored.set_grace_seconds(grace_seconds);
        stored.set_wanted(std::max(stored.wanted(), wanted));
        change.containers.push_back(*id);
      }
      node_.WaitLocked(call, id->str(), true,
                       wanted == interlink::v1::WANTED_STOP ? Until::kEnded : Until::kGone, done);
      node_.CommitLocked(change, false, {});
    }
  }
  if (now) done(decided);
}

void LiveNode::ContainerCalls::UpdateResources(
    const Call& call, const runtime::v1::UpdateContainerResourcesRequest& request,
    Reply<runtime::v1::UpdateContainerResourcesResponse> reply) {
  interlink::v1::UpdateContainerRequest update;
  ContainerId id;
  SandboxId sandbox;
  LinkNumber link = 0;
  Status why;
  {
    MutexLock lock(node_.mutex_);
    const auto resolved = node_.tables_.ResolveContainer(request.container_id());
    why = node_.stopping_ ? ShuttingDown() : resolved.status();
    if (why.ok()) {
      Container& container = *node_.tables_.Find(*resolved);
      if (container.shown != runtime::v1::CONTAINER_CREATED &&
          container.shown != runtime::v1::CONTAINER_RUNNING) {
        why = FailedPrecondition("container \"" + container.stored.id() +
                                 "\" is neither created nor running");
      }
      id = *resolved;
      sandbox = container.sandbox();
      link = node_.link_;
      container.stored.set_update_sequence(
          std::max(container.stored.update_sequence(), container.stored.fact().update_sequence()) +
          1);
      update.set_handler(container.request->handler());
      update.set_sequence(container.stored.update_sequence());
      *update.mutable_linux() = request.linux();
      if (request.has_windows())
        why = Unimplemented("\"windows\" resources are for Windows containers");
      if (why.ok()) why = node_.ReachableLocked();
      if (why.ok()) node_.CommitLocked({{}, {id}, {}, false, {}}, false, {});
    }
  }
  if (!why.ok()) return reply(why);
  node_.PostOrFail<runtime::v1::UpdateContainerResourcesResponse>(
      sandbox.str(), std::move(reply),
      [this, call, link, id, sandbox,
       update](Reply<runtime::v1::UpdateContainerResourcesResponse> answer) {
        const auto record = node_.ports_.site.UpdateContainer(node_.RequestOf(call).call, link,
                                                              sandbox, id, update);
        if (!record.ok()) return answer(ForCaller(record.status()));
        node_.Apply(*record);
        answer(runtime::v1::UpdateContainerResourcesResponse());
      });
}

}  // namespace interlink::node
