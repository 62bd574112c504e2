#include "agent_hub/facts.h"

#include "interlink/agent/v1/agent.pb.h"

namespace interlink::agent_hub {
namespace {

using State = sdk::Observation::State;

Result<State> StateFrom(agent::v1::Fact::State state) {
  switch (state) {
    case agent::v1::Fact::PENDING:
      return State::kPending;
    case agent::v1::Fact::CREATED:
      return State::kCreated;
    case agent::v1::Fact::UP:
      return State::kUp;
    case agent::v1::Fact::DOWN:
      return State::kDown;
    case agent::v1::Fact::FAILED:
      return State::kFailed;
    case agent::v1::Fact::ABSENT:
      return State::kAbsent;
    default:
      return InvalidArgument("a fact has the unknown state " +
                             std::to_string(static_cast<int>(state)));
  }
}

}  // namespace

Result<sdk::Observation> FromFact(const SandboxId& sandbox, const agent::v1::Fact& fact) {
  if (!fact.container_id().empty() && !IsFullId(fact.container_id())) {
    return InvalidArgument("a fact's container id is not 64 hex digits");
  }
  sdk::Observation seen;
  ASSIGN_OR_RETURN(seen.state, StateFrom(fact.state()));
  seen.node = NodeId(fact.node_id());
  seen.sandbox = sandbox;
  seen.container = ContainerId(fact.container_id());
  seen.revision = fact.revision();
  seen.exit_code = fact.exit_code();
  seen.log_end = fact.log_end();
  seen.started_ns = fact.started_ns();
  seen.finished_ns = fact.finished_ns();
  seen.reason = fact.reason();
  seen.message = fact.message();
  seen.ips.assign(fact.ips().begin(), fact.ips().end());
  seen.termination_message = fact.termination_message();
  seen.user_known = fact.user_known();
  seen.uid = fact.uid();
  seen.gid = fact.gid();
  seen.supplemental_groups.assign(fact.supplemental_groups().begin(),
                                  fact.supplemental_groups().end());
  seen.config = fact.config();
  seen.handler = fact.handler();
  seen.image_id = fact.image_id();
  return seen;
}

}  // namespace interlink::agent_hub
