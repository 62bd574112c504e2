#include "agent_backend/agent_backend.h"

#include "agent_backend/refusal.h"
#include "agent_hub/hub_files.h"
#include "runtime/v1/api.pb.h"

namespace interlink::agent_backend {
namespace {

constexpr size_t kMaxSteps = 100'000;
constexpr int kQuestionThreads = 16;

Status Stopped(const SandboxId& id) {
  return FailedPrecondition("sandbox \"" + id.str() +
                            "\" was stopped or removed: an id runs at most once");
}

sdk::AgentBinding BindingOf(const std::string& bound) {
  if (bound == agent_hub::kNobody) return {true, ""};
  return {false, bound};
}

}  // namespace

Result<std::unique_ptr<AgentBackend>> AgentBackend::Create(sdk::Host& host,
                                                           std::shared_ptr<Agents> agents,
                                                           AgentDirectory& directory,
                                                           AgentBackendOptions options) {
  std::unique_ptr<AgentBackend> backend(
      new AgentBackend(host, std::move(agents), directory, std::move(options)));
  ASSIGN_OR_RETURN(auto stored, backend->files_.Load());
  {
    MutexLock lock(backend->mutex_);
    for (auto& pod : stored) {
      const SandboxId id(pod.id());
      const auto entry = std::make_shared<Entry>(AgentPod(std::move(pod)));
      MutexLock entry_lock(entry->mutex);
      entry->stored = true;
      backend->pods_[id] = entry;
    }
  }
  return backend;
}

AgentBackend::AgentBackend(sdk::Host& host, std::shared_ptr<Agents> agents,
                           AgentDirectory& directory, AgentBackendOptions options)
    : host_(host),
      agents_(std::move(agents)),
      directory_(directory),
      options_(std::move(options)),
      files_(host.data_folder() + "/agent-pods"),
      steps_("pods", options_.threads, kMaxSteps),
      questions_("questions", kQuestionThreads, kMaxSteps),
      layers_(agents_, host.log(), host.clock(), options_.layers,
              [this](const SandboxId& id) { LayersSettled(id); }) {
  directory_.Add(*this);
}

AgentBackend::~AgentBackend() {
  directory_.Remove(*this);
  // Steps use the provisioner, and the timer posts steps. What the provisioner still reports is not
  // taken; its next Recover tells it again.
  timer_.Stop();
  steps_.Stop(std::chrono::seconds(5));
  questions_.Stop(std::chrono::seconds(5));
  provisioner_.reset();
}

void AgentBackend::SetProvisioner(std::unique_ptr<sdk::Provisioner> provisioner) {
  provisioner_ = std::move(provisioner);
}

// --- recovery

Result<Observations> AgentBackend::Recover(const Call& call, const Observations&) {
  ASSIGN_OR_RETURN(const auto allocations, provisioner_->Recover(call));
  std::map<SandboxId, EntryPtr> pods;
  {
    MutexLock lock(mutex_);
    pods = pods_;
  }
  std::set<SandboxId> found;
  for (const auto& fact : allocations) {
    found.insert(fact.sandbox);
    if (pods.count(fact.sandbox) == 0) {
      ReleaseStranger(fact);
    } else {
      TakeFact(fact);
    }
  }
  Observations all;
  for (const auto& [id, entry] : pods) {
    sdk::AllocationFact gone;
    bool absent = false;
    {
      MutexLock lock(entry->mutex);
      // Never submitted is never started: the owner's repeat goes on with it. What was up has ended
      // with what it ran in.
      absent = found.count(id) == 0 && !entry->pod.ended() &&
               !(entry->pod.wants_run() && entry->pod.stored().allocation().empty() &&
                 entry->pod.is_pending());
      if (found.count(id) != 0 || absent) entry->asked = true;
    }
    if (absent) {
      gone.sandbox = id;
      gone.state = sdk::AllocationFact::State::kEnded;
      gone.message = "lost: the scheduler's plugin has nothing of it";
      TakeFact(gone);
    }
    AddFacts(*entry, all);
  }
  {
    // Under the lock, so that nothing newer overtakes them.
    MutexLock lock(mutex_);
    recovered_ = true;
    for (auto& fact : early_) PostFact(std::move(fact));
    early_.clear();
  }
  for (const auto& [id, entry] : pods) {
    Post(id, [this, id = id] { Drive(id); });
  }
  return all;
}

Result<Observations> AgentBackend::Observe(const Call&) {
  std::map<SandboxId, EntryPtr> pods;
  {
    MutexLock lock(mutex_);
    if (!recovered_) return Unavailable("the allocations are not inventoried yet");
    pods = pods_;
  }
  Observations all;
  for (const auto& [id, entry] : pods) {
    AddFacts(*entry, all);
  }
  return all;
}

// What was never asked for is absent: the site holds it for its owner, whose repeat asks for it.
void AgentBackend::AddFacts(Entry& entry, Observations& all) {
  MutexLock lock(entry.mutex);
  const bool known = entry.asked || entry.not_before || entry.pod.stored().at_start();
  if (!known && entry.pod.wants_run() && entry.pod.is_pending()) return;
  const auto facts = entry.pod.All();
  all.insert(all.end(), facts.begin(), facts.end());
}

// --- sandboxes

Status AgentBackend::RunSandbox(const Call& call, const sdk::SandboxSpec& spec) {
  const sdk::AllocationSpec asked{spec.id,     spec.node,         spec.handler,
                                  spec.config, spec.node_options, spec.user};
  EntryPtr entry = Find(spec.id);
  if (entry == nullptr) {
    RETURN_IF_ERROR(provisioner_->Check(asked));
    AgentPod pod = AgentPod::Of(spec, IdleTriesBefore(spec));
    if (IsAtStart(spec.handler)) pod.ShowAtStart();
    auto made = std::make_shared<Entry>(std::move(pod));
    MutexLock lock(mutex_);
    entry = pods_.emplace(spec.id, std::move(made)).first->second;
  }
  Observations facts;
  {
    MutexLock lock(entry->mutex);
    if (entry->pod.node() != spec.node) {
      return FailedPrecondition("sandbox \"" + spec.id.str() + "\" is of another node");
    }
    if (!entry->pod.wants_run() || entry->removed) return Stopped(spec.id);
    if (!entry->stored) RETURN_IF_ERROR(SaveLocked(*entry));
    facts = {entry->pod.SandboxFact()};
    // One that is shown at once is submitted by its first start.
    if (!entry->pod.is_pending() || entry->pod.stored().at_start()) {
      host_.Report(std::move(facts));
      return {};
    }
    if (IsDelayed(*entry)) {
      LookAgainAt(entry, *entry->not_before);
      host_.Report({entry->pod.SandboxFact()});
      return {};
    }
    entry->asked = true;
    entry->not_before.reset();
  }
  if (const Status submitted = provisioner_->Submit(call, asked); !submitted.ok()) {
    // It may have been asked for, and the record must outlive that.
    if (RefusalOf(submitted.code()) != Refusal::kBeforehand) return submitted;
    MutexLock lock(entry->mutex);
    RETURN_IF_ERROR(files_.Remove(spec.id));
    entry->removed = true;
    MutexLock table(mutex_);
    pods_.erase(spec.id);
    return submitted;
  }
  host_.Report(std::move(facts));
  return {};
}

Status AgentBackend::StopSandbox(const Call&, const NodeId& node, const SandboxId& id) {
  EntryPtr entry = FindOf(node, id);
  if (entry == nullptr) entry = AddTombstone(node, id);
  if (entry == nullptr) return {};  // another node's
  return WantEnd(entry, interlink::v1::WANTED_STOP);
}

Status AgentBackend::WantEnd(const EntryPtr& entry, interlink::v1::Wanted wanted) {
  SandboxId id;
  {
    MutexLock lock(entry->mutex);
    if (entry->removed) return {};
    id = entry->pod.id();
    const bool raised = entry->pod.Want(wanted);
    if (raised || !entry->stored) RETURN_IF_ERROR(SaveLocked(*entry));
    // Asked again: a report may have been lost.
    if (entry->pod.ended()) {
      host_.Report(entry->pod.All());
      return {};
    }
  }
  layers_.Forget(id);
  Post(id, [this, id] { Drive(id); });
  return {};
}

Status AgentBackend::RemoveSandbox(const Call& call, const NodeId& node, const SandboxId& id) {
  EntryPtr entry = FindOf(node, id);
  if (entry == nullptr) entry = AddTombstone(node, id);
  if (entry == nullptr) return {};
  RETURN_IF_ERROR(WantEnd(entry, interlink::v1::WANTED_REMOVE));
  std::vector<ContainerId> containers;
  {
    MutexLock lock(entry->mutex);
    if (entry->removed) return {};
    if (!entry->pod.ended()) {
      return Unavailable("the allocation of sandbox \"" + id.str() + "\" has not ended yet" +
                         (entry->pod.stored().allocation().empty()
                              ? ""
                              : " (" + entry->pod.stored().allocation() + ")"));
    }
    for (const auto& container : entry->pod.stored().containers()) {
      containers.emplace_back(container.id());
    }
  }
  RETURN_IF_ERROR(provisioner_->Remove(call, id));
  RETURN_IF_ERROR(agents_->Forget(id));
  layers_.Forget(id);
  for (const ContainerId& container : containers) {
    provisioner_->ReleaseImages(container);
    host_.ReleaseImages(container);
  }
  MutexLock lock(entry->mutex);
  RETURN_IF_ERROR(files_.Remove(id));
  entry->removed = true;
  MutexLock table(mutex_);
  pods_.erase(id);
  return {};
}

Status AgentBackend::UpdateSandbox(const Call& call, const NodeId& node, const SandboxId& id,
                                   const runtime::v1::LinuxContainerResources& resources,
                                   const runtime::v1::LinuxContainerResources& overhead) {
  RETURN_IF_ERROR(CheckAgent(id, FindOf(node, id)));
  return agents_->UpdateSandbox(call, node, id, resources, overhead);
}

// --- tables

AgentBackend::EntryPtr AgentBackend::Find(const SandboxId& id) const {
  MutexLock lock(mutex_);
  const auto found = pods_.find(id);
  return found == pods_.end() ? nullptr : found->second;
}

AgentBackend::EntryPtr AgentBackend::FindOf(const NodeId& node, const SandboxId& id) const {
  const EntryPtr entry = Find(id);
  if (entry == nullptr) return nullptr;
  MutexLock lock(entry->mutex);
  return entry->pod.node() == node ? entry : nullptr;
}

AgentBackend::EntryPtr AgentBackend::AddTombstone(const NodeId& node, const SandboxId& id) {
  MutexLock lock(mutex_);
  const auto [at, added] = pods_.emplace(id, nullptr);
  if (!added) return nullptr;
  at->second = std::make_shared<Entry>(AgentPod::Of(node, id));
  return at->second;
}

// Under the pod's lock on purpose: see the class.
Status AgentBackend::SaveLocked(Entry& entry) {
  if (entry.removed) return {};
  RETURN_IF_ERROR(files_.Save(entry.pod.stored()));
  entry.stored = true;
  return {};
}

Status AgentBackend::CheckAgent(const SandboxId& id, const EntryPtr& entry) const {
  if (entry == nullptr) return NotFound("no sandbox \"" + id.str() + "\" here");
  MutexLock lock(entry->mutex);
  const std::string& allocation = entry->pod.stored().allocation();
  const std::string where = allocation.empty() ? "" : " (" + allocation + ")";
  if (entry->pod.ended()) return FailedPrecondition("the pod's allocation has ended" + where);
  if (entry->connected && entry->told) return {};
  if (entry->pod.is_pending()) {
    const std::string& why = entry->pod.allocation().message;
    return Unavailable("the pod does not run yet" + (why.empty() ? where : ": " + why));
  }
  return Unavailable("the pod's agent" + where + " cannot be reached now; what runs goes on");
}

// --- desk

sdk::AgentTicket AgentBackend::TicketFor(const SandboxId& id) {
  return {options_.hub, options_.server_name, options_.ca_pem(), agents_->TokenOf(id)};
}

void AgentBackend::Report(std::vector<sdk::AllocationFact> facts) {
  {
    MutexLock lock(mutex_);
    if (!recovered_) {
      early_.insert(early_.end(), facts.begin(), facts.end());
      return;
    }
  }
  for (auto& fact : facts) PostFact(std::move(fact));
}

void AgentBackend::PostFact(sdk::AllocationFact fact) {
  const SandboxId id = fact.sandbox;
  Post(id, [this, fact = std::move(fact)] {
    if (Find(fact.sandbox) == nullptr) return ReleaseStranger(fact);
    TakeFact(fact);
  });
}

Result<sdk::AgentBinding> AgentBackend::CloseTo(const SandboxId& id) {
  ASSIGN_OR_RETURN(const std::string bound, agents_->Close(id));
  return BindingOf(bound);
}

Result<sdk::AgentBinding> AgentBackend::BoundTo(const SandboxId& id) {
  ASSIGN_OR_RETURN(const std::string bound, agents_->BoundTo(id));
  return BindingOf(bound);
}

Result<bool> AgentBackend::HasLeft(const SandboxId& id) { return agents_->HasLeft(id); }

std::optional<Duration> AgentBackend::Silence(const SandboxId& id) { return agents_->Silence(id); }

Status AgentBackend::Carry(UniqueFd relay, std::function<void()> over) {
  return agents_->Carry(std::move(relay), std::move(over));
}

}  // namespace interlink::agent_backend
