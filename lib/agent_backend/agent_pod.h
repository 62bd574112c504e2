// Internal: the state of one pod that runs in an allocation: what was asked for, what its agent has
// said, what its allocation has become. No I/O, no clock, no locks.
//
//   sandbox:    PENDING -> UP -> DOWN     PENDING -> FAILED
//   containers: PENDING -> CREATED -> UP -> DOWN
//
// With `at_start` that is what the agent has; a PENDING sandbox is shown as up, its containers as
// created, or once started as running with the queue's words.
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
  // Asked for. `idle_tries`: how often before the same pod had an allocation and used it for
  // nothing.
  static AgentPod Of(const sdk::SandboxSpec& spec, uint32_t idle_tries = 0);
  // Stopped or removed before it was known: a tombstone.
  static AgentPod Of(const NodeId& node, const SandboxId& id);

  const interlink::v1::StoredAgentPod& stored() const { return stored_; }
  SandboxId id() const { return SandboxId(stored_.id()); }
  NodeId node() const { return NodeId(stored_.node_id()); }
  bool wants_run() const { return stored_.wanted() == interlink::v1::WANTED_CREATE; }
  bool is_pending() const { return stored_.fact().state() == agent::v1::Fact::PENDING; }
  bool has_failed() const { return stored_.fact().state() == agent::v1::Fact::FAILED; }
  bool ended() const { return stored_.ended(); }
  // The allocation is to be given back: its agent runs no sandbox any more, so nothing can run in
  // it (not stored: each complete report tells it again), or no container used it (GiveBack).
  bool is_useless() const { return useless_ || !stored_.given_back().empty(); }
  // It is up and wanted, and no container runs or is being started.
  bool is_idle() const;
  // Those that may have run.
  std::vector<ContainerId> WithoutEnd() const;
  // Those of which the agent has a log.
  std::vector<ContainerId> WithLogs() const;
  // The queue's last word about it.
  const sdk::AllocationFact& allocation() const { return allocation_; }

  void GiveBack(const std::string& why) { stored_.set_given_back(why); }

  // What is known of its agent while the pod is not up, for a person; empty: it has not called.
  void SetAgentWords(std::string words) { agent_words_ = std::move(words); }
  // Why its agent does not take a container that was shown before it ran; empty: nothing hinders
  // it.
  void SetHeldUp(const ContainerId& id, std::string why);

  // Only rises. True: it has.
  bool Want(interlink::v1::Wanted wanted);

  // Shown as up before it has an allocation. REQUIRES: new.
  void ShowAtStart() { stored_.set_at_start(true); }
  // With that: it is wanted, and its agent has not brought it up.
  bool WaitsAtStart() const {
    return stored_.at_start() && wants_run() && is_pending() && !ended();
  }
  // With that: the container is kept for the agent from now on. REQUIRES: it is there, and what it
  // needs is stored.
  void Keep(const ContainerId& id) { Find(id)->set_queued(true); }
  // With that: the agent does not have the container, which is kept for it.
  bool IsQueued(const ContainerId& id) const;
  // With that: nobody but the site has the container, ended or not.
  bool IsOnlyHere(const ContainerId& id) const;
  // Somebody has started one that the agent does not have.
  bool NeedsAgent() const;
  // REQUIRES: IsOnlyHere, and it has not ended. It never runs.
  Observations StopQueued(const ContainerId& id, int64_t now_ns);
  // It has not run, and never will. Nothing when it has ended.
  Observations FailStart(const ContainerId& id, const std::string& why, int64_t now_ns);

  interlink::v1::StoredAgentContainer* Find(const ContainerId& id);
  const interlink::v1::StoredAgentContainer* Find(const ContainerId& id) const;
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
  // It waits in no queue any more.
  bool IsGranted() const;
  // Of a pod in its allocation that is not up.
  std::string StartWords() const;

  interlink::v1::StoredAgentPod stored_;
  sdk::AllocationFact allocation_;
  std::string agent_words_;
  std::map<ContainerId, std::string> held_up_;
  bool useless_ = false;
};

}  // namespace interlink::agent_backend

#endif  // INTERLINK_AGENT_BACKEND_AGENT_POD_H_
