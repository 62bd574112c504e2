// Replies that wait for a record to settle: parked here, without a thread, until a change or their
// time fires them. Whoever takes a waiter out of the table fires it: a change, or its own timer.
#include <algorithm>

#include "site/live_site.h"

namespace interlink::site {
namespace {

// Prefer: wait=N is bounded, whatever the caller wrote.
constexpr Duration kMaxWait = std::chrono::seconds(2);

// How long a reply waits for its record to become durable.
constexpr Duration kStoreWait = std::chrono::seconds(10);

template <typename Record>
std::function<void()> AnswerOf(const Record* record, bool durable, Wanted asked,
                               const Reply<Answer<Record>>& reply) {
  if (record == nullptr) return [reply] { reply(NotFound("the record is gone")); };
  if (!durable)
    return [reply] { reply(Unavailable("the site's store has not taken it yet, ask again")); };
  if (asked <= interlink::v1::WANTED_START) {
    // Refused before anything started: the caller must not take the record for a pod that ran and
    // ended.
    const Status failure = FailureOf(*record);
    if (!failure.ok()) return [reply, failure] { reply(failure); };
  }
  return [reply, answer = Answer<Record>{*record, Settled(*record, asked)}] { reply(answer); };
}

}  // namespace

void LiveSite::AddWaiterLocked(const RecordKey& key, Wanted asked, Duration wait,
                               std::function<std::function<void()>()> take) {
  const uint64_t id = next_waiter_++;
  const bool durable = DurableLocked(key);
  wait = std::min(wait, kMaxWait);
  const Duration limit = !durable                    ? kStoreWait
                         : SettledLocked(key, asked) ? Duration::zero()
                                                     : wait;
  waiters_.emplace(
      key, Waiter{id, asked, wait, durable, TimeWaiterLocked(key, id, limit), std::move(take)});
}

Timer::Key LiveSite::TimeWaiterLocked(const RecordKey& key, uint64_t id, Duration limit) {
  return timer_.After(limit, [this, key, id] { WaiterTimedOut(key, id); });
}

void LiveSite::WaiterTimedOut(const RecordKey& key, uint64_t id) {
  std::function<void()> fire;
  {
    MutexLock lock(mutex_);
    const auto [begin, end] = waiters_.equal_range(key);
    const auto it =
        std::find_if(begin, end, [id](const auto& item) { return item.second.id == id; });
    if (it == end) return;
    Waiter& waiter = it->second;
    if (waiter.durable && !DurableLocked(key)) {
      // Its time is over in the middle of a commit: it is answered at the end of that.
      waiter.durable = false;
      waiter.wait = Duration::zero();
      waiter.timer = TimeWaiterLocked(key, id, kStoreWait);
      return;
    }
    fire = waiter.take();
    waiters_.erase(it);
  }
  fire();
}

bool LiveSite::SettledLocked(const RecordKey& key, Wanted asked) const {
  if (!DurableLocked(key)) return false;
  if (key.kind == RecordKind::kSandbox) {
    const Sandbox* sandbox = tables_.Find(SandboxKey{key.node, SandboxId(key.key)});
    return sandbox == nullptr || Settled(sandbox->record, asked);
  }
  const Container* container = tables_.FindContainer(key.node, ContainerId(key.key));
  return container == nullptr || Settled(container->record, asked);
}

void LiveSite::TakeSettledLocked(const RecordKey& key, std::vector<std::function<void()>>& fires) {
  const auto [begin, end] = waiters_.equal_range(key);
  for (auto it = begin; it != end;) {
    Waiter& waiter = it->second;
    if (!SettledLocked(key, waiter.asked)) {
      // A timer that cannot be cancelled any more answers in a moment.
      if (!waiter.durable && DurableLocked(key) && timer_.Cancel(waiter.timer)) {
        waiter.durable = true;
        waiter.timer = TimeWaiterLocked(key, waiter.id, waiter.wait);
      }
      ++it;
      continue;
    }
    timer_.Cancel(waiter.timer);
    fires.push_back(waiter.take());
    it = waiters_.erase(it);
  }
}

void LiveSite::AnswerSandboxLocked(const SandboxKey& key, Wanted asked, Duration wait,
                                   const Reply<Answer<SandboxRecord>>& reply) {
  AddWaiterLocked(StoreKey(key), asked, wait, [this, key, asked, reply]() NO_LOCK_ANALYSIS {
    const Sandbox* sandbox = tables_.Find(key);
    return AnswerOf(sandbox == nullptr ? nullptr : &sandbox->record, DurableLocked(StoreKey(key)),
                    asked, reply);
  });
}

void LiveSite::AnswerContainerLocked(const ContainerKey& key, Wanted asked, Duration wait,
                                     const Reply<Answer<ContainerRecord>>& reply) {
  AddWaiterLocked(StoreKey(key), asked, wait, [this, key, asked, reply]() NO_LOCK_ANALYSIS {
    const Container* container = tables_.Find(key);
    return AnswerOf(container == nullptr ? nullptr : &container->record,
                    DurableLocked(StoreKey(key)), asked, reply);
  });
}

}  // namespace interlink::site
