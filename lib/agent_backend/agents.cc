#include "agent_backend/agents.h"

namespace interlink::agent_backend {
namespace {

class HubAgents final : public Agents {
 public:
  explicit HubAgents(agent_hub::AgentHub& hub) : hub_(hub), calls_(hub) {}

  std::string TokenOf(const SandboxId& id) const override { return hub_.TokenOf(id); }
  Result<std::string> Close(const SandboxId& id) override { return hub_.Close(id); }
  Result<std::string> BoundTo(const SandboxId& id) override { return hub_.BoundTo(id); }
  Result<bool> HasLeft(const SandboxId& id) override { return hub_.HasLeft(id); }
  Status Forget(const SandboxId& id) override { return hub_.Forget(id); }
  std::optional<Duration> Silence(const SandboxId& id) override { return hub_.Silence(id); }
  Status Carry(UniqueFd relay, std::function<void()> over) override {
    return hub_.Carry(std::move(relay), std::move(over));
  }

  Status RunSandbox(const Call& call, const sdk::SandboxSpec& spec) override {
    return calls_.RunSandbox(call, spec);
  }
  Status StopSandbox(const Call& call, const NodeId& node, const SandboxId& id) override {
    return calls_.StopSandbox(call, node, id);
  }
  Status UpdateSandbox(const Call& call, const NodeId& node, const SandboxId& id,
                       const runtime::v1::LinuxContainerResources& resources,
                       const runtime::v1::LinuxContainerResources& overhead) override {
    return calls_.UpdateSandbox(call, node, id, resources, overhead);
  }
  Status CreateContainer(const Call& call, const sdk::ContainerSpec& spec,
                         const agent_hub::AgentImages& images) override {
    return calls_.CreateContainer(call, spec, images);
  }
  Status StartContainer(const Call& call, const SandboxId& sandbox,
                        const ContainerId& id) override {
    return calls_.StartContainer(call, sandbox, id);
  }
  Status StopContainer(const Call& call, const SandboxId& sandbox, const ContainerId& id,
                       std::chrono::seconds grace) override {
    return calls_.StopContainer(call, sandbox, id, grace);
  }
  Status RemoveContainer(const Call& call, const SandboxId& sandbox,
                         const ContainerId& id) override {
    return calls_.RemoveContainer(call, sandbox, id);
  }
  Status UpdateContainer(const Call& call, const SandboxId& sandbox, const ContainerId& id,
                         const runtime::v1::LinuxContainerResources& resources) override {
    return calls_.UpdateContainer(call, sandbox, id, resources);
  }
  Status UpdateContents(const Call& call, const SandboxId& sandbox, const ContainerId& id,
                        const sdk::MountContents& contents) override {
    return calls_.UpdateContents(call, sandbox, id, contents);
  }
  Result<UniqueFd> OpenSession(const Call& call, const sdk::SessionSpec& spec) override {
    return calls_.OpenSession(call, spec);
  }
  Result<UniqueFd> Dial(const Call& call, const SandboxId& sandbox, uint16_t port) override {
    return calls_.Dial(call, sandbox, port);
  }
  Result<UniqueFd> PutLayer(const Call& call, const SandboxId& sandbox,
                            const std::string& name) override {
    return calls_.PutLayer(call, sandbox, name);
  }
  Result<sdk::LogChunk> ReadLog(const Call& call, const SandboxId& sandbox, const ContainerId& id,
                                uint64_t offset, size_t max) override {
    return calls_.ReadLog(call, sandbox, id, offset, max);
  }
  Result<sdk::Usage> Stats(const Call& call, const SandboxId& sandbox) override {
    return calls_.Stats(call, sandbox);
  }
  Result<std::string> Inspect(const Call& call, const SandboxId& sandbox,
                              const ContainerId& container) override {
    return calls_.Inspect(call, sandbox, container);
  }
  Status Leave(const Call& call, const SandboxId& sandbox) override {
    return calls_.Leave(call, sandbox);
  }

 private:
  agent_hub::AgentHub& hub_;
  agent_hub::AgentCalls calls_;
};

}  // namespace

std::unique_ptr<Agents> AgentsOf(agent_hub::AgentHub& hub) {
  return std::make_unique<HubAgents>(hub);
}

}  // namespace interlink::agent_backend
