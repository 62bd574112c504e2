// PodSandboxStatus and ListPodSandbox: from memory.
#include "node/calls.h"
#include "node/limits.h"
#include "node/views.h"

namespace interlink::node {
void LiveNode::SandboxCalls::GetStatus(const Call& call,
                                       const runtime::v1::PodSandboxStatusRequest& request,
                                       Reply<runtime::v1::PodSandboxStatusResponse> reply) {
  runtime::v1::PodSandboxStatusResponse response;
  SandboxId id;
  Status why;
  {
    MutexLock lock(node_.mutex_);
    const auto resolved = node_.tables_.ResolveSandbox(request.pod_sandbox_id());
    why = resolved.status();
    if (!resolved.ok() && why.code() == Code::kNotFound && !node_.ListsReadyLocked().ok())
      why = node_.ListsReadyLocked();
    if (why.ok()) {
      const Sandbox& sandbox = *node_.tables_.Find(*resolved);
      id = *resolved;
      if (!sandbox.shown) why = NotFound("no sandbox \"" + id.str() + "\"");
      if (why.ok()) {
        *response.mutable_status() = StatusOf(sandbox);
        // For kubelet's Evented PLEG, which orders this answer and the events by their times.
        *response.mutable_containers_statuses() = node_.StatusesLocked(sandbox);
        response.set_timestamp(node_.EventTimeLocked());
      }
      if (request.verbose()) {
        const auto& fact = sandbox.stored.fact();
        (*response.mutable_info())["handler"] = sandbox.stored.handler();
        if (!fact.allocation().empty())
          (*response.mutable_info())["allocation"] = fact.allocation();
        if (!fact.message().empty()) (*response.mutable_info())["message"] = fact.message();
        const std::string trouble = node_.TroubleLocked(sandbox);
        if (!trouble.empty()) (*response.mutable_info())["retrying"] = trouble;
      }
    }
  }
  if (!why.ok() || !request.verbose()) return why.ok() ? reply(std::move(response)) : reply(why);
  node_.PostOrFail<runtime::v1::PodSandboxStatusResponse>(
      "inspect/" + id.str(), std::move(reply),
      [this, call, id, response](Reply<runtime::v1::PodSandboxStatusResponse> answer) mutable {
        auto inspected =
            node_.ports_.site.InspectSandbox(node_.RequestOf(call.Capped(kVerbose)).call, id);
        // The site's silence is no error of a status.
        (*response.mutable_info())[inspected.ok() ? "info" : "site"] =
            inspected.ok() ? inspected->info() : inspected.status().message();
        answer(std::move(response));
      });
}

Result<Slices> LiveNode::SandboxCalls::List(const runtime::v1::PodSandboxFilter& filter) const {
  node_.NoteListed();
  MutexLock lock(node_.mutex_);
  RETURN_IF_ERROR(node_.ListsReadyLocked());
  Slices slices;
  const bool all = filter.ByteSizeLong() == 0;
  if (all) slices.reserve(node_.tables_.sandboxes.size());
  for (const auto& [id, sandbox] : node_.tables_.sandboxes) {
    if (sandbox.slice != nullptr && (all || Matches(filter, sandbox)))
      slices.push_back(sandbox.slice);
  }
  return slices;
}

}  // namespace interlink::node
