// PUT /v1/sandboxes/{id}: asks for a pod. An id runs at most once; the same id with the same bytes
// joins.
#include <algorithm>

#include "base/node_options.h"
#include "site/field_walk.h"
#include "site/gpus.h"
#include "site/live_site.h"

namespace interlink::site {
namespace {

Status CheckRequest(const interlink::v1::RunSandboxRequest& request) {
  const auto& metadata = request.config().metadata();
  if (metadata.name().empty() || metadata.namespace_().empty() || metadata.uid().empty()) {
    return InvalidArgument("\"config.metadata\" needs name, namespace and uid");
  }
  if (request.created_ns() <= 0)
    return InvalidArgument("\"created_ns\" must be the time at which the node minted the id");
  if (static_cast<size_t>(request.plugin_config_size()) > kMaxNodeOptions)
    return InvalidArgument("\"plugin_config\" must have at most " +
                           std::to_string(kMaxNodeOptions) + " keys");
  return {};
}

// Never accept and ignore: what the node says to a plugin is known to it, or refused.
Status CheckPluginConfig(const interlink::v1::RunSandboxRequest& request,
                         const std::vector<std::string>& known) {
  const std::map<std::string, std::string> sorted(request.plugin_config().begin(),
                                                  request.plugin_config().end());
  for (const auto& [key, value] : sorted) {
    if (std::find(known.begin(), known.end(), key) == known.end()) {
      std::string names;
      for (const std::string& name : known) names += (names.empty() ? "" : ", ") + name;
      return InvalidArgument("handler \"" + request.handler() + "\" takes no key \"" +
                             key.substr(0, 64) + "\" of a node's PluginConfig: it takes " +
                             (names.empty() ? "none" : names));
    }
    if (!IsNodeOptionValue(value)) {
      return InvalidArgument("\"plugin_config." + key + "\" must be " + kNodeOptionValueRule);
    }
  }
  return {};
}

Status CheckUser(const std::string& user, const std::string& handler,
                 const sdk::Description& description) {
  if (user.empty() || description.runs_as_users) return {};
  return FailedPrecondition("the site's policy has this pod run as user \"" + user +
                            "\", and handler \"" + handler +
                            "\" runs every pod as one user: the entry of Users must not speak of "
                            "that handler (Handlers)");
}

Status OtherLives(const Sandbox& other) {
  return Unavailable("sandbox \"" + other.key.id.str() +
                     "\" of the same pod has not ended yet: its end must be proven first");
}

}  // namespace

void LiveSite::RunSandbox(const Call& call, const Caller& caller, const SandboxId& id,
                          const std::string& body, Duration wait,
                          Reply<Answer<SandboxRecord>> reply) {
  interlink::v1::RunSandboxRequest request;
  if (!request.ParseFromString(body))
    return reply(InvalidArgument("the body is not a RunSandboxRequest"));
  if (const Status status = CheckRequest(request); !status.ok()) return reply(status);
  const SandboxKey key{caller.node, id};
  Status why;
  {
    MutexLock lock(mutex_);
    why = RunSandboxLocked(call, caller, key, request, body, wait, reply);
  }
  if (!why.ok()) reply(why);
}

Status LiveSite::RunSandboxLocked(const Call& call, const Caller& caller, const SandboxKey& key,
                                  const interlink::v1::RunSandboxRequest& request,
                                  const std::string& body, const Duration wait,
                                  const Reply<Answer<SandboxRecord>>& reply) {
  RETURN_IF_ERROR(call.Check("run a sandbox"));
  RETURN_IF_ERROR(CheckLink(caller));
  ASSIGN_OR_RETURN(Plugin * plugin, PluginForChange(request.handler()));
  if (Sandbox* sandbox = tables_.Find(key)) {
    if (sandbox->record.wanted() > interlink::v1::WANTED_CREATE) {
      return FailedPrecondition("sandbox \"" + key.id.str() +
                                "\" was stopped or removed: an id runs at most once");
    }
    if (sandbox->body != body && tables_.Adopt(AccountOf(caller), request, body, *sandbox)) {
      if (ports_.admission != nullptr) sandbox->user = ports_.admission->UserOf(caller, request);
      StampLocked(*sandbox);
      CommitLocked({{StoreKey(key)}, {key}}, false, {});
    }
    if (sandbox->body != body) {
      return AlreadyExists("sandbox \"" + key.id.str() +
                           "\" exists with another request: mint a new id");
    }
    if (sandbox->record.held()) {
      // The owner repeats an unfinished creation in a new link: it is wanted after all. Where both
      // stores are back in time the pod's next life may have been imported beside it.
      if (const Sandbox* other = tables_.OtherLife(key, request)) return OtherLives(*other);
      sandbox->record.set_held(false);
      sandbox->record.set_seen(interlink::v1::SEEN_NOTHING);
      sandbox->asked = false;
      StampLocked(*sandbox);
      CommitLocked({{StoreKey(key)}, {key}}, false, {});
    }
    AnswerSandboxLocked(key, interlink::v1::WANTED_CREATE, wait, reply);
    return {};
  }
  RETURN_IF_ERROR(
      RefuseUnsupported(request.config(), plugin->backend->Describe().sandbox, request.handler())
          .WithContext("sandbox config"));
  RETURN_IF_ERROR(CheckPluginConfig(request, plugin->backend->Describe().node_options));
  std::string user;
  if (ports_.admission != nullptr) {
    RETURN_IF_ERROR(ports_.admission->MayRun(caller, request));
    user = ports_.admission->UserOf(caller, request);
    RETURN_IF_ERROR(CheckUser(user, request.handler(), plugin->backend->Describe()));
  }
  if (tables_.IsOfAnotherNode(key))
    return NotFound("no sandbox \"" + key.id.str() + "\" of this node");
  if (const Sandbox* other = tables_.OtherLife(key, request)) return OtherLives(*other);
  if (ports_.admission != nullptr) {
    const Account account = AccountOf(caller);
    RETURN_IF_ERROR(ports_.admission->MayHold(account, tables_.HoldingsOf(account),
                                              {.sandboxes = 1, .gpus = GpusAskedBy(request)}));
  }
  Sandbox sandbox;
  sandbox.key = key;
  sandbox.body = body;
  sandbox.tenant = AccountOf(caller).tenant;
  sandbox.user = std::move(user);
  sandbox.record.set_id(key.id.str());
  sandbox.record.set_handler(request.handler());
  sandbox.record.set_wanted(interlink::v1::WANTED_CREATE);
  sandbox.record.set_created_ns(request.created_ns());
  StampLocked(tables_.Add(std::move(sandbox)));
  CommitLocked({{StoreKey(key)}, {key}}, true, [this, key](const Status& status) {
    // Not here: a store that refuses at once answers under the lock.
    if (!status.ok())
      timer_.After(Duration::zero(), [this, key, status] { ForgetUnstored(key, status); });
  });
  AnswerSandboxLocked(key, interlink::v1::WANTED_CREATE, wait, reply);
  return {};
}

// The store refused new work: as if it had never come.
void LiveSite::ForgetUnstored(const SandboxKey& key, const Status& why) {
  std::vector<std::function<void()>> fires;
  bool stopped = false;
  {
    MutexLock lock(mutex_);
    Sandbox* sandbox = tables_.Find(key);
    if (sandbox == nullptr) return;
    stopped = sandbox->record.wanted() > interlink::v1::WANTED_CREATE;
    if (!stopped) {
      sandbox->uncommitted = 0;
      MarkFailed(why.WithContext("cannot store the request"), Now(), sandbox->record);
      TakeSettledLocked(StoreKey(key), fires);
      tables_.Erase(key);
    }
  }
  // That commit may use the reserve, so it stores the record.
  if (stopped) return Published({{StoreKey(key)}, {key}});
  for (auto& fire : fires) fire();
}

Result<SandboxRecord> LiveSite::GetSandbox(const NodeId& node, const SandboxId& id) const {
  MutexLock lock(mutex_);
  const Sandbox* sandbox = tables_.Find(SandboxKey{node, id});
  if (sandbox == nullptr) return NotFound("no sandbox \"" + id.str() + "\" of this node");
  return sandbox->record;
}

std::vector<SandboxRecord> LiveSite::ListSandboxes(const NodeId& node) const {
  std::vector<SandboxRecord> records;
  MutexLock lock(mutex_);
  for (auto it = tables_.sandboxes.lower_bound(SandboxKey{node, SandboxId()});
       it != tables_.sandboxes.end() && it->first.node == node; ++it) {
    if (it->second.record.seen() != interlink::v1::SEEN_GONE) records.push_back(it->second.record);
  }
  return records;
}

}  // namespace interlink::site
