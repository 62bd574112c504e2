// POST .../containers/{cid}/stop, DELETE and POST .../update: idempotent; an id without a record is
// carried out at the backend too and leaves a tombstone.
#include "base/utf8.h"
#include "sdk/merged_resources.h"
#include "site/limits.h"
#include "site/live_site.h"

namespace interlink::site {
void LiveSite::StopContainer(const Call&, const Caller& caller, const SandboxId& sandbox,
                             const ContainerId& id,
                             const interlink::v1::StopContainerRequest& request, Duration wait,
                             Reply<Answer<ContainerRecord>> reply) {
  if (request.grace_seconds() < 0) return reply(InvalidArgument("\"grace_seconds\" is negative"));
  const End end{{caller.node, sandbox, id},
                request.handler(),
                interlink::v1::WANTED_STOP,
                request.grace_seconds()};
  EndContainer(caller, end, wait, reply);
}

void LiveSite::RemoveContainer(const Call&, const Caller& caller, const SandboxId& sandbox,
                               const ContainerId& id, const std::string& handler, Duration wait,
                               Reply<Answer<ContainerRecord>> reply) {
  const End end{{caller.node, sandbox, id}, handler, interlink::v1::WANTED_REMOVE, 0};
  EndContainer(caller, end, wait, reply);
}

void LiveSite::EndContainer(const Caller& caller, const End& end, Duration wait,
                            const Reply<Answer<ContainerRecord>>& reply) {
  Status why;
  {
    MutexLock lock(mutex_);
    why = EndContainerLocked(caller, end, wait, reply);
  }
  if (!why.ok()) reply(why);
}

Status LiveSite::EndContainerLocked(const Caller& caller, const End& end, Duration wait,
                                    const Reply<Answer<ContainerRecord>>& reply) {
  RETURN_IF_ERROR(CheckLink(caller));
  const ContainerKey& key = end.key;
  Container* container = tables_.Find(key);
  if (container == nullptr) {
    if (tables_.IsOfAnotherNode(key))
      return NotFound("no container \"" + key.id.str() + "\" of this node");
    if (const Container* other = tables_.FindContainer(key.node, key.id)) {
      return NotFound("container \"" + key.id.str() + "\" is of sandbox \"" +
                      other->key.sandbox.str() + "\"");
    }
    RETURN_IF_ERROR(PluginForChange(end.handler).status());
    if (tables_.Find(key.Sandbox()) == nullptr) {
      // Drive goes by sandboxes: the container's tombstone hangs on one of its own.
      Sandbox carrier;
      carrier.key = key.Sandbox();
      carrier.record.set_id(key.sandbox.str());
      carrier.record.set_handler(end.handler);
      carrier.record.set_wanted(interlink::v1::WANTED_STOP);
      StampLocked(tables_.Add(std::move(carrier)));
    }
    Container tombstone;
    tombstone.key = key;
    tombstone.created_unknown = true;
    tombstone.record.set_id(key.id.str());
    tombstone.record.set_sandbox_id(key.sandbox.str());
    tombstone.record.set_handler(end.handler);
    container = &tables_.Add(std::move(tombstone));
  } else if (Settled(container->record, end.wanted) && container->record.wanted() >= end.wanted) {
    AnswerContainerLocked(key, end.wanted, Duration::zero(), reply);
    return {};
  } else {
    RETURN_IF_ERROR(PluginForChange(container->record.handler()).status());
  }
  bool changed = RaiseWanted(end.wanted, container->record);
  // The shortest grace wins: kubelet asks again with less when it loses patience.
  if (container->grace_seconds < 0 || end.grace_seconds < container->grace_seconds) {
    container->grace_seconds = end.grace_seconds;
    changed = true;
  }
  Change change{{}, {key.Sandbox()}};
  if (changed) {
    StampLocked(*container);
    change.touched = {StoreKey(key.Sandbox()), StoreKey(key)};
  }
  CommitLocked(change, false, {});
  AnswerContainerLocked(key, end.wanted, wait, reply);
  return {};
}

void LiveSite::UpdateContainer(const Call& call, const Caller& caller, const SandboxId& sandbox,
                               const ContainerId& id,
                               const interlink::v1::UpdateContainerRequest& request,
                               Reply<Answer<ContainerRecord>> reply) {
  const ContainerKey key{caller.node, sandbox, id};
  sdk::Backend* backend = nullptr;
  Status why;
  if (request.sequence() == 0)
    return reply(InvalidArgument("\"sequence\" is 0: the first update has sequence 1"));
  {
    MutexLock lock(mutex_);
    why = CheckLink(caller);
    const Container* container = tables_.Find(key);
    if (why.ok() && container == nullptr)
      why = NotFound("no container \"" + id.str() + "\" in this sandbox");
    if (why.ok()) {
      const auto plugin = PluginForChange(container->record.handler());
      if (plugin.ok()) {
        backend = (*plugin)->backend.get();
      } else {
        why = plugin.status();
      }
    }
  }
  if (!why.ok()) return reply(why);
  PostOrFail<Answer<ContainerRecord>>(
      key.Sandbox().Lane(), std::move(reply),
      [this, call, caller, key, request, backend](Reply<Answer<ContainerRecord>> answer) {
        UpdateContainerStep(call, caller, key, request, *backend, answer);
      });
}

void LiveSite::UpdateContainerStep(const Call& call, const Caller& caller, const ContainerKey& key,
                                   const interlink::v1::UpdateContainerRequest& request,
                                   sdk::Backend& backend,
                                   const Reply<Answer<ContainerRecord>>& reply) {
  const auto answer = [this, key, reply] {
    MutexLock lock(mutex_);
    AnswerContainerLocked(key, interlink::v1::WANTED_CREATE, Duration::zero(), reply);
  };
  auto before = GetContainer(key.node, key.sandbox, key.id);
  if (!before.ok()) return reply(before.status());
  if (before->seen() != interlink::v1::SEEN_CREATED && before->seen() != interlink::v1::SEEN_UP) {
    return reply(
        FailedPrecondition("container \"" + key.id.str() + "\" is neither created nor running"));
  }
  if (before->update_sequence() >= request.sequence())
    return answer();  // an older one arrives late
  // Judged is what the container has then, in its turn: an earlier update may have changed it. The
  // backend is asked for all of that, whatever of an update with a lost answer it has made.
  const auto after = sdk::MergedResources(before->resources(), request.linux());
  Status status;
  {
    MutexLock lock(mutex_);
    status = MayUseLocked(caller, Admission::Use::kUpdate, key.Sandbox(), &after);
  }
  if (status.ok()) status = backend.UpdateContainer(call, key.sandbox, key.id, after);
  if (!status.ok()) return reply(status);
  KeepResources(key, request.sequence(), after);
  answer();
}

void LiveSite::KeepResources(const ContainerKey& key, uint64_t sequence,
                             const runtime::v1::LinuxContainerResources& resources) {
  MutexLock lock(mutex_);
  Container* container = tables_.Find(key);
  if (container == nullptr) return;
  *container->record.mutable_resources() = resources;
  container->record.set_update_sequence(sequence);
  StampLocked(*container);
  CommitLocked({{StoreKey(key)}, {}}, false, {});
}

void LiveSite::InspectContainer(const Call& call, const NodeId& node, const SandboxId& sandbox,
                                const ContainerId& id,
                                Reply<interlink::v1::InspectResponse> reply) {
  const ContainerKey key{node, sandbox, id};
  interlink::v1::InspectResponse response;
  sdk::Backend* backend = nullptr;
  {
    MutexLock lock(mutex_);
    if (const Container* container = tables_.Find(key)) {
      *response.mutable_record()->mutable_container() = container->record;
      const Plugin* plugin = FindPlugin(container->record.handler());
      if (plugin != nullptr) backend = plugin->backend.get();
    }
  }
  if (!response.has_record())
    return reply(NotFound("no container \"" + id.str() + "\" in this sandbox"));
  if (backend == nullptr) return reply(Unavailable("the plugin of this container is not loaded"));
  PostOrFail<interlink::v1::InspectResponse>(
      "inspect/" + id.str(), std::move(reply),
      [call, key, response, backend](Reply<interlink::v1::InspectResponse> answer) mutable {
        auto info = backend->Inspect(call, key.sandbox, key.id);
        if (!info.ok()) return answer(info.status());
        response.set_info(Utf8Prefix(*info, kMaxInfo));
        answer(std::move(response));
      });
}

}  // namespace interlink::site
