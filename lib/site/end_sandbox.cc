// POST /v1/sandboxes/{id}/stop and DELETE /v1/sandboxes/{id}: idempotent; an id without a record is
// carried out at the backend too and leaves a tombstone, so that nothing that arrives late can
// start it.
#include <algorithm>

#include "base/utf8.h"
#include "site/limits.h"
#include "site/live_site.h"

namespace interlink::site {
void LiveSite::StopSandbox(const Call&, const Caller& caller, const SandboxId& id,
                           const std::string& handler, Duration wait,
                           Reply<Answer<SandboxRecord>> reply) {
  EndSandbox(caller, {caller.node, id}, handler, interlink::v1::WANTED_STOP, wait, reply);
}

void LiveSite::RemoveSandbox(const Call&, const Caller& caller, const SandboxId& id,
                             const std::string& handler, Duration wait,
                             Reply<Answer<SandboxRecord>> reply) {
  EndSandbox(caller, {caller.node, id}, handler, interlink::v1::WANTED_REMOVE, wait, reply);
}

void LiveSite::EndSandbox(const Caller& caller, const SandboxKey& key, const std::string& handler,
                          Wanted wanted, Duration wait, const Reply<Answer<SandboxRecord>>& reply) {
  Status why;
  {
    MutexLock lock(mutex_);
    why = EndSandboxLocked(caller, key, handler, wanted, wait, reply);
  }
  if (!why.ok()) reply(why);
}

Status LiveSite::EndSandboxLocked(const Caller& caller, const SandboxKey& key,
                                  const std::string& handler, Wanted wanted, Duration wait,
                                  const Reply<Answer<SandboxRecord>>& reply) {
  RETURN_IF_ERROR(CheckLink(caller));
  Sandbox* sandbox = tables_.Find(key);
  if (sandbox == nullptr) {
    if (tables_.IsOfAnotherNode(key))
      return NotFound("no sandbox \"" + key.id.str() + "\" of this node");
    // Without a record the handler says which backend is to prove the absence.
    ASSIGN_OR_RETURN(Plugin * plugin, PluginForChange(handler));
    Sandbox tombstone;
    tombstone.key = key;
    tombstone.record.set_id(key.id.str());
    tombstone.record.set_handler(handler);
    sandbox = &tables_.Add(std::move(tombstone));
    ports_.log.Info(
        "an end was asked for a sandbox without a record",
        {{"sandbox", key.id.str()}, {"node", key.node.str()}, {"plugin", plugin->name}});
  } else if (Settled(sandbox->record, wanted) && sandbox->record.wanted() >= wanted) {
    AnswerSandboxLocked(key, wanted, Duration::zero(), reply);
    return {};
  } else if (const auto plugin = PluginForChange(sandbox->record.handler()); !plugin.ok()) {
    return plugin.status();
  }
  Change change{{}, {key}};
  if (RaiseWanted(wanted, sandbox->record)) {
    StampLocked(*sandbox);
    change.touched.push_back(StoreKey(key));
  }
  // Its containers are ended with it: nothing of them may start any more.
  for (const ContainerId& id : sandbox->containers) {
    Container* container = tables_.Find(ContainerKey{key.node, key.id, id});
    if (container == nullptr || !RaiseWanted(wanted, container->record)) continue;
    StampLocked(*container);
    change.touched.push_back(StoreKey(container->key));
  }
  CommitLocked(change, false, {});
  AnswerSandboxLocked(key, wanted, wait, reply);
  return {};
}

void LiveSite::UpdateSandbox(const Call& call, const Caller& caller, const SandboxId& id,
                             const interlink::v1::UpdateSandboxRequest& request,
                             Reply<Answer<SandboxRecord>> reply) {
  const SandboxKey key{caller.node, id};
  sdk::Backend* backend = nullptr;
  Status why;
  if (request.sequence() == 0)
    return reply(InvalidArgument("\"sequence\" is 0: the first update has sequence 1"));
  {
    MutexLock lock(mutex_);
    why = CheckLink(caller);
    const Sandbox* sandbox = tables_.Find(key);
    if (why.ok() && sandbox == nullptr)
      why = NotFound("no sandbox \"" + id.str() + "\" of this node");
    if (why.ok() && sandbox->record.seen() != interlink::v1::SEEN_UP) {
      why = FailedPrecondition("sandbox \"" + id.str() + "\" is not up");
    }
    if (why.ok()) why = MayUseLocked(caller, Admission::Use::kUpdate, key, &request.resources());
    if (why.ok()) {
      const auto plugin = PluginForChange(sandbox->record.handler());
      if (plugin.ok()) {
        backend = (*plugin)->backend.get();
      } else {
        why = plugin.status();
      }
    }
  }
  if (!why.ok()) return reply(why);
  PostOrFail<Answer<SandboxRecord>>(
      key.Lane(), std::move(reply),
      [this, call, caller, key, request, backend](Reply<Answer<SandboxRecord>> answer) {
        if (!IsLateUpdate(caller, key, request.sequence())) {
          const Status status = backend->UpdateSandbox(call, key.node, key.id, request.resources(),
                                                       request.overhead());
          if (!status.ok()) return answer(status);
        }
        MutexLock lock(mutex_);
        if (Sandbox* sandbox = tables_.Find(key)) {
          sandbox->update_link = caller.link;
          sandbox->update_sequence = std::max(sandbox->update_sequence, request.sequence());
        }
        AnswerSandboxLocked(key, interlink::v1::WANTED_CREATE, Duration::zero(), answer);
      });
}

bool LiveSite::IsLateUpdate(const Caller& caller, const SandboxKey& key, uint64_t sequence) {
  MutexLock lock(mutex_);
  Sandbox* sandbox = tables_.Find(key);
  if (sandbox == nullptr) return true;
  // A new link begins anew: the node's store may have been restored.
  if (sandbox->update_link != caller.link) sandbox->update_sequence = 0;
  return sequence <= sandbox->update_sequence;
}

void LiveSite::InspectSandbox(const Call& call, const NodeId& node, const SandboxId& id,
                              Reply<interlink::v1::InspectResponse> reply) {
  const SandboxKey key{node, id};
  interlink::v1::InspectResponse response;
  sdk::Backend* backend = nullptr;
  {
    MutexLock lock(mutex_);
    if (const Sandbox* sandbox = tables_.Find(key)) {
      *response.mutable_record()->mutable_sandbox() = sandbox->record;
      const Plugin* plugin = FindPlugin(sandbox->record.handler());
      if (plugin != nullptr) backend = plugin->backend.get();
    }
  }
  if (!response.has_record())
    return reply(NotFound("no sandbox \"" + id.str() + "\" of this node"));
  if (backend == nullptr) return reply(Unavailable("the plugin of this sandbox is not loaded"));
  PostOrFail<interlink::v1::InspectResponse>(
      "inspect/" + key.Lane(), std::move(reply),
      [call, key, response, backend](Reply<interlink::v1::InspectResponse> answer) mutable {
        auto info = backend->Inspect(call, key.id, ContainerId());
        if (!info.ok()) return answer(info.status());
        response.set_info(Utf8Prefix(*info, kMaxInfo));
        answer(std::move(response));
      });
}

}  // namespace interlink::site
