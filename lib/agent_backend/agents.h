// Internal: what AgentBackend needs of the hub. Each method has the contract of agent_hub/hub.h or
// agent_hub/agent_calls.h. Thread-safe.
#ifndef INTERLINK_AGENT_BACKEND_AGENTS_H_
#define INTERLINK_AGENT_BACKEND_AGENTS_H_

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent_hub/agent_calls.h"
#include "agent_hub/hub.h"
#include "sdk/backend.h"
#include "sdk/host.h"

namespace interlink::agent_backend {

class Agents {
 public:
  virtual ~Agents() = default;

  virtual std::string TokenOf(const SandboxId& id) const = 0;
  virtual Result<std::string> Close(const SandboxId& id) = 0;
  virtual Result<std::string> BoundTo(const SandboxId& id) = 0;
  virtual Result<bool> HasLeft(const SandboxId& id) = 0;
  virtual Status Forget(const SandboxId& id) = 0;
  virtual std::optional<Duration> Silence(const SandboxId& id) = 0;
  virtual Status Carry(UniqueFd relay, std::function<void()> over) = 0;

  virtual Status RunSandbox(const Call& call, const sdk::SandboxSpec& spec) = 0;
  virtual Status StopSandbox(const Call& call, const NodeId& node, const SandboxId& id) = 0;
  virtual Status UpdateSandbox(const Call& call, const NodeId& node, const SandboxId& id,
                               const runtime::v1::LinuxContainerResources& resources,
                               const runtime::v1::LinuxContainerResources& overhead) = 0;
  virtual Status CreateContainer(const Call& call, const sdk::ContainerSpec& spec,
                                 const agent_hub::AgentImages& images) = 0;
  virtual Status StartContainer(const Call& call, const SandboxId& sandbox,
                                const ContainerId& id) = 0;
  virtual Status StopContainer(const Call& call, const SandboxId& sandbox, const ContainerId& id,
                               std::chrono::seconds grace) = 0;
  virtual Status RemoveContainer(const Call& call, const SandboxId& sandbox,
                                 const ContainerId& id) = 0;
  virtual Status UpdateContainer(const Call& call, const SandboxId& sandbox, const ContainerId& id,
                                 const runtime::v1::LinuxContainerResources& resources) = 0;
  virtual Status UpdateContents(const Call& call, const SandboxId& sandbox, const ContainerId& id,
                                const sdk::MountContents& contents) = 0;
  virtual Result<UniqueFd> OpenSession(const Call& call, const sdk::SessionSpec& spec) = 0;
  virtual Result<UniqueFd> Dial(const Call& call, const SandboxId& sandbox, uint16_t port) = 0;
  virtual Result<UniqueFd> PutLayer(const Call& call, const SandboxId& sandbox,
                                    const std::string& name) = 0;
  virtual Result<sdk::LogChunk> ReadLog(const Call& call, const SandboxId& sandbox,
                                        const ContainerId& id, uint64_t offset, size_t max) = 0;
  virtual Result<sdk::Usage> Stats(const Call& call, const SandboxId& sandbox) = 0;
  virtual Result<std::string> Inspect(const Call& call, const SandboxId& sandbox,
                                      const ContainerId& container) = 0;
  virtual Status Leave(const Call& call, const SandboxId& sandbox) = 0;
};

// The hub's. `hub` outlives it.
std::unique_ptr<Agents> AgentsOf(agent_hub::AgentHub& hub);

}  // namespace interlink::agent_backend

#endif  // INTERLINK_AGENT_BACKEND_AGENTS_H_
