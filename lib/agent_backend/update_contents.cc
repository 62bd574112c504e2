// What kubelet has changed in the volumes of a container: for its agent, or for the one to come.
#include "agent_backend/agent_backend.h"

namespace interlink::agent_backend {

using agent::v1::Fact;

Status AgentBackend::UpdateContents(const Call& call, const SandboxId& sandbox,
                                    const ContainerId& id, const sdk::MountContents& contents) {
  const EntryPtr entry = Find(sandbox);
  RETURN_IF_ERROR(CheckContainer(sandbox, id));
  if (Status answer; KeepContents(entry, id, contents, answer)) return answer;
  RETURN_IF_ERROR(CheckAgent(sandbox, entry));
  return agents_->UpdateContents(call, sandbox, id, contents);
}

// True: `answer` is all there is to do, without an agent. Under the lock nobody begins to carry the
// container, so its agent gets what was kept before, and is told of what comes after.
bool AgentBackend::KeepContents(const EntryPtr& entry, const ContainerId& id,
                                const sdk::MountContents& contents, Status& answer) {
  MutexLock lock(entry->mutex);
  const auto* container = entry->pod.Find(id);
  if (container == nullptr) {
    answer = NotFound("the container was removed");
    return true;
  }
  if (container->fact().state() >= Fact::DOWN) {
    answer = FailedPrecondition("the container has ended");
    return true;
  }
  // Also when its agent tells of it already: what is carried now is older.
  if (entry->carried.contains(id)) {
    answer = Unavailable("the container is on its way to its allocation: ask again");
    return true;
  }
  if (!entry->pod.IsQueued(id)) return false;
  const SandboxId sandbox = entry->pod.id();
  auto kept = files_.LoadContents(sandbox, id);
  answer = kept.status();
  if (!answer.ok()) return true;
  for (const auto& [path, content] : contents) (*kept)[path] = content;
  answer = files_.SaveContents(sandbox, id, *kept);
  return true;
}

}  // namespace interlink::agent_backend
