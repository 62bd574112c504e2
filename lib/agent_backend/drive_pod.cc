// Drive: what is due of a pod at its agent and its provisioner; and what both tell.
#include <algorithm>

#include "agent_backend/agent_backend.h"
#include "agent_backend/left_exits.h"
#include "agent_backend/refusal.h"
#include "agent_hub/left_log.h"
#include "base/utf8.h"
#include "runtime/v1/api.pb.h"

namespace interlink::agent_backend {
namespace {

constexpr auto kQuestion = std::chrono::seconds(10);
constexpr int kMostSettleDoublings = 5;  // 2 s become 64 s

}  // namespace

void AgentBackend::Post(const SandboxId& id, std::function<void()> step) {
  // Refused only when we go; what was asked for is stored and goes on with the next start.
  if (!steps_.PostAlways(id.str(), std::move(step)).ok()) return;
}

void AgentBackend::Drive(const SandboxId& id) {
  const EntryPtr entry = Find(id);
  if (entry == nullptr) return;
  {
    MutexLock lock(mutex_);
    if (!recovered_) return;  // Recover posts it again
  }
  bool run = false;
  {
    MutexLock lock(entry->mutex);
    if (entry->pod.ended() || entry->removed) return;
    run = entry->pod.wants_run() && !entry->pod.has_failed() && !entry->pod.is_useless();
  }
  if (run) run = !GiveBackIfIdle(entry);
  if (run ? DriveRun(entry) : DriveEnd(entry)) DriveLater(id);
}

void AgentBackend::DriveLater(const SandboxId& id) {
  const EntryPtr entry = Find(id);
  if (entry == nullptr) return;
  {
    MutexLock lock(entry->mutex);
    if (entry->again) return;
    entry->again = true;
  }
  timer_.After(options_.try_again, [this, id] {
    const EntryPtr late = Find(id);
    if (late == nullptr) return;
    {
      MutexLock lock(late->mutex);
      late->again = false;
    }
    Post(id, [this, id] { Drive(id); });
  });
}

// The agent is asked to bring the pod up; its report tells the rest.
bool AgentBackend::DriveRun(const EntryPtr& entry) {
  interlink::v1::StoredAgentPod asked;
  bool waits = false;
  {
    MutexLock lock(entry->mutex);
    if (!entry->asked && !entry->not_before && entry->pod.NeedsAgent() && !IsDelayed(*entry)) {
      entry->not_before = host_.clock().Steady();
    }
    waits = entry->not_before.has_value();
  }
  if (waits) return DriveSubmit(entry);
  bool is_up = false;
  {
    MutexLock lock(entry->mutex);
    if (!entry->connected || !entry->told) return false;
    is_up = !entry->pod.is_pending();
    asked = entry->pod.stored();
  }
  if (is_up) return CarryContainers(entry);
  runtime::v1::PodSandboxConfig config;
  Status run = DataLoss("the stored pod cannot be read");
  if (config.ParseFromString(asked.config())) {
    const sdk::SandboxSpec spec{SandboxId(asked.id()), NodeId(asked.node_id()), asked.handler(),
                                config};
    run = agents_->RunSandbox(Call::WithTimeout(kQuestion), spec);
  }
  if (run.ok()) return false;
  Observations news;
  if (RefusalOf(run.code()) < Refusal::kFinal && run.code() != Code::kDataLoss) {
    MutexLock lock(entry->mutex);
    if (!entry->connected) return true;
    entry->pod.SetAgentWords("its agent does not bring it up: " +
                             OneLine(run.message(), kMaxAgentWords));
    if (entry->pod.is_pending()) news = entry->pod.All();
    host_.Report(std::move(news));
    return true;
  }
  {
    MutexLock lock(entry->mutex);
    news = entry->pod.Fail(run.message(), host_.clock().WallNanos());
    if (const Status saved = SaveLocked(*entry); !saved.ok()) return true;
  }
  host_.Report(std::move(news));
  return DriveEnd(entry);
}

// The agent stops what runs and leaves; the allocation is given back in any case.
bool AgentBackend::DriveEnd(const EntryPtr& entry) {
  SandboxId id;
  NodeId node;
  uint64_t visit = 0;
  bool ask = false;
  {
    MutexLock lock(entry->mutex);
    id = entry->pod.id();
    node = entry->pod.node();
    visit = entry->visit;
    ask = entry->connected && entry->told && !entry->stopping;
  }
  const Call call = Call::WithTimeout(kQuestion);
  if (ask) {
    Status left = agents_->StopSandbox(call, node, id);
    if (left.ok()) left = agents_->Leave(call, id);
    MutexLock lock(entry->mutex);
    entry->stopping = left.ok() && entry->visit == visit;
  }
  const Status released = provisioner_->Release(call, id);
  if (released.ok()) return false;
  host_.log().Warning("an allocation could not be given back yet",
                      {{"sandbox", id.str()}, {"error", released.ToString()}});
  return true;
}

// --- what the provisioner tells

void AgentBackend::TakeFact(const sdk::AllocationFact& fact) {
  const EntryPtr entry = Find(fact.sandbox);
  if (entry == nullptr) return;
  if (fact.state == sdk::AllocationFact::State::kEnded) {
    {
      MutexLock lock(entry->mutex);
      if (entry->settling) return;
    }
    // Not settled yet: the folder cannot be read, or the record not be written.
    if (!TakeEnd(entry, fact)) SettleLater(entry, fact);
    return;
  }
  Observations news;
  {
    MutexLock lock(entry->mutex);
    const std::string before = entry->pod.stored().allocation();
    news = entry->pod.TakeAllocation(fact);
    // Only the allocation's name is stored. Nothing rests on it alone, and the provisioner tells it
    // again: what the queue says is told in any case.
    const bool named = entry->pod.stored().allocation() != before;
    if (const Status saved = named ? SaveLocked(*entry) : Status(); !saved.ok()) {
      host_.log().Warning("the name of an allocation is not stored yet",
                          {{"sandbox", fact.sandbox.str()}, {"error", saved.ToString()}});
    }
  }
  host_.Report(std::move(news));
}

// The end is told again and again meanwhile.
void AgentBackend::SettleLater(const EntryPtr& entry, const sdk::AllocationFact& fact) {
  Duration delay{};
  {
    MutexLock lock(entry->mutex);
    entry->settling = true;
    delay = options_.try_again * (1U << std::min(entry->unsettled++, kMostSettleDoublings));
  }
  timer_.After(delay, [this, fact] {
    const EntryPtr late = Find(fact.sandbox);
    if (late == nullptr) return;
    {
      MutexLock lock(late->mutex);
      late->settling = false;
    }
    Post(fact.sandbox, [this, fact] { TakeFact(fact); });
  });
}

bool AgentBackend::TakeEnd(const EntryPtr& entry, const sdk::AllocationFact& fact) {
  LeftExits exits;
  LogEnds log_ends;
  if (!fact.pod_folder.empty()) {
    auto read = ReadLeftExits(fact.pod_folder, fact.sandbox, host_.log());
    if (!read.ok()) {
      host_.log().Warning("the exits of an ended allocation cannot be read yet",
                          {{"sandbox", fact.sandbox.str()}, {"error", read.status().ToString()}});
      return false;
    }
    exits = *std::move(read);
    std::vector<ContainerId> open;
    {
      MutexLock lock(entry->mutex);
      open = entry->pod.WithoutEnd();
    }
    for (const ContainerId& id : open) {
      if (exits.count(id) != 0) continue;
      const auto log_end = agent_hub::LeftLogEnd(fact.pod_folder, id);
      if (log_end.status().code() == Code::kUnavailable) return false;
      if (!log_end.ok()) {
        // Waiting would not change it, and no log may hold up an end.
        host_.log().Warning("the log of an ended allocation cannot be used",
                            {{"container", id.str()}, {"error", log_end.status().ToString()}});
        continue;
      }
      log_ends[id] = *log_end;
    }
  }
  Observations news;
  {
    MutexLock lock(entry->mutex);
    AgentPod settled = entry->pod;
    news = settled.TakeEnd(fact, exits, host_.clock().WallNanos(), log_ends);
    if (news.empty()) return true;
    if (!entry->removed) {
      if (const Status saved = files_.Save(settled.stored()); !saved.ok()) {
        host_.log().Warning("an end cannot be stored yet",
                            {{"sandbox", fact.sandbox.str()}, {"error", saved.ToString()}});
        return false;
      }
    }
    entry->stored = true;
    entry->pod = std::move(settled);
    entry->connected = false;
    entry->told = false;
  }
  layers_.Forget(fact.sandbox);
  for (const auto& item : news) {
    if (!item.container.empty()) host_.LogGrew(item.container);
  }
  host_.Report(std::move(news));
  return true;
}

// Work of our lineage that no record names: it is no pod any more, and must not run on.
void AgentBackend::ReleaseStranger(const sdk::AllocationFact& fact) {
  const Call call = Call::WithTimeout(kQuestion);
  const bool ended = fact.state == sdk::AllocationFact::State::kEnded;
  const Status status =
      ended ? provisioner_->Remove(call, fact.sandbox) : provisioner_->Release(call, fact.sandbox);
  host_.log().Warning(ended ? "an unknown allocation has ended and is removed"
                            : "an unknown allocation is given back",
                      {{"sandbox", fact.sandbox.str()},
                       {"allocation", fact.allocation},
                       {"result", status.ToString()}});
}

// --- what the agent tells

bool AgentBackend::Knows(const SandboxId& id) const { return Find(id) != nullptr; }

Status AgentBackend::MayCome(const SandboxId& id, const agent_hub::AgentPlace&) {
  const EntryPtr entry = Find(id);
  if (entry == nullptr) return FailedPrecondition("this site has no pod \"" + id.str() + "\"");
  MutexLock lock(entry->mutex);
  if (entry->pod.ended()) return FailedPrecondition("this pod has ended");
  return {};
}

void AgentBackend::CameIn(const SandboxId& id, const agent_hub::AgentPlace& place) {
  const EntryPtr entry = Find(id);
  if (entry == nullptr) return;
  host_.log().Info("an agent has called in",
                   {{"sandbox", id.str()}, {"allocation", place.allocation}, {"host", place.host}});
  layers_.Doubt(id);
  MutexLock lock(entry->mutex);
  entry->connected = true;
  entry->pod.SetAgentWords("its agent has called");
  entry->told = false;
  entry->stopping = false;
  entry->host = place.host;
  entry->start_asked.clear();
  ++entry->visit;
}

void AgentBackend::WentAway(const SandboxId& id, const Status& why) {
  const EntryPtr entry = Find(id);
  if (entry == nullptr) return;
  host_.log().Info("an agent's connection has ended; what runs goes on",
                   {{"sandbox", id.str()}, {"why", why.message()}});
  MutexLock lock(entry->mutex);
  entry->connected = false;
  entry->told = false;
  if (!entry->pod.wants_run() || !entry->pod.is_pending() || entry->pod.ended()) return;
  entry->pod.SetAgentWords("its agent has gone away");
  host_.Report(entry->pod.All());
}

Status AgentBackend::Reported(const SandboxId& id, std::vector<sdk::Observation> facts,
                              bool complete) {
  const EntryPtr entry = Find(id);
  if (entry == nullptr) return {};
  Observations news;
  std::vector<ContainerId> with_logs;
  {
    MutexLock lock(entry->mutex);
    AgentPod changed = entry->pod;
    news = changed.TakeReport(facts, complete, host_.clock().WallNanos());
    // Not taken: the agent tells it again.
    if (!news.empty() && !entry->removed) RETURN_IF_ERROR(files_.Save(changed.stored()));
    entry->pod = std::move(changed);
    if (complete) {
      entry->told = true;
      with_logs = entry->pod.WithLogs();
    }
  }
  host_.Report(std::move(news));
  // What an agent said of its logs on the connection of before may be lost, and it says it once.
  for (const ContainerId& container : with_logs) host_.LogGrew(container);
  Post(id, [this, id] { Drive(id); });
  return {};
}

void AgentBackend::LogGrew(const SandboxId&, const ContainerId& container) {
  host_.LogGrew(container);
}

}  // namespace interlink::agent_backend
