// Internal: the state of one pod that runs in an allocation: what was asked for, what its agent has
// said, what its allocation has become. No I/O, no clock, no locks.
//
//   sandbox:    PENDING -> UP -> DOWN     PENDING -> FAILED
//   containers: PENDING -> CREATED -> UP -> DOWN
//
// An agent's word ends a container, never the sandbox: that takes the allocation's proven end.
#ifndef INTERLINK_AGENT_BACKEND_AGENT_POD_H_
#define INTERLINK_AGENT_BACKEND_AGENT_POD_H_

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "interlink/v1/agent_pod.pb.h"
#include "sdk/backend.h"
#include "sdk/observation.h"
#include "sdk/provisioner.h"

namespace interlink::agent_backend {

using Observations = std::vector<sdk::Observation>;

// How the containers of an ended allocation ended, as the agent recorded it.
using LeftExits = std::map<ContainerId, sdk::Observation>;
// Where the saved logs of those end of which it recorded no end.
using LogEnds = std::map<ContainerId, uint64_t>;

class AgentPod {
 public:
  explicit AgentPod(interlink::v1::StoredAgentPod stored) : stored_(std::move(stored)) {}
  // Asked for.
  static AgentPod Of(const sdk::SandboxSpec& spec);
  // Stopped or removed before it was known: a tombstone.
  static AgentPod Of(const NodeId& node, const SandboxId& id);

  const interlink::v1::StoredAgentPod& stored() const { return stored_; }
  SandboxId id() const { return SandboxId(stored_.id()); }
  NodeId node() const { return NodeId(stored_.node_id()); }
  bool wants_run() const { return stored_.wanted() == interlink::v1::WANTED_CREATE; }
  bool is_pending() const { return stored_.fact().state() == agent::v1::Fact::PENDING; }
  bool has_failed() const { return stored_.fact().state() == agent::v1::Fact::FAILED; }
  bool ended() const { return stored_.ended(); }
  // Its agent runs no sandbox any more: nothing can run in the allocation, which is to be given
  // back. Not stored: each complete report tells it again.
  bool is_useless() const { return useless_; }
  // Those that may have run.
  std::vector<ContainerId> WithoutEnd() const;
  // The queue's last word about it.
  const sdk::AllocationFact& allocation() const { return allocation_; }

  // Only rises. True: it has.
  bool Want(interlink::v1::Wanted wanted);

  interlink::v1::StoredAgentContainer* Find(const ContainerId& id);
  interlink::v1::StoredAgentContainer& Add(const sdk::ContainerSpec& spec);
  void Remove(const ContainerId& id);

  // Each answers what is new, for the site; what must be stored first has changed then.
  Observations TakeAllocation(const sdk::AllocationFact& fact);
  // `complete`: what it does not name, the agent does not have.
  Observations TakeReport(const Observations& facts, bool complete, int64_t now_ns);
  // REQUIRES: fact.state is kEnded. Final.
  Observations TakeEnd(const sdk::AllocationFact& fact, const LeftExits& exits, int64_t now_ns,
                       const LogEnds& log_ends = {});
  // The start failed for good; its allocation is to be given back.
  Observations Fail(const std::string& why, int64_t now_ns);

  // All that there is, with what it takes to import it.
  Observations All() const;
  sdk::Observation SandboxFact() const;
  sdk::Observation FactOf(const interlink::v1::StoredAgentContainer& container) const;

 private:
  interlink::v1::StoredAgentPod stored_;
  sdk::AllocationFact allocation_;
  bool useless_ = false;
};

}  // namespace interlink::agent_backend

#endif  // INTERLINK_AGENT_BACKEND_AGENT_POD_H_
