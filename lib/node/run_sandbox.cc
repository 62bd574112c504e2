// RunPodSandbox: reserve the name, mint the id, commit, ask the site, wait for READY.
#include "node/calls.h"
#include "node/state.h"

namespace interlink::node {
namespace {

using runtime::v1::RunPodSandboxRequest;
using runtime::v1::RunPodSandboxResponse;

Status Check(const RunPodSandboxRequest& request) {
  const auto& metadata = request.config().metadata();
  if (!request.config().has_metadata() || metadata.name().empty() ||
      metadata.namespace_().empty() || metadata.uid().empty()) {
    return InvalidArgument("config.metadata needs name, namespace and uid: they name the pod");
  }
  for (const std::string& part : {metadata.name(), metadata.namespace_(), metadata.uid()}) {
    if (part.size() > 253)
      return InvalidArgument(
          "config.metadata: name, namespace and uid have at most 253 characters");
  }
  const std::string& folder = request.config().log_directory();
  if (!folder.empty() &&
      (folder[0] != '/' || folder.find("/../") != std::string::npos || folder.ends_with("/.."))) {
    return InvalidArgument("config.log_directory \"" + folder +
                           "\" must be absolute and without \"..\"");
  }
  return {};
}

}  // namespace

void LiveNode::SandboxCalls::Run(const Call& call, const RunPodSandboxRequest& request,
                                 Reply<RunPodSandboxResponse> reply) {
  Status why = Check(request);
  bool needs_account = false;
  if (why.ok()) {
    MutexLock lock(node_.mutex_);
    needs_account = NeedsAccountLocked(request);
    if (node_.stopping_) {
      why = ShuttingDown();
    } else if (!needs_account) {
      why = RunLocked(call, request, "", reply);
    }
  }
  if (!why.ok()) return reply(why);
  if (!needs_account) return;
  const std::string& uid = request.config().metadata().uid();
  node_.PostOrFail<RunPodSandboxResponse>(
      "account/" + uid, std::move(reply),
      [this, call, request](Reply<RunPodSandboxResponse> later) {
        const auto& metadata = request.config().metadata();
        const std::string account =
            node_.ports_.volumes.ServiceAccountOf(metadata.uid(), metadata.namespace_());
        Status refused;
        {
          MutexLock lock(node_.mutex_);
          refused = node_.stopping_ ? ShuttingDown() : RunLocked(call, request, account, later);
        }
        if (!refused.ok()) later(refused);
      });
}

bool LiveNode::SandboxCalls::NeedsAccountLocked(const RunPodSandboxRequest& request) const {
  if (node_.tables_.pod_names.contains(NameOf(request.config().metadata()))) return false;
  const auto handler = node_.HandlerLocked(request.runtime_handler());
  return handler.ok() && node_.TakesContentsLocked(*handler);
}

Status LiveNode::SandboxCalls::RunLocked(const Call& call, const RunPodSandboxRequest& request,
                                         const std::string& service_account,
                                         const Reply<RunPodSandboxResponse>& reply) {
  const auto name = NameOf(request.config().metadata());
  if (const auto known = node_.tables_.pod_names.find(name);
      known != node_.tables_.pod_names.end()) {
    return JoinLocked(call, *node_.tables_.Find(known->second), request, reply);
  }
  ASSIGN_OR_RETURN(const std::string handler, node_.HandlerLocked(request.runtime_handler()));
  // New work needs the site; what is under way already does not fail for it.
  RETURN_IF_ERROR(node_.ReachableLocked());
  RETURN_IF_ERROR(node_.ListsReadyLocked());
  ASSIGN_OR_RETURN(const NodeOptions for_plugin, node_.PluginConfigLocked(handler));
  const SandboxId id = MintSandboxId();
  interlink::v1::RunSandboxRequest body;
  body.set_handler(handler);
  body.set_runtime_handler(request.runtime_handler());
  *body.mutable_config() = request.config();
  body.set_created_ns(node_.MintCreatedLocked());
  // Part of the bytes that identify the request: a change of the configuration is for later pods.
  for (const auto& [key, value] : for_plugin) (*body.mutable_plugin_config())[key] = value;
  body.set_service_account(service_account);
  interlink::v1::StoredNodeSandbox stored;
  stored.set_version(1);
  stored.set_id(id.str());
  stored.set_body(body.SerializeAsString());
  stored.set_handler(handler);
  stored.set_runtime_handler(request.runtime_handler());
  stored.set_created_ns(body.created_ns());
  stored.set_wanted(interlink::v1::WANTED_CREATE);
  *stored.mutable_labels() = request.config().labels();
  *stored.mutable_annotations() = request.config().annotations();
  node_.tables_.Add(std::move(stored));
  const auto answer = [reply, id](const Status& outcome) {
    if (!outcome.ok()) return reply(outcome);
    RunPodSandboxResponse response;
    response.set_pod_sandbox_id(id.str());
    reply(std::move(response));
  };
  node_.WaitLocked(call, id.str(), false, Until::kReady, answer);
  LiveNode& node = node_;
  node_.CommitLocked({{id}, {}, {}, true, {id}}, true, [&node, id](const Status& status) {
    if (status.ok()) return;
    // Nothing has left this process: as if the call had never come. Not here: the lock may be held.
    node.timer_.After(Duration::zero(), [&node, id, status] {
      Fires fires;
      {
        MutexLock lock(node.mutex_);
        node.FailWaitersLocked(id.str(), status, fires);
        node.tables_.Erase(id);
        // A repeat may have stored it meanwhile, from the reserve.
        node.CommitLocked({{id}, {}, {}, false, {}}, false, {});
      }
      for (auto& fire : fires) fire();
    });
  });
  return {};
}

// The same name again: kubelet repeats a call whose answer it did not get.
Status LiveNode::SandboxCalls::JoinLocked(const Call& call, Sandbox& sandbox,
                                          const RunPodSandboxRequest& request,
                                          const Reply<RunPodSandboxResponse>& reply) {
  const SandboxId id = sandbox.id();
  if (sandbox.stored.has_untold()) {
    // It failed while nobody waited. The call after this one is a new try, as soon as this one's
    // removal is proven.
    const Status why = FailureOf(sandbox.stored.untold()).WithContext("an earlier try of this pod");
    sandbox.stored.clear_untold();
    node_.CommitLocked({{id}, {}, {}, false, {}}, false, {});
    return why;
  }
  if (sandbox.stored.abandoned() || sandbox.stored.wanted() == interlink::v1::WANTED_REMOVE) {
    return Unavailable("an earlier try of this pod (\"" + id.str() +
                       "\") is still being removed, ask again");
  }
  if (sandbox.stored.wanted() == interlink::v1::WANTED_STOP ||
      sandbox.shown == runtime::v1::SANDBOX_NOTREADY) {
    return AlreadyExists("sandbox \"" + id.str() +
                         "\" has this name, namespace, uid and attempt and was stopped: remove it "
                         "or raise the attempt");
  }
  sandbox.unasked_seconds = 0;
  sandbox.cancelled = false;
  sandbox.pod_gone = false;
  // Labels and annotations take the retry's values; the rest of the first config stands.
  *sandbox.stored.mutable_labels() = request.config().labels();
  *sandbox.stored.mutable_annotations() = request.config().annotations();
  node_.WaitLocked(call, id.str(), false, Until::kReady, [reply, id](const Status& outcome) {
    if (!outcome.ok()) return reply(outcome);
    RunPodSandboxResponse response;
    response.set_pod_sandbox_id(id.str());
    reply(std::move(response));
  });
  node_.CommitLocked({{id}, {}, {}, false, {id}}, false, {});
  return {};
}

}  // namespace interlink::node
