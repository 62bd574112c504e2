// Facts: what backends report becomes part of the records. Facts may come from any thread and under
// any lock, so they are queued and applied together by one step: one commit for a burst.
#include <set>

#include "site/live_site.h"

namespace interlink::site {
namespace {

constexpr size_t kMaxFactsPerCommit = 256;
constexpr size_t kMaxEarlyFacts = 4096;

}  // namespace

void LiveSite::Report(std::vector<sdk::Observation> facts) {
  {
    MutexLock lock(mutex_);
    for (auto& fact : facts) facts_.push_back(std::move(fact));
    if (facts_posted_ || stopping_) return;
    facts_posted_ = true;
  }
  // PostAlways refuses only at shutdown; the next start asks the backends.
  if (!steps_.PostAlways("facts", [this] { ApplyFacts(); }).ok()) return;
}

void LiveSite::ApplyFacts() {
  std::set<SandboxKey> to_drive;  // posted without the lock
  {
    MutexLock lock(mutex_);
    ApplySomeFactsLocked(to_drive);
  }
  for (const SandboxKey& key : to_drive) PostDrive(key);
}

void LiveSite::ApplySomeFactsLocked(std::set<SandboxKey>& to_drive) {
  Change change;
  size_t taken = 0;
  while (!facts_.empty() && taken < kMaxFactsPerCommit) {
    const sdk::Observation fact = std::move(facts_.front());
    facts_.pop_front();
    ++taken;
    if (KeepEarlyLocked(fact)) continue;
    if (IsBeingCreatedLocked(fact)) to_drive.insert({fact.node, fact.sandbox});
    ApplyFactLocked(fact, change);
  }
  if (!change.touched.empty()) CommitLocked(change, false, {});
  if (facts_.empty()) {
    facts_posted_ = false;
  } else if (!steps_.PostAlways("facts", [this] { ApplyFacts(); }).ok()) {
    facts_posted_ = false;
  }
}

bool LiveSite::IsKnownLocked(const sdk::Observation& fact) const {
  if (fact.container.empty()) return tables_.Find(SandboxKey{fact.node, fact.sandbox}) != nullptr;
  return tables_.Find(ContainerKey{fact.node, fact.sandbox, fact.container}) != nullptr;
}

// An inventory may be on its way that imports what the fact is about, as it was before.
bool LiveSite::KeepEarlyLocked(const sdk::Observation& fact) {
  if (AllRecoveredLocked() || IsKnownLocked(fact)) return false;
  early_facts_.push_back(fact);
  if (early_facts_.size() > kMaxEarlyFacts) early_facts_.pop_front();
  return true;
}

void LiveSite::ApplyEarlyFactsLocked(Change& change) {
  std::deque<sdk::Observation> unknown;
  for (sdk::Observation& fact : early_facts_) {
    IsKnownLocked(fact) ? static_cast<void>(ApplyFactLocked(fact, change))
                        : unknown.push_back(std::move(fact));
  }
  early_facts_ = std::move(unknown);
}

// What its creation waited for has come.
bool LiveSite::IsBeingCreatedLocked(const sdk::Observation& fact) {
  if (fact.container.empty() || fact.state != sdk::Observation::State::kPending) return false;
  const Container* container = tables_.Find(ContainerKey{fact.node, fact.sandbox, fact.container});
  return container != nullptr && container->record.seen() == interlink::v1::SEEN_NOTHING;
}

bool LiveSite::ApplyFactLocked(const sdk::Observation& fact, Change& change) {
  const SandboxKey key{fact.node, fact.sandbox};
  Sandbox* sandbox = tables_.Find(key);
  if (fact.state == sdk::Observation::State::kAbsent) return ApplyAbsentLocked(fact, change);
  if (fact.container.empty()) {
    if (sandbox == nullptr || !ApplyFact(fact, sandbox->record)) return false;
    StampLocked(*sandbox);
    change.touched.push_back(StoreKey(key));
    change.drive.push_back(key);
    return true;
  }
  Container* container = tables_.Find(ContainerKey{fact.node, fact.sandbox, fact.container});
  if (container == nullptr || !ApplyFact(fact, container->record)) return false;
  // What runs was started: it is never started again.
  if (container->record.seen() >= interlink::v1::SEEN_UP)
    RaiseWanted(interlink::v1::WANTED_START, container->record);
  StampLocked(*container);
  change.touched.push_back(StoreKey(container->key));
  change.drive.push_back(key);
  return true;
}

// Proven: nothing of it exists. What had been seen alive is lost; what was never seen is held for
// its owner.
bool LiveSite::ApplyAbsentLocked(const sdk::Observation& fact, Change& change) {
  const SandboxKey key{fact.node, fact.sandbox};
  const std::string why = fact.message.empty() ? "nothing of it is left at the site" : fact.message;
  if (fact.container.empty()) {
    Sandbox* sandbox = tables_.Find(key);
    if (sandbox == nullptr) return false;
    return SettleAbsentLocked(*sandbox, why, change);
  }
  Container* container = tables_.Find(ContainerKey{fact.node, fact.sandbox, fact.container});
  if (container == nullptr) return false;
  return SettleAbsentLocked(*container, why, change);
}

bool LiveSite::SettleAbsentLocked(Sandbox& sandbox, const std::string& why, Change& change) {
  SandboxRecord& record = sandbox.record;
  if (record.wanted() == interlink::v1::WANTED_REMOVE) {
    if (record.seen() == interlink::v1::SEEN_GONE) return false;
    record.set_seen(interlink::v1::SEEN_GONE);
    ContainersGoLocked(sandbox, change);
  } else if (record.seen() >= interlink::v1::SEEN_DOWN) {
    return false;
  } else if (record.seen() == interlink::v1::SEEN_UP ||
             record.wanted() == interlink::v1::WANTED_STOP) {
    MarkLost(why, Now(), record);
  } else {
    // Unfinished: only its owner knows whether it is still wanted (DESIGN 6.7).
    record.set_held(true);
    sandbox.asked = false;
  }
  StampLocked(sandbox);
  change.touched.push_back(StoreKey(sandbox.key));
  return true;
}

bool LiveSite::SettleAbsentLocked(Container& container, const std::string& why, Change& change) {
  ContainerRecord& record = container.record;
  if (record.wanted() == interlink::v1::WANTED_REMOVE) {
    if (record.seen() == interlink::v1::SEEN_GONE) return false;
    record.set_seen(interlink::v1::SEEN_GONE);
  } else if (record.seen() >= interlink::v1::SEEN_DOWN) {
    return false;
  } else if (record.seen() >= interlink::v1::SEEN_CREATED ||
             record.wanted() >= interlink::v1::WANTED_START) {
    MarkLost(why, Now(), record);
  } else {
    record.set_held(true);
    container.created_unknown = false;
  }
  StampLocked(container);
  change.touched.push_back(StoreKey(container.key));
  return true;
}

}  // namespace interlink::site
