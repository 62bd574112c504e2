// UpdateContainer.
#include "base/rollback.h"
#include "engine/engine.h"
#include "engine/oci_spec.h"
#include "engine/plan_container.h"
#include "runtime/v1/api.pb.h"
#include "sdk/merged_resources.h"

namespace interlink::engine {
namespace {

constexpr auto kUpdateStep = std::chrono::seconds(10);

// What takes `change` back: `before`, and the kernel's own value where nothing was set before (a
// zero would leave what the change has brought). A cpuset that was free stays as it was changed.
runtime::v1::LinuxContainerResources UndoOf(const runtime::v1::LinuxContainerResources& change,
                                            const runtime::v1::LinuxContainerResources& before) {
  constexpr int64_t kShares = 1024;
  constexpr int64_t kPeriod = 100'000;
  constexpr int64_t kNoLimit = -1;
  runtime::v1::LinuxContainerResources undo = before;
  if (change.memory_limit_in_bytes() != 0 && before.memory_limit_in_bytes() == 0)
    undo.set_memory_limit_in_bytes(kNoLimit);
  if (change.memory_swap_limit_in_bytes() != 0 && before.memory_swap_limit_in_bytes() == 0)
    undo.set_memory_swap_limit_in_bytes(kNoLimit);
  if (change.cpu_quota() != 0 && before.cpu_quota() == 0) undo.set_cpu_quota(kNoLimit);
  if (change.cpu_period() != 0 && before.cpu_period() == 0) undo.set_cpu_period(kPeriod);
  if (change.cpu_shares() != 0 && before.cpu_shares() == 0) undo.set_cpu_shares(kShares);
  return undo;
}

}  // namespace

Status Engine::UpdateContainer(const Call& call, const SandboxId& sandbox, const ContainerId& id,
                               const runtime::v1::LinuxContainerResources& resources) {
  return RunInLane(call, sandbox, [this, sandbox, id, bytes = resources.SerializeAsString()] {
    return UpdateStep(sandbox, id, bytes);
  });
}

Status Engine::UpdateStep(const SandboxId& sandbox, const ContainerId& id,
                          const std::string& resources) {
  if (options_.rootless) {
    return Unimplemented(
        "resources: the limits are those of the whole allocation and cannot be changed here");
  }
  const auto pod = View(sandbox);
  ASSIGN_OR_RETURN(ContainerRecord record, RecordOf(sandbox, id));
  if (!pod) return NotFound("no sandbox \"" + sandbox.str() + "\"");
  if (AwaitEnd(sandbox, id, Duration::zero())) {
    return FailedPrecondition("container \"" + id.str() + "\" has ended");
  }
  runtime::v1::LinuxContainerResources before;
  runtime::v1::LinuxContainerResources change;
  if (!before.ParseFromString(record.resources) || !change.ParseFromString(resources)) {
    return DataLoss("the resources of container \"" + id.str() + "\" are damaged");
  }
  const runtime::v1::LinuxContainerResources after = sdk::MergedResources(before, change);
  const CgroupFeatures& features = cgroups_.features();
  ASSIGN_OR_RETURN(const std::string wanted, OciResources(features, after));
  ASSIGN_OR_RETURN(const std::string old, OciResources(features, UndoOf(change, before)));
  const Call call = Call::WithTimeout(kUpdateStep);
  const std::string root = pod->folder.RuntimeRoot();
  record.resources = after.SerializeAsString();
  Rollback rollback;
  // Before the step: a part of it may have been done when it fails.
  rollback.Push("the limits", [&] { return shim_.UpdateContainer(call, root, id.str(), old); });
  if (Status status = shim_.UpdateContainer(call, root, id.str(), wanted); !status.ok())
    return rollback.Fail(status);
  const bool may_lower = MayLowerOomScore();
  const int score = OomScore(before.oom_score_adj(), may_lower);
  const int new_score = OomScore(after.oom_score_adj(), may_lower);
  rollback.Push("the score for the OOM killer",
                [&] { return cgroups_.MoveOomScore(call, record.cgroup, new_score, score); });
  if (Status status = cgroups_.MoveOomScore(call, record.cgroup, score, new_score); !status.ok())
    return rollback.Fail(status);
  if (Status status = Save(pod->folder, record); !status.ok()) return rollback.Fail(status);
  rollback.Dismiss();
  MutexLock lock(mutex_);
  if (Container* container = FindLocked(sandbox, id)) {
    container->fact.config = ConfigInForce(record);
    container->record = std::move(record);
  }
  return {};
}

}  // namespace interlink::engine
