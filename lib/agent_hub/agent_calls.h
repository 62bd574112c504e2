// AgentCalls: what sdk::Backend asks of a pod, asked of the pod's agent. Each method has the
// contract of the method of that name in sdk/backend.h, and waits for the agent's answer until the
// call's deadline. kUnavailable: no agent, or unknown whether it happened. Thread-safe.
#ifndef INTERLINK_AGENT_HUB_AGENT_CALLS_H_
#define INTERLINK_AGENT_HUB_AGENT_CALLS_H_

#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "agent_hub/hub.h"
#include "base/call.h"
#include "sdk/backend.h"
#include "sdk/host.h"

namespace interlink::agent_hub {

// What a container is made of, and by the id the images of its volumes. Of layers: folders that the
// agent can read, or the names of such as it has by PutLayer.
struct AgentImages {
  sdk::UnpackedImage own;
  std::map<std::string, sdk::UnpackedImage> volumes;
};

class AgentCalls {
 public:
  // `hub` outlives it.
  explicit AgentCalls(AgentHub& hub) : hub_(hub) {}

  Status RunSandbox(const Call& call, const sdk::SandboxSpec& spec);
  Status StopSandbox(const Call& call, const NodeId& node, const SandboxId& id);
  Status RemoveSandbox(const Call& call, const NodeId& node, const SandboxId& id);
  Status UpdateSandbox(const Call& call, const NodeId& node, const SandboxId& id,
                       const runtime::v1::LinuxContainerResources& resources,
                       const runtime::v1::LinuxContainerResources& overhead);
  // REQUIRES: an image for each of spec.volume_images.
  Status CreateContainer(const Call& call, const sdk::ContainerSpec& spec,
                         const AgentImages& images);
  Status StartContainer(const Call& call, const SandboxId& sandbox, const ContainerId& id);
  Status StopContainer(const Call& call, const SandboxId& sandbox, const ContainerId& id,
                       std::chrono::seconds grace);
  Status RemoveContainer(const Call& call, const SandboxId& sandbox, const ContainerId& id);
  Status UpdateContainer(const Call& call, const SandboxId& sandbox, const ContainerId& id,
                         const runtime::v1::LinuxContainerResources& resources);
  Status UpdateContents(const Call& call, const SandboxId& sandbox, const ContainerId& id,
                        const sdk::MountContents& contents);
  Result<UniqueFd> OpenSession(const Call& call, const sdk::SessionSpec& spec);
  Result<UniqueFd> Dial(const Call& call, const SandboxId& sandbox, uint16_t port);
  // A socket that takes an archive of the layer and gives the agent's line (PutLayer in the
  // protocol). kAlreadyExists: the agent has it.
  Result<UniqueFd> PutLayer(const Call& call, const SandboxId& sandbox, const std::string& name);
  // At most 1 MiB.
  Result<sdk::LogChunk> ReadLog(const Call& call, const SandboxId& sandbox, const ContainerId& id,
                                uint64_t offset, size_t max);
  // Of one pod.
  Result<sdk::Usage> Stats(const Call& call, const SandboxId& sandbox);
  Result<std::vector<sdk::Observation>> Observe(const Call& call, const SandboxId& sandbox);
  Result<std::string> Inspect(const Call& call, const SandboxId& sandbox,
                              const ContainerId& container);
  // The agent stops its containers with their grace, tells their ends and ends itself. OK: it has
  // begun to.
  Status Leave(const Call& call, const SandboxId& sandbox);

 private:
  AgentHub& hub_;
};

}  // namespace interlink::agent_hub

#endif  // INTERLINK_AGENT_HUB_AGENT_CALLS_H_
