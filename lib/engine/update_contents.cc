// UpdateContents: what kubelet has changed since the container was created.
#include "engine/engine.h"
#include "engine/mount_contents.h"

namespace interlink::engine {

Status Engine::UpdateContents(const Call& call, const SandboxId& sandbox, const ContainerId& id,
                              const sdk::MountContents& contents) {
  RETURN_IF_ERROR(CheckContents(contents));
  return RunInLane(call, sandbox, [this, sandbox, id, contents] {
    return UpdateContentsStep(sandbox, id, contents);
  });
}

Status Engine::UpdateContentsStep(const SandboxId& sandbox, const ContainerId& id,
                                  const sdk::MountContents& contents) {
  const auto pod = View(sandbox);
  ASSIGN_OR_RETURN(const ContainerRecord record, RecordOf(sandbox, id));
  if (!pod) return NotFound("no sandbox \"" + sandbox.str() + "\"");
  if (AwaitEnd(sandbox, id, Duration::zero())) {
    return FailedPrecondition("container \"" + id.str() + "\" has ended");
  }
  const bool one_id = options_.rootless && features_.own_ids == 1;
  return ExchangeContents(contents, record.contents, pod->folder.Contents(id), !one_id);
}

}  // namespace interlink::engine
