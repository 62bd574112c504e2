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
constexpr int kStartErrorCode = 128;

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

// Of a container that never ran.
void EndUnstarted(int code, const std::string& reason, const std::string& why, int64_t now_ns,
                  Fact& fact) {
  fact.set_state(Fact::DOWN);
  fact.set_exit_code(code);
  fact.set_reason(reason);
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

// What a container's message says of the queue, whose own words often begin so.
std::string Queued(std::string_view words) {
  constexpr std::string_view kWord = "queued";
  if (words.starts_with(kWord)) words.remove_prefix(kWord.size());
  while (words.starts_with(' ')) words.remove_prefix(1);
  return std::string(kWord) + (words.empty() ? "" : ": ") + std::string(words);
}

// It was kept for the agent, which has never had it.
bool WasQueued(const StoredAgentContainer& container) {
  return container.queued() && !container.carried() && container.fact().state() == Fact::PENDING;
}

void SettleContainer(const sdk::AllocationFact& end, const LeftExits& exits, int64_t now_ns,
                     StoredAgentContainer& container) {
  Fact& fact = *container.mutable_fact();
  if (HasEnded(fact)) return;
  if (WasQueued(container) && container.started()) {
    return EndUnstarted(kStartErrorCode, "StartError", end.message, now_ns, fact);
  }
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

AgentPod AgentPod::Of(const sdk::SandboxSpec& spec, uint32_t idle_tries) {
  interlink::v1::StoredAgentPod stored;
  stored.set_id(spec.id.str());
  stored.set_node_id(spec.node.str());
  stored.set_handler(spec.handler);
  stored.set_config(spec.config.SerializeAsString());
  stored.mutable_node_options()->insert(spec.node_options.begin(), spec.node_options.end());
  stored.set_user(spec.user);
  stored.set_wanted(interlink::v1::WANTED_CREATE);
  stored.set_idle_tries(idle_tries);
  return AgentPod(std::move(stored));
}

AgentPod AgentPod::Of(const NodeId& node, const SandboxId& id) {
  interlink::v1::StoredAgentPod stored;
  stored.set_id(id.str());
  stored.set_node_id(node.str());
  stored.set_wanted(interlink::v1::WANTED_STOP);
  return AgentPod(std::move(stored));
}

bool AgentPod::is_idle() const {
  if (ended() || !wants_run() || is_useless() || stored_.fact().state() != Fact::UP) return false;
  return std::none_of(stored_.containers().begin(), stored_.containers().end(), [](const auto& c) {
    return !HasEnded(c.fact()) && (c.started() || c.fact().state() == Fact::UP);
  });
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

const StoredAgentContainer* AgentPod::Find(const ContainerId& id) const {
  for (const auto& container : stored_.containers()) {
    if (container.id() == id.str()) return &container;
  }
  return nullptr;
}

bool AgentPod::IsQueued(const ContainerId& id) const {
  const auto* container = Find(id);
  return container != nullptr && !ended() && WasQueued(*container);
}

bool AgentPod::IsOnlyHere(const ContainerId& id) const {
  const auto* container = Find(id);
  if (container == nullptr || ended()) return false;
  return WaitsAtStart() || (container->queued() && !container->carried());
}

bool AgentPod::NeedsAgent() const {
  return std::any_of(stored_.containers().begin(), stored_.containers().end(),
                     [](const auto& c) { return c.started() && WasQueued(c); });
}

Observations AgentPod::StopQueued(const ContainerId& id, int64_t now_ns) {
  auto& container = *Find(id);
  EndUnstarted(kKilledCode, "Error", "stopped while it was queued: it never ran", now_ns,
               *container.mutable_fact());
  return {FactOf(container)};
}

Observations AgentPod::FailStart(const ContainerId& id, const std::string& why, int64_t now_ns) {
  auto* container = Find(id);
  if (container == nullptr || HasEnded(container->fact())) return {};
  EndUnstarted(kStartErrorCode, "StartError", why, now_ns, *container->mutable_fact());
  return {FactOf(*container)};
}

StoredAgentContainer& AgentPod::Add(const sdk::ContainerSpec& spec) {
  StoredAgentContainer& container = *stored_.add_containers();
  container.set_id(spec.id.str());
  container.set_config(spec.config.SerializeAsString());
  container.set_image_id(spec.image_id);
  container.mutable_volume_images()->insert(spec.volume_images.begin(), spec.volume_images.end());
  container.mutable_fact()->set_container_id(spec.id.str());
  container.set_queued(false);
  return container;
}

void AgentPod::Remove(const ContainerId& id) {
  held_up_.erase(id);
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
  // Started containers of a pod that is shown at once have the queue's words.
  return stored_.at_start() ? All() : Observations{SandboxFact()};
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
    if (!Move(seen, *container)) continue;
    // Its answer to the creation may be lost.
    if (container->queued()) container->set_carried(true);
    if (seen.state == State::kUp || seen.started_ns != 0) stored_.set_ran(true);
    news.push_back(FactOf(*container));
  }
  if (!complete) return news;
  if (!sandbox_lives && !is_pending()) useless_ = true;
  for (StoredAgentContainer& container : *stored_.mutable_containers()) {
    Fact& fact = *container.mutable_fact();
    const bool lived = container.started() || container.carried() ||
                       fact.state() == Fact::CREATED || fact.state() == Fact::UP;
    if (HasEnded(fact) || WasQueued(container) || !lived || named.count(container.id()) != 0)
      continue;
    Lose(kLostCode, false, "lost: its agent has nothing of it", now_ns, fact);
    news.push_back(FactOf(container));
  }
  return news;
}

std::vector<ContainerId> AgentPod::WithoutEnd() const {
  std::vector<ContainerId> open;
  for (const auto& container : stored_.containers()) {
    const bool ran = container.started() || container.fact().state() == Fact::UP;
    if (WasQueued(container)) continue;
    if (ran && !HasEnded(container.fact())) open.emplace_back(container.id());
  }
  return open;
}

std::vector<ContainerId> AgentPod::WithLogs() const {
  std::vector<ContainerId> with;
  for (const auto& container : stored_.containers()) {
    if (container.fact().state() >= Fact::UP) with.emplace_back(container.id());
  }
  return with;
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
    own.set_message(stored_.given_back().empty() ? fact.message
                                                 : stored_.given_back() + "; " + fact.message);
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
  if (!stored_.at_start()) return {SandboxFact()};
  for (auto& container : *stored_.mutable_containers()) {
    if (HasEnded(container.fact())) continue;
    EndUnstarted(kStartErrorCode, "StartError", why, now_ns, *container.mutable_fact());
  }
  return All();
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
  if (stored_.at_start()) {
    // Once up it cannot fail, only end.
    if (seen.state == State::kFailed) seen.state = State::kDown;
    if (seen.state == State::kPending) seen.state = State::kUp;
    return seen;
  }
  if (seen.state != State::kPending) return seen;
  seen.reason = allocation_.reason;
  seen.granted = IsGranted();
  seen.message = seen.granted ? StartWords() : allocation_.message;
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
  if (!container.queued() || container.fact().state() >= Fact::UP) return seen;
  seen.state = container.started() ? State::kUp : State::kCreated;
  if (!container.started()) return seen;
  if (is_pending()) {
    seen.message = IsGranted() ? "starting: " + StartWords() : Queued(allocation_.message);
    return seen;
  }
  const auto held_up = held_up_.find(ContainerId(container.id()));
  seen.message = held_up == held_up_.end() ? "starting" : "starting: " + held_up->second;
  return seen;
}

void AgentPod::SetHeldUp(const ContainerId& id, std::string why) {
  if (why.empty()) {
    held_up_.erase(id);
  } else {
    held_up_[id] = std::move(why);
  }
}

bool AgentPod::IsGranted() const {
  // An agent that has called may be faster than the scheduler's word.
  return allocation_.state == sdk::AllocationFact::State::kGranted || !agent_words_.empty();
}

std::string AgentPod::StartWords() const {
  const std::string where =
      allocation_.message.empty() ? "in allocation " + stored_.allocation() : allocation_.message;
  return where + ", " + (agent_words_.empty() ? "its agent has not called yet" : agent_words_);
}

}  // namespace interlink::agent_backend
