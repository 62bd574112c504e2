// Replies that wait for a record to settle: parked here, without a thread, until a change or their
// time fires them. Whoever takes a waiter out of the table fires it: a change, or its own timer.
#include "site/live_site.h"

namespace interlink::site {
namespace {

// Prefer: wait=N is bounded, whatever the caller wrote.
constexpr Duration kMaxWait = std::chrono::seconds(2);

template <typename Record>
void AnswerWith(Record* record, Wanted asked,
                const Reply<Answer<std::remove_const_t<Record>>>& reply) {
  if (record == nullptr) return reply(NotFound("the record is gone"));
  if (asked <= interlink::v1::WANTED_START) {
    // Refused before anything started: the caller must not take the record for a pod that ran and
    // ended.
    if (const Status failure = FailureOf(*record); !failure.ok()) return reply(failure);
  }
  reply(Answer<std::remove_const_t<Record>>{*record, Settled(*record, asked)});
}

}  // namespace

void LiveSite::AddWaiterLocked(const RecordKey& key, Wanted asked, Duration wait,
                               std::function<void()> fire) {
  const uint64_t id = next_waiter_++;
  const Timer::Key timer = timer_.After(std::min(wait, kMaxWait), [this, key, id] {
    std::function<void()> mine;
    {
      MutexLock lock(mutex_);
      const auto [begin, end] = waiters_.equal_range(key);
      const auto it =
          std::find_if(begin, end, [id](const auto& item) { return item.second.id == id; });
      if (it == end) return;
      mine = std::move(it->second.fire);
      waiters_.erase(it);
    }
    mine();
  });
  waiters_.emplace(key, Waiter{id, asked, timer, std::move(fire)});
}

bool LiveSite::SettledLocked(const RecordKey& key, Wanted asked) const {
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
    if (!SettledLocked(key, it->second.asked)) {
      ++it;
      continue;
    }
    timer_.Cancel(it->second.timer);
    fires.push_back(std::move(it->second.fire));
    it = waiters_.erase(it);
  }
}

void LiveSite::AnswerSandboxLocked(const SandboxKey& key, Wanted asked, Duration wait,
                                   const Reply<Answer<SandboxRecord>>& reply) {
  const auto answer = [this, key, asked, reply] {
    std::unique_ptr<SandboxRecord> record;
    {
      MutexLock lock(mutex_);
      if (const Sandbox* sandbox = tables_.Find(key))
        record = std::make_unique<SandboxRecord>(sandbox->record);
    }
    AnswerWith(record.get(), asked, reply);
  };
  AddWaiterLocked(StoreKey(key), asked,
                  SettledLocked(StoreKey(key), asked) ? Duration::zero() : wait, answer);
}

void LiveSite::AnswerContainerLocked(const ContainerKey& key, Wanted asked, Duration wait,
                                     const Reply<Answer<ContainerRecord>>& reply) {
  const auto answer = [this, key, asked, reply] {
    std::unique_ptr<ContainerRecord> record;
    {
      MutexLock lock(mutex_);
      if (const Container* container = tables_.Find(key))
        record = std::make_unique<ContainerRecord>(container->record);
    }
    AnswerWith(record.get(), asked, reply);
  };
  AddWaiterLocked(StoreKey(key), asked,
                  SettledLocked(StoreKey(key), asked) ? Duration::zero() : wait, answer);
}

}  // namespace interlink::site
