// Allocations that are used for nothing: an image that cannot be pulled, a container that nobody
// starts. They are given back after a time, and a pod that comes again for the same waits before it
// gets another one, twice as long each time.
#include <algorithm>

#include "agent_backend/agent_backend.h"
#include "agent_backend/refusal.h"
#include "runtime/v1/api.pb.h"

namespace interlink::agent_backend {
namespace {

constexpr auto kSubmitWithin = std::chrono::seconds(10);
constexpr uint32_t kMostIdleDoublings = 6;  // 10 min become 11 h

std::string InSeconds(Duration time) {
  return std::to_string(std::chrono::duration_cast<std::chrono::seconds>(time).count()) + " s";
}

bool IsSamePod(const runtime::v1::PodSandboxMetadata& a, const runtime::v1::PodSandboxMetadata& b) {
  return a.uid() == b.uid() && a.name() == b.name() && a.namespace_() == b.namespace_();
}

}  // namespace

// What the attempt before this one came to.
uint32_t AgentBackend::IdleTriesBefore(const sdk::SandboxSpec& spec) const {
  const auto& own = spec.config.metadata();
  std::map<SandboxId, EntryPtr> pods;
  {
    MutexLock lock(mutex_);
    pods = pods_;
  }
  uint32_t tries = 0;
  std::optional<uint32_t> newest;
  for (const auto& [id, entry] : pods) {
    MutexLock lock(entry->mutex);
    const auto& stored = entry->pod.stored();
    // Most are other pods', and need not be parsed to see it.
    if (entry->pod.node() != spec.node || stored.config().find(own.uid()) == std::string::npos) {
      continue;
    }
    runtime::v1::PodSandboxConfig config;
    if (!config.ParseFromString(stored.config()) || !IsSamePod(config.metadata(), own)) continue;
    if (newest && *newest >= config.metadata().attempt()) continue;
    newest = config.metadata().attempt();
    const bool idle = !stored.given_back().empty() && !stored.ran();
    tries = idle ? stored.idle_tries() + 1 : 0;
  }
  return tries;
}

// True: it is not to be submitted yet, and the pod says so.
bool AgentBackend::IsDelayed(Entry& entry) {
  const uint32_t tries = entry.pod.stored().idle_tries();
  if (entry.asked || tries == 0 || options_.idle_timeout == Duration::zero()) return false;
  const SteadyTime now = host_.clock().Steady();
  if (!entry.not_before) {
    const Duration delay = options_.idle_timeout * (1U << std::min(tries - 1, kMostIdleDoublings));
    entry.not_before = now + delay;
    sdk::AllocationFact fact;
    fact.sandbox = entry.pod.id();
    fact.reason = "IdleBackOff";
    fact.message = "asks for no allocation for " + InSeconds(delay) + ": the " +
                   (tries == 1 ? "one" : std::to_string(tries)) +
                   " before had no running container until given back";
    fact.expected_start_ns = host_.clock().WallNanos() + delay.count();
    entry.pod.TakeAllocation(fact);
  }
  return now < *entry.not_before;
}

void AgentBackend::LookAgainAt(const EntryPtr& entry, SteadyTime when) {
  if (entry->watched) return;
  entry->watched = true;
  timer_.At(when, [this, id = entry->pod.id()] {
    const EntryPtr late = Find(id);
    if (late == nullptr) return;
    {
      MutexLock lock(late->mutex);
      late->watched = false;
    }
    Post(id, [this, id] { Drive(id); });
  });
}

// What was delayed is asked for now. True: it must come again.
bool AgentBackend::DriveSubmit(const EntryPtr& entry) {
  interlink::v1::StoredAgentPod asked;
  {
    MutexLock lock(entry->mutex);
    if (IsDelayed(*entry)) {
      LookAgainAt(entry, *entry->not_before);
      host_.Report(entry->pod.All());
      return false;
    }
    entry->asked = true;
    asked = entry->pod.stored();
  }
  runtime::v1::PodSandboxConfig config;
  Status submitted = DataLoss("the stored pod cannot be read");
  if (config.ParseFromString(asked.config())) {
    submitted = provisioner_->Submit(Call::WithTimeout(kSubmitWithin),
                                     {SandboxId(asked.id()),
                                      NodeId(asked.node_id()),
                                      asked.handler(),
                                      config,
                                      {asked.node_options().begin(), asked.node_options().end()},
                                      asked.user()});
  }
  const bool is_final =
      RefusalOf(submitted.code()) >= Refusal::kFinal || submitted.code() == Code::kDataLoss;
  if (!submitted.ok() && !is_final) return true;
  Observations news;
  {
    MutexLock lock(entry->mutex);
    entry->not_before.reset();
    if (submitted.ok()) return false;
    news = entry->pod.Fail(submitted.message(), host_.clock().WallNanos());
    if (const Status saved = SaveLocked(*entry); !saved.ok()) return true;
  }
  host_.Report(std::move(news));
  return DriveEnd(entry);
}

// True: it was, and its allocation is to be given back.
bool AgentBackend::GiveBackIfIdle(const EntryPtr& entry) {
  if (options_.idle_timeout == Duration::zero()) return false;
  MutexLock lock(entry->mutex);
  // Without its agent nothing can be started: that time is nobody's fault.
  if (!entry->connected || !entry->told || !entry->pod.is_idle()) {
    entry->idle_since.reset();
    return false;
  }
  const SteadyTime now = host_.clock().Steady();
  // Nor without its image.
  if (layers_.IsSending(entry->pod.id())) {
    entry->idle_since.reset();
    LookAgainAt(entry, now + options_.idle_timeout);
    return false;
  }
  if (!entry->idle_since) entry->idle_since = now;
  const SteadyTime due = *entry->idle_since + options_.idle_timeout;
  if (now < due) {
    LookAgainAt(entry, due);
    return false;
  }
  AgentPod given = entry->pod;
  given.GiveBack("given back: no container had run in it for " + InSeconds(options_.idle_timeout));
  if (const Status saved = files_.Save(given.stored()); !saved.ok()) {
    host_.log().Warning("an idle allocation cannot be given back yet",
                        {{"sandbox", given.id().str()}, {"error", saved.ToString()}});
    LookAgainAt(entry, now + options_.try_again);
    return false;
  }
  host_.log().Warning("an idle allocation is given back",
                      {{"sandbox", given.id().str()}, {"allocation", given.stored().allocation()}});
  entry->pod = std::move(given);
  return true;
}

}  // namespace interlink::agent_backend
