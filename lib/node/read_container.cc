// ContainerStatus, ListContainers, ReopenContainerLog and ExecSync.
#include <algorithm>
#include <optional>
#include <vector>

#include "node/calls.h"
#include "node/limits.h"
#include "node/views.h"

namespace interlink::node {
namespace {

// How long a command may take: its caller is to hear of it, and of the end of the command's own
// time (0: none) from the site.
Duration ExecLimit(Duration left, int64_t own_seconds) {
  const Duration limit = left - Margin(left);
  const auto whole = std::chrono::duration_cast<std::chrono::seconds>(left).count();
  if (own_seconds == 0 || own_seconds > whole) return limit;
  const Duration own = std::chrono::seconds(own_seconds);
  return std::max(limit, own + (left - own) / 2);
}

}  // namespace

void LiveNode::ContainerCalls::GetStatus(const Call& call,
                                         const runtime::v1::ContainerStatusRequest& request,
                                         Reply<runtime::v1::ContainerStatusResponse> reply) {
  runtime::v1::ContainerStatusResponse response;
  ContainerId id;
  SandboxId sandbox_id;
  Status why;
  {
    MutexLock lock(node_.mutex_);
    const auto resolved = node_.tables_.ResolveContainer(request.container_id());
    why = resolved.status();
    if (!resolved.ok() && why.code() == Code::kNotFound && !node_.ListsReadyLocked().ok())
      why = node_.ListsReadyLocked();
    const Container* container = why.ok() ? node_.tables_.Find(*resolved) : nullptr;
    const Sandbox* sandbox =
        container == nullptr ? nullptr : node_.tables_.Find(container->sandbox());
    if (why.ok() && (sandbox == nullptr || !container->shown))
      why = NotFound("no container \"" + resolved->str() + "\"");
    if (why.ok()) {
      id = *resolved;
      sandbox_id = container->sandbox();
      *response.mutable_status() = StatusOf(*container, *sandbox, node_.Now());
      const std::string trouble = request.verbose() ? node_.TroubleLocked(*container) : "";
      if (!trouble.empty()) (*response.mutable_info())["retrying"] = trouble;
    }
  }
  if (!why.ok() || !request.verbose()) return why.ok() ? reply(std::move(response)) : reply(why);
  node_.PostOrFail<runtime::v1::ContainerStatusResponse>(
      "inspect/" + id.str(), std::move(reply),
      [this, call, id, sandbox_id,
       response](Reply<runtime::v1::ContainerStatusResponse> answer) mutable {
        auto inspected = node_.ports_.site.InspectContainer(
            node_.RequestOf(call.Capped(kVerbose)).call, sandbox_id, id);
        (*response.mutable_info())[inspected.ok() ? "info" : "site"] =
            inspected.ok() ? inspected->info() : inspected.status().message();
        answer(std::move(response));
      });
}

Result<Slices> LiveNode::ContainerCalls::List(const runtime::v1::ContainerFilter& filter) const {
  node_.NoteListed();
  MutexLock lock(node_.mutex_);
  RETURN_IF_ERROR(node_.ListsReadyLocked());
  Slices slices;
  const bool all = filter.ByteSizeLong() == 0;
  if (all) slices.reserve(node_.tables_.containers.size());
  for (const auto& [id, container] : node_.tables_.containers) {
    if (container.slice != nullptr && (all || Matches(filter, container)))
      slices.push_back(container.slice);
  }
  return slices;
}

void LiveNode::ContainerCalls::ReopenLog(const Call&,
                                         const runtime::v1::ReopenContainerLogRequest& request,
                                         Reply<runtime::v1::ReopenContainerLogResponse> reply) {
  ContainerId id;
  bool running = false;
  Status why;
  {
    MutexLock lock(node_.mutex_);
    const auto resolved = node_.tables_.ResolveContainer(request.container_id());
    why = resolved.status();
    if (why.ok()) {
      id = *resolved;
      running = node_.tables_.Find(id)->shown == runtime::v1::CONTAINER_RUNNING;
    }
  }
  if (!why.ok()) return reply(why);
  if (!running)
    return reply(FailedPrecondition("container \"" + id.str() +
                                    "\" is not running: its log is not opened again"));
  node_.PostOrFail<runtime::v1::ReopenContainerLogResponse>(
      "log/" + id.str(), std::move(reply),
      [this, id](Reply<runtime::v1::ReopenContainerLogResponse> answer) {
        const Status status = node_.ports_.log_files.Reopen(id, true);
        status.ok() ? answer(runtime::v1::ReopenContainerLogResponse()) : answer(status);
      });
}

void LiveNode::ContainerCalls::ExecSync(const Call& call,
                                        const runtime::v1::ExecSyncRequest& request,
                                        Reply<runtime::v1::ExecSyncResponse> reply) {
  interlink::v1::ExecSyncRequest exec;
  ContainerId id;
  SandboxId sandbox;
  LinkNumber link = 0;
  std::optional<Call> away;
  Status why;
  {
    MutexLock lock(node_.mutex_);
    const auto resolved = node_.tables_.ResolveContainer(request.container_id());
    why = resolved.status();
    away = node_.site_away_;
    if (why.ok()) {
      const Container& container = *node_.tables_.Find(*resolved);
      id = *resolved;
      sandbox = container.sandbox();
      link = node_.link_;
      if (container.shown != runtime::v1::CONTAINER_RUNNING ||
          container.stored.fact().seen() != interlink::v1::SEEN_UP) {
        why = FailedPrecondition("container \"" + id.str() + "\" is not running");
      }
      if (why.ok()) why = node_.ReachableLocked();
    }
    if (why.ok() && request.cmd().empty())
      why = InvalidArgument("cmd is empty: which command is to be run?");
    if (why.ok() && request.timeout() < 0) why = InvalidArgument("timeout is negative");
  }
  if (!why.ok()) return reply(why);
  exec.set_exec_id(MintSessionId().str());
  *exec.mutable_cmd() = request.cmd();
  constexpr int64_t kMillis = 1000;
  exec.set_timeout_ms(request.timeout() * kMillis);
  // Owner of both: the request's callback; of the answer also what does not wait for the command.
  const auto answer = std::make_shared<Answer<runtime::v1::ExecSyncResponse>>(std::move(reply));
  const auto ends = std::make_shared<std::vector<Call::Registration>>();
  ends->push_back(node_.stopped_.OnCancel([answer, call] {
    answer->Give(ShuttingDown());
    call.Cancel();
  }));
  ends->push_back(away->OnCancel([answer, call, site = node_.options_.site_name] {
    answer->Give(Unavailable("site " + site + " cannot be reached, the command may still run"));
    call.Cancel();
  }));
  node_.ports_.site.ExecSync(
      call.Capped(ExecLimit(call.remaining(), request.timeout())), link, sandbox, id, exec,
      [answer, ends](Result<interlink::v1::ExecSyncResponse> result) {
        if (!result.ok()) return answer->Give(ForCaller(result.status()));
        if (result->timed_out())
          return answer->Give(DeadlineExceeded("the command overran its timeout and was killed"));
        runtime::v1::ExecSyncResponse response;
        response.set_stdout(std::move(*result->mutable_stdout()));
        response.set_stderr(std::move(*result->mutable_stderr()));
        response.set_exit_code(result->exit_code());
        answer->Give(std::move(response));
      });
}

}  // namespace interlink::node
