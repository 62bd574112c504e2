#include "agent_hub/agent_calls.h"

#include <algorithm>
#include <limits>

#include "agent_hub/facts.h"

namespace interlink::agent_hub {
namespace {

using agent::v1::Command;

template <typename From, typename To>
void CopyWords(const From& from, To* to) {
  to->Assign(from.begin(), from.end());
}

void FillImage(const sdk::UnpackedImage& from, agent::v1::Image* to) {
  to->set_id(from.id);
  CopyWords(from.layers, to->mutable_layers());
  to->set_user(from.config.user);
  CopyWords(from.config.env, to->mutable_env());
  CopyWords(from.config.entrypoint, to->mutable_entrypoint());
  CopyWords(from.config.cmd, to->mutable_cmd());
  to->set_working_dir(from.config.working_dir);
  to->set_stop_signal(from.config.stop_signal);
  CopyWords(from.config.volumes, to->mutable_volumes());
}

// What exec and attach have in common.
template <typename Session>
void FillSession(const sdk::SessionSpec& from, Session* to) {
  to->set_session_id(from.session.str());
  to->set_container_id(from.container.str());
  to->set_tty(from.tty);
  to->set_in(from.in);
  to->set_out(from.out);
  to->set_err(from.err);
}

}  // namespace

Status AgentCalls::RunSandbox(const Call& call, const sdk::SandboxSpec& spec) {
  Command command;
  auto* what = command.mutable_run_sandbox();
  what->set_node_id(spec.node.str());
  what->set_handler(spec.handler);
  *what->mutable_config() = spec.config;
  return hub_.Ask(call, spec.id, std::move(command)).status();
}

Status AgentCalls::StopSandbox(const Call& call, const NodeId& node, const SandboxId& id) {
  Command command;
  command.mutable_stop_sandbox()->set_node_id(node.str());
  return hub_.Ask(call, id, std::move(command)).status();
}

Status AgentCalls::RemoveSandbox(const Call& call, const NodeId& node, const SandboxId& id) {
  Command command;
  command.mutable_remove_sandbox()->set_node_id(node.str());
  return hub_.Ask(call, id, std::move(command)).status();
}

Status AgentCalls::UpdateSandbox(const Call& call, const NodeId& node, const SandboxId& id,
                                 const runtime::v1::LinuxContainerResources& resources,
                                 const runtime::v1::LinuxContainerResources& overhead) {
  Command command;
  auto* what = command.mutable_update_sandbox();
  what->set_node_id(node.str());
  *what->mutable_resources() = resources;
  *what->mutable_overhead() = overhead;
  return hub_.Ask(call, id, std::move(command)).status();
}

Status AgentCalls::CreateContainer(const Call& call, const sdk::ContainerSpec& spec,
                                   const AgentImages& images) {
  Command command;
  auto* what = command.mutable_create_container();
  what->set_node_id(spec.node.str());
  what->set_container_id(spec.id.str());
  FillImage(images.own, what->mutable_image());
  for (const auto& [name, id] : spec.volume_images) {
    const auto image = images.volumes.find(id);
    if (image == images.volumes.end()) {
      return InternalError("image \"" + id + "\" of a volume is not held");
    }
    FillImage(image->second, &(*what->mutable_volume_images())[name]);
  }
  *what->mutable_config() = spec.config;
  *what->mutable_sandbox_config() = spec.sandbox_config;
  for (const auto& [host_path, content] : spec.contents) {
    (*what->mutable_contents())[host_path] = *content;
  }
  return hub_.Ask(call, spec.sandbox, std::move(command)).status();
}

Status AgentCalls::StartContainer(const Call& call, const SandboxId& sandbox,
                                  const ContainerId& id) {
  Command command;
  command.mutable_start_container()->set_container_id(id.str());
  return hub_.Ask(call, sandbox, std::move(command)).status();
}

Status AgentCalls::StopContainer(const Call& call, const SandboxId& sandbox, const ContainerId& id,
                                 std::chrono::seconds grace) {
  Command command;
  command.mutable_stop_container()->set_container_id(id.str());
  command.mutable_stop_container()->set_grace_seconds(grace.count());
  return hub_.Ask(call, sandbox, std::move(command)).status();
}

Status AgentCalls::RemoveContainer(const Call& call, const SandboxId& sandbox,
                                   const ContainerId& id) {
  Command command;
  command.mutable_remove_container()->set_container_id(id.str());
  return hub_.Ask(call, sandbox, std::move(command)).status();
}

Status AgentCalls::UpdateContainer(const Call& call, const SandboxId& sandbox,
                                   const ContainerId& id,
                                   const runtime::v1::LinuxContainerResources& resources) {
  Command command;
  command.mutable_update_container()->set_container_id(id.str());
  *command.mutable_update_container()->mutable_resources() = resources;
  return hub_.Ask(call, sandbox, std::move(command)).status();
}

Status AgentCalls::UpdateContents(const Call& call, const SandboxId& sandbox, const ContainerId& id,
                                  const sdk::MountContents& contents) {
  Command command;
  command.mutable_update_contents()->set_container_id(id.str());
  for (const auto& [host_path, content] : contents) {
    (*command.mutable_update_contents()->mutable_contents())[host_path] = *content;
  }
  return hub_.Ask(call, sandbox, std::move(command)).status();
}

Result<UniqueFd> AgentCalls::OpenSession(const Call& call, const sdk::SessionSpec& spec) {
  agent::v1::OpenStream request;
  if (spec.attach) {
    FillSession(spec, request.mutable_attach());
  } else {
    FillSession(spec, request.mutable_exec());
    CopyWords(spec.argv, request.mutable_exec()->mutable_argv());
    request.mutable_exec()->set_kill_on_close(spec.kill_on_close);
  }
  return hub_.Open(call, spec.sandbox, std::move(request));
}

Result<UniqueFd> AgentCalls::Dial(const Call& call, const SandboxId& sandbox, uint16_t port) {
  agent::v1::OpenStream request;
  request.mutable_dial()->set_port(port);
  return hub_.Open(call, sandbox, std::move(request));
}

Result<UniqueFd> AgentCalls::PutLayer(const Call& call, const SandboxId& sandbox,
                                      const std::string& name) {
  agent::v1::OpenStream request;
  request.mutable_put_layer()->set_name(name);
  return hub_.Open(call, sandbox, std::move(request));
}

Result<sdk::LogChunk> AgentCalls::ReadLog(const Call& call, const SandboxId& sandbox,
                                          const ContainerId& id, uint64_t offset, size_t max) {
  Command command;
  auto* what = command.mutable_read_log();
  what->set_container_id(id.str());
  what->set_offset(offset);
  what->set_max(static_cast<uint32_t>(std::min<size_t>(max, std::numeric_limits<uint32_t>::max())));
  ASSIGN_OR_RETURN(agent::v1::Answer answer, hub_.Ask(call, sandbox, std::move(command)));
  auto* log = answer.mutable_log();
  return sdk::LogChunk{std::move(*log->mutable_bytes()), log->next(), log->end()};
}

Result<sdk::Usage> AgentCalls::Stats(const Call& call, const SandboxId& sandbox) {
  Command command;
  command.mutable_stats();
  ASSIGN_OR_RETURN(const agent::v1::Answer answer, hub_.Ask(call, sandbox, std::move(command)));
  const auto& taken = answer.stats();
  sdk::Usage usage;
  usage.containers.assign(taken.containers().begin(), taken.containers().end());
  usage.sandboxes.assign(taken.sandboxes().begin(), taken.sandboxes().end());
  return usage;
}

Result<std::vector<sdk::Observation>> AgentCalls::Observe(const Call& call,
                                                          const SandboxId& sandbox) {
  Command command;
  command.mutable_observe();
  ASSIGN_OR_RETURN(const agent::v1::Answer answer, hub_.Ask(call, sandbox, std::move(command)));
  // No answer at all is not "nothing there".
  if (!answer.has_observed()) return InternalError("the agent's answer says nothing");
  std::vector<sdk::Observation> seen;
  for (const auto& fact : answer.observed().facts()) {
    ASSIGN_OR_RETURN(sdk::Observation one, FromFact(sandbox, fact));
    seen.push_back(std::move(one));
  }
  return seen;
}

Result<std::string> AgentCalls::Inspect(const Call& call, const SandboxId& sandbox,
                                        const ContainerId& container) {
  Command command;
  command.mutable_inspect()->set_container_id(container.str());
  ASSIGN_OR_RETURN(agent::v1::Answer answer, hub_.Ask(call, sandbox, std::move(command)));
  return std::move(*answer.mutable_inspected()->mutable_json());
}

Status AgentCalls::Leave(const Call& call, const SandboxId& sandbox) {
  Command command;
  command.mutable_leave();
  return hub_.Ask(call, sandbox, std::move(command)).status();
}

}  // namespace interlink::agent_hub
