// Commands: carries out what the hub asks for, by the backend. Thread-safe; what changes something
// is the caller's to order.
#ifndef INTERLINK_AGENT_COMMANDS_H_
#define INTERLINK_AGENT_COMMANDS_H_

#include "agent/agent_host.h"
#include "agent/layer_folder.h"
#include "agent/pod_folder.h"
#include "base/call.h"
#include "base/id.h"
#include "interlink/agent/v1/agent.pb.h"
#include "sdk/backend.h"

namespace interlink::agent {

// True: its place among the others matters. Pure.
bool IsChange(const v1::Command& command);

class Commands {
 public:
  // All outlive it. `layers`: null: this agent takes none.
  Commands(const SandboxId& sandbox, sdk::Backend& backend, AgentHost& host, PodFolder& folder,
           LayerFolder* layers)
      : sandbox_(sandbox), backend_(backend), host_(host), folder_(folder), layers_(layers) {}

  // Everything but open_stream and leave. The answer has the command's number, and the backend's
  // status. What was stopped or removed is marked before it is, and refused afterwards with
  // kFailedPrecondition.
  v1::Answer Carry(const Call& call, const v1::Command& command);
  // The session or connection that open_stream asks for, as of sdk::Backend; or where a layer comes
  // in, as of LayerFolder.
  Result<UniqueFd> Open(const Call& call, const v1::OpenStream& request);

 private:
  Status Change(const Call& call, const v1::Command& command);
  Status Run(const Call& call, const v1::RunSandbox& what);
  Status Create(const Call& call, const v1::CreateContainer& what);
  Status Start(const Call& call, const v1::StartContainer& what);
  Status UpdateContents(const Call& call, const v1::UpdateContents& what);
  Status Look(const Call& call, const v1::Command& command, v1::Answer& answer);
  Status RefuseGone(const std::string& id);
  // A layer that was put becomes its folder.
  Status TakeImage(v1::Image image);

  const SandboxId sandbox_;
  sdk::Backend& backend_;
  AgentHost& host_;
  PodFolder& folder_;
  LayerFolder* const layers_;
};

}  // namespace interlink::agent

#endif  // INTERLINK_AGENT_COMMANDS_H_
