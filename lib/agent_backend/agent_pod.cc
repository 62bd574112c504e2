#include "agent_backend/agent_pod.h"

#include <algorithm>
#include <set>

#include "agent_hub/facts.h"
#include "runtime/v1/api.pb.h"

namespace interlink::agent_backend {
namespace {

using agent::v1::Fact;
using interlink::v1::StoredAgentContainer;
using State = sdk::Observation::State;

constexpr int kLostCode = 255;
constexpr int kKilledCode = 137;

bool HasEnded(const Fact& fact) { return fact.state() >= Fact::DOWN; }

// What an agent says of a container, kept as it said it.
Fact FactFrom(const sdk::Observation& seen, Fact::State state) {
  Fact fact;
  fact.set_container_id(seen.container.str());
  fact.set_state(state);
  fact.set_exit_code(seen.exit_code);
  fact.set_log_end(seen.log_end);
  fact.set_started_ns(seen.started_ns);
  fact.set_finished_ns(seen.finished_ns);
  fact.set_reason(seen.reason);
  fact.set_message(seen.message);
  fact.set_termination_message(seen.termination_message);
  fact.set_user_known(seen.user_known);
  fact.set_uid(seen.uid);
  fact.set_gid(seen.gid);
  for (const int64_t group : seen.supplemental_groups) fact.add_supplemental_groups(group);
  return fact;
}

// Of a container of which nobody saw the end. Never 0: it may not have done its work.
void Lose(int code, bool out_of_memory, const std::string& why, int64_t now_ns, Fact& fact) {
  fact.set_state(Fact::DOWN);
  fact.set_exit_code(out_of_memory ? kKilledCode : code == 0 ? kLostCode : code);
  fact.set_reason(out_of_memory ? "OOMKilled" : "Error");
  fact.set_message(why);
  fact.set_finished_ns(now_ns);
}

Fact::State StateOf(State state) {
  switch (state) {
    case State::kPending:
      return Fact::PENDING;
    case State::kCreated:
      return Fact::CREATED;
    case State::kUp:
      return Fact::UP;
    default:
      return Fact::DOWN;
  }
}

// Forward only. True: it moved.
bool Move(const sdk::Observation& seen, StoredAgentContainer& container) {
  const Fact::State state = StateOf(seen.state);
  // Only a sandbox fails: of a container that is no end, and has no exit code.
  if (seen.state == State::kAbsent || seen.state == State::kFailed) return false;
  if (state <= container.fact().state()) return false;
  *container.mutable_fact() = FactFrom(seen, state);
  return true;
}

void SettleContainer(const sdk::AllocationFact& end, const LeftExits& exits, int64_t now_ns,
                     StoredAgentContainer& container) {
  Fact& fact = *container.mutable_fact();
  if (HasEnded(fact)) return;
  const auto exit = exits.find(ContainerId(container.id()));
  if (exit != exits.end()) {
    fact = FactFrom(exit->second, Fact::DOWN);
    if (end.out_of_memory && fact.exit_code() == kKilledCode) fact.set_reason("OOMKilled");
    return;
  }
  if (container.started() || fact.state() == Fact::UP) {
    return Lose(end.exit_code, end.out_of_memory,
                end.message.empty() ? "lost: its allocation has ended" : end.message, now_ns, fact);
  }
  Lose(kKilledCode, false, "its pod has ended before it was started", now_ns, fact);
}

}  // namespace

AgentPod AgentPod::Of(const sdk::SandboxSpec& spec) {
  interlink::v1::StoredAgentPod stored;
  stored.set_id(spec.id.str());
  stored.set_node_id(spec.node.str());
  stored.set_handler(spec.handler);
  stored.set_config(spec.config.SerializeAsString());
  stored.mutable_node_options()->insert(spec.node_options.begin(), spec.node_options.end());
  stored.set_wanted(interlink::v1::WANTED_CREATE);
  return AgentPod(std::move(stored));
}

AgentPod AgentPod::Of(const NodeId& node, const SandboxId& id) {
  interlink::v1::StoredAgentPod stored;
  stored.set_id(id.str());
  stored.set_node_id(node.str());
  stored.set_wanted(interlink::v1::WANTED_STOP);
  return AgentPod(std::move(stored));
}

bool AgentPod::Want(interlink::v1::Wanted wanted) {
  if (wanted <= stored_.wanted()) return false;
  stored_.set_wanted(wanted);
  return true;
}

StoredAgentContainer* AgentPod::Find(const ContainerId& id) {
  for (auto& container : *stored_.mutable_containers()) {
    if (container.id() == id.str()) return &container;
  }
  return nullptr;
}

StoredAgentContainer& AgentPod::Add(const sdk::ContainerSpec& spec) {
  StoredAgentContainer& container = *stored_.add_containers();
  container.set_id(spec.id.str());
  container.set_config(spec.config.SerializeAsString());
  container.set_image_id(spec.image_id);
  container.mutable_volume_images()->insert(spec.volume_images.begin(), spec.volume_images.end());
  container.mutable_fact()->set_container_id(spec.id.str());
  return container;
}

void AgentPod::Remove(const ContainerId& id) {
  auto& containers = *stored_.mutable_containers();
  containers.erase(std::remove_if(containers.begin(), containers.end(),
                                  [&](const auto& item) { return item.id() == id.str(); }),
                   containers.end());
}

Observations AgentPod::TakeAllocation(const sdk::AllocationFact& fact) {
  if (ended()) return {};
  allocation_ = fact;
  if (!fact.allocation.empty()) stored_.set_allocation(fact.allocation);
  if (!is_pending()) return {};
  return {SandboxFact()};
}

Observations AgentPod::TakeReport(const Observations& facts, bool complete, int64_t now_ns) {
  Observations news;
  if (ended()) return news;
  std::set<std::string> named;
  bool sandbox_lives = false;
  for (const sdk::Observation& seen : facts) {
    if (seen.container.empty()) {
      sandbox_lives = seen.state <= State::kUp;
      if (!sandbox_lives && !is_pending()) useless_ = true;
      if (!is_pending()) continue;
      if (seen.state == State::kUp) {
        *stored_.mutable_fact() = FactFrom(seen, Fact::UP);
        for (const std::string& ip : seen.ips) stored_.mutable_fact()->add_ips(ip);
        news.push_back(SandboxFact());
      } else if (seen.state == State::kFailed) {
        const auto failed = Fail(seen.message.empty() ? seen.reason : seen.message, now_ns);
        news.insert(news.end(), failed.begin(), failed.end());
      }
      continue;
    }
    StoredAgentContainer* container = Find(seen.container);
    if (container == nullptr) continue;  // removed meanwhile: the agent will be told
    if (seen.state != State::kAbsent) named.insert(seen.container.str());
    if (Move(seen, *container)) news.push_back(FactOf(*container));
  }
  if (!complete) return news;
  if (!sandbox_lives && !is_pending()) useless_ = true;
  for (StoredAgentContainer& container : *stored_.mutable_containers()) {
    Fact& fact = *container.mutable_fact();
    const bool lived =
        container.started() || fact.state() == Fact::CREATED || fact.state() == Fact::UP;
    if (HasEnded(fact) || !lived || named.count(container.id()) != 0) continue;
    Lose(kLostCode, false, "lost: its agent has nothing of it", now_ns, fact);
    news.push_back(FactOf(container));
  }
  return news;
}

std::vector<ContainerId> AgentPod::WithoutEnd() const {
  std::vector<ContainerId> open;
  for (const auto& container : stored_.containers()) {
    const bool ran = container.started() || container.fact().state() == Fact::UP;
    if (ran && !HasEnded(container.fact())) open.emplace_back(container.id());
  }
  return open;
}

Observations AgentPod::TakeEnd(const sdk::AllocationFact& fact, const LeftExits& exits,
                               int64_t now_ns, const LogEnds& log_ends) {
  if (ended()) return {};
  allocation_ = fact;
  if (!fact.allocation.empty()) stored_.set_allocation(fact.allocation);
  stored_.set_pod_folder(fact.pod_folder);
  for (auto& container : *stored_.mutable_containers()) {
    const bool told = HasEnded(container.fact());
    SettleContainer(fact, exits, now_ns, container);
    const auto log_end = log_ends.find(ContainerId(container.id()));
    if (told || log_end == log_ends.end()) continue;
    container.mutable_fact()->set_log_end(log_end->second);
  }
  Fact& own = *stored_.mutable_fact();
  if (own.state() != Fact::FAILED) {
    const bool never_up = own.state() == Fact::PENDING && wants_run();
    own.set_state(never_up ? Fact::FAILED : Fact::DOWN);
    own.set_reason(never_up ? "StartError" : fact.reason);
    own.set_message(fact.message);
    own.set_finished_ns(now_ns);
  }
  stored_.set_ended(true);
  return All();
}

Observations AgentPod::Fail(const std::string& why, int64_t now_ns) {
  if (!is_pending() || ended()) return {};
  Fact& own = *stored_.mutable_fact();
  own.set_state(Fact::FAILED);
  own.set_reason("StartError");
  own.set_message(why);
  own.set_finished_ns(now_ns);
  return {SandboxFact()};
}

Observations AgentPod::All() const {
  Observations all;
  // Containers first: a sandbox is down after them.
  for (const auto& container : stored_.containers()) all.push_back(FactOf(container));
  all.push_back(SandboxFact());
  return all;
}

sdk::Observation AgentPod::SandboxFact() const {
  // What was stored is right: nothing else is in it.
  sdk::Observation seen = agent_hub::FromFact(id(), stored_.fact()).value();
  seen.node = node();
  seen.config = stored_.config();
  seen.handler = stored_.handler();
  seen.allocation = stored_.allocation();
  if (seen.state != State::kPending) return seen;
  seen.reason = allocation_.reason;
  seen.message = allocation_.message;
  seen.expected_start_ns = allocation_.expected_start_ns;
  return seen;
}

sdk::Observation AgentPod::FactOf(const StoredAgentContainer& container) const {
  sdk::Observation seen = agent_hub::FromFact(id(), container.fact()).value();
  seen.node = node();
  seen.config = container.config();
  seen.handler = stored_.handler();
  seen.image_id = container.image_id();
  seen.volume_images = {container.volume_images().begin(), container.volume_images().end()};
  return seen;
}

}  // namespace interlink::agent_backend
