// Parked replies: an entry in a table with a deadline, fired by a change, by its timer, or by the
// caller's end.
#include <algorithm>
#include <utility>

#include "node/limits.h"
#include "node/live_node.h"
#include "node/state.h"

namespace interlink::node {
namespace {

// What the site says of its queue, in its own words where it has some.
std::string QueueWords(const interlink::v1::SandboxRecord& fact) {
  if (!fact.message().empty()) return fact.message();
  std::string words;
  const auto add = [&words](const std::string& part) {
    words += (words.empty() ? "" : ", ") + part;
  };
  if (!fact.reason().empty()) add(fact.reason());
  if (!fact.allocation().empty()) add("allocation " + fact.allocation());
  if (fact.expected_start_ns() != 0)
    add("expected start " + FormatRfc3339(fact.expected_start_ns()));
  return words;
}

}  // namespace

void LiveNode::WaitLocked(const Call& call, const std::string& key, bool container, Until until,
                          std::function<void(Status)> fire) {
  const uint64_t number = next_waiter_++;
  Duration left = call.remaining();
  // While the site is away there is nothing to wait for, but it may be back at once.
  if (!unreachable_.ok()) left = std::min<Duration>(left, kAwayLimit);
  Waiter waiter{number, key, container, until, {}, {}, std::move(fire)};
  if (OutcomeLocked(waiter)) {
    // Decided already; told from the timer's thread, since the lock is held here. It waits in the
    // table like any other: whatever Stop finds there it answers.
    waiter.timer = timer_.After(Duration::zero(), [this, key, number] {
      Fires fires;
      {
        MutexLock lock(mutex_);
        TakeDecidedLocked(key, fires);
      }
      for (auto& taken : fires) taken();
      Expire(number, false);
    });
    waiters_.push_back(std::move(waiter));
    return;
  }
  waiter.timer = timer_.After(left - Margin(left), [this, number] { Expire(number, false); });
  waiters_.push_back(std::move(waiter));
  // Registered outside of the lock's reach: a call that is cancelled already runs its callback at
  // once.
  waiters_.back().cancelled = call.OnCancel(
      [this, number] { timer_.After(Duration::zero(), [this, number] { Expire(number, true); }); });
}

std::optional<Status> LiveNode::OutcomeLocked(const Waiter& waiter) const {
  if (waiter.container) {
    const Container* container = tables_.Find(ContainerId(waiter.key));
    if (container == nullptr)
      return waiter.until >= Until::kEnded ? Status::Ok() : NotFound("the container was removed");
    const auto& stored = container->stored;
    switch (waiter.until) {
      case Until::kCreated:
        if (container->shown) return Status::Ok();
        if (stored.fact().has_failure()) return FailureOf(stored.fact().failure());
        return std::nullopt;
      case Until::kStarted:
        if (container->shown == runtime::v1::CONTAINER_EXITED &&
            stored.fact().reason() == "StartError") {
          return InternalError("the container cannot be started: " + stored.fact().message());
        }
        if (container->shown == runtime::v1::CONTAINER_EXITED ||
            stored.fact().seen() == interlink::v1::SEEN_UP)
          return Status::Ok();
        return std::nullopt;
      case Until::kEnded:
        if (container->shown == runtime::v1::CONTAINER_EXITED ||
            (!container->shown && stored.abandoned()))
          return Status::Ok();
        return std::nullopt;
      case Until::kReady:
      case Until::kGone:
        return std::nullopt;
    }
    return std::nullopt;
  }
  const Sandbox* sandbox = tables_.Find(SandboxId(waiter.key));
  if (sandbox == nullptr)
    return waiter.until >= Until::kEnded ? Status::Ok()
                                         : Unavailable("the sandbox was removed meanwhile");
  if (waiter.until == Until::kReady && sandbox->shown == runtime::v1::SANDBOX_READY)
    return Status::Ok();
  if (waiter.until == Until::kReady && !sandbox->shown && sandbox->stored.fact().has_failure())
    return FailureOf(sandbox->stored.fact().failure());
  if (waiter.until == Until::kReady && sandbox->shown == runtime::v1::SANDBOX_NOTREADY) {
    return Unavailable("the sandbox has ended already: " + sandbox->stored.fact().message());
  }
  if (waiter.until == Until::kEnded &&
      (sandbox->shown == runtime::v1::SANDBOX_NOTREADY ||
       (!sandbox->shown && sandbox->stored.fact().seen() >= interlink::v1::SEEN_DOWN)))
    return Status::Ok();
  return std::nullopt;
}

std::string LiveNode::AwayTextLocked() const {
  return ReachableLocked().ok() ? "" : " (" + ReachableLocked().message() + ")";
}

std::string LiveNode::StartTextLocked(const Sandbox* sandbox) const {
  const bool granted = sandbox != nullptr && sandbox->stored.fact().granted();
  const std::string queue = sandbox == nullptr ? "" : QueueWords(sandbox->stored.fact());
  const std::string trouble = sandbox == nullptr ? "" : TroubleLocked(*sandbox);
  std::string text = granted                             ? "starting at "
                     : queue.empty() && !trouble.empty() ? "not started yet at "
                                                         : "queued at ";
  text += "site " + options_.site_name;
  if (!queue.empty()) text += ": " + queue;
  if (!trouble.empty()) text += (queue.empty() ? ": " : "; ") + trouble;
  return text + AwayTextLocked();
}

Status LiveNode::TimeoutTextLocked(const Waiter& waiter) const {
  if (waiter.until == Until::kReady) {
    return Unavailable(StartTextLocked(tables_.Find(SandboxId(waiter.key))) +
                       "; the request is kept, ask again");
  }
  const char* what = waiter.until == Until::kCreated   ? "the container is being created at "
                     : waiter.until == Until::kStarted ? "the container is being started at "
                     : waiter.until == Until::kEnded   ? "the end is not proven yet by "
                                                       : "the removal is not proven yet by ";
  const std::string trouble = TroubleLocked(waiter);
  return Unavailable(what + ("site " + options_.site_name) +
                     (trouble.empty() ? "" : ": " + trouble) + AwayTextLocked() +
                     "; it goes on by itself, ask again");
}

std::string LiveNode::WaitTextLocked(const Sandbox& sandbox) const {
  const auto seen = sandbox.stored.fact().seen();
  const auto wanted = sandbox.stored.wanted();
  if (wanted < interlink::v1::WANTED_STOP) {
    return seen < interlink::v1::SEEN_UP ? StartTextLocked(&sandbox) : TroubleLocked(sandbox);
  }
  const bool ended = seen == interlink::v1::SEEN_GONE ||
                     (seen == interlink::v1::SEEN_DOWN && wanted == interlink::v1::WANTED_STOP);
  if (ended) return TroubleLocked(sandbox);
  const std::string trouble = TroubleLocked(sandbox);
  return (wanted == interlink::v1::WANTED_STOP ? "the end is not proven yet by site "
                                               : "the removal is not proven yet by site ") +
         options_.site_name + (trouble.empty() ? "" : ": " + trouble) + AwayTextLocked();
}

std::string LiveNode::TroubleLocked(const Container& container) const {
  if (!container.stored.fact().retrying().empty()) return container.stored.fact().retrying();
  // A site that is away is told of once.
  return ReachableLocked().ok() ? container.trouble : "";
}

std::string LiveNode::TroubleLocked(const Sandbox& sandbox) const {
  if (!sandbox.stored.fact().retrying().empty()) return sandbox.stored.fact().retrying();
  if (!sandbox.trouble.empty() && ReachableLocked().ok()) return sandbox.trouble;
  for (const ContainerId& id : sandbox.containers) {
    const Container* container = tables_.Find(id);
    const std::string trouble = container == nullptr ? "" : TroubleLocked(*container);
    if (trouble.empty()) continue;
    return "container \"" + container->request->config().metadata().name() + "\": " + trouble;
  }
  return "";
}

std::string LiveNode::TroubleLocked(const Waiter& waiter) const {
  if (waiter.container) {
    const Container* container = tables_.Find(ContainerId(waiter.key));
    return container == nullptr ? "" : TroubleLocked(*container);
  }
  const Sandbox* sandbox = tables_.Find(SandboxId(waiter.key));
  return sandbox == nullptr ? "" : TroubleLocked(*sandbox);
}

void LiveNode::TakeDecidedLocked(const std::string& key, Fires& fires) {
  for (auto it = waiters_.begin(); it != waiters_.end();) {
    const auto outcome = it->key == key ? OutcomeLocked(*it) : std::nullopt;
    if (!outcome) {
      ++it;
      continue;
    }
    timer_.Cancel(it->timer);
    if (!outcome->ok()) ToldLocked(*it);
    auto taken =
        std::make_shared<Waiter>(std::move(*it));  // its registration must die outside of the lock
    fires.emplace_back([taken, outcome = *outcome] { taken->fire(outcome); });
    it = waiters_.erase(it);
  }
}

void LiveNode::FailWaitersLocked(const std::string& key, const Status& why, Fires& fires) {
  for (auto it = waiters_.begin(); it != waiters_.end();) {
    if (it->key != key || it->until >= Until::kEnded) {
      ++it;
      continue;
    }
    timer_.Cancel(it->timer);
    ToldLocked(*it);
    auto taken = std::make_shared<Waiter>(std::move(*it));
    fires.emplace_back([taken, why] { taken->fire(why); });
    it = waiters_.erase(it);
  }
}

// Not committed by itself: after a crash it may be told once more.
void LiveNode::ToldLocked(const Waiter& waiter) {
  if (waiter.container) {
    if (Container* container = tables_.Find(ContainerId(waiter.key)))
      container->stored.clear_untold();
  } else if (Sandbox* sandbox = tables_.Find(SandboxId(waiter.key))) {
    sandbox->stored.clear_untold();
  }
}

void LiveNode::AnswerForUnreachable(uint64_t loss) {
  Fires fires;
  {
    MutexLock lock(mutex_);
    if (unreachable_.ok() || loss != losses_ || stopping_) return;
    for (Waiter& waiter : waiters_) {
      timer_.Cancel(waiter.timer);
      const Status text = TimeoutTextLocked(waiter);
      auto taken = std::make_shared<Waiter>(std::move(waiter));
      fires.emplace_back([taken, text] { taken->fire(text); });
    }
    waiters_.clear();
    for (auto& [id, pull] : pulls_) {
      timer_.Cancel(pull->deadline);
      fires.emplace_back([pull, why = unreachable_] { pull->fire(why); });
    }
    pulls_.clear();
    fires.emplace_back(
        [ended = std::exchange(site_away_, Call::WithTimeout(kForEver))] { ended.Cancel(); });
  }
  for (auto& fire : fires) fire();
}

// Kubelet that waits for our answer has a folder of its pod; crictl has none.
void LiveNode::NotePodOf(uint64_t waiter) {
  SandboxId id;
  std::string uid;
  {
    MutexLock lock(mutex_);
    const auto it = std::find_if(waiters_.begin(), waiters_.end(),
                                 [waiter](const Waiter& w) { return w.number == waiter; });
    if (it == waiters_.end() || it->container || it->until != Until::kReady) return;
    id = SandboxId(it->key);
    const Sandbox* sandbox = tables_.Find(id);
    if (sandbox == nullptr || sandbox->of_kubelet) return;
    uid = sandbox->request->config().metadata().uid();
  }
  if (!ports_.volumes.HasPod(uid).value_or(false)) return;
  MutexLock lock(mutex_);
  if (Sandbox* sandbox = tables_.Find(id)) sandbox->of_kubelet = true;
}

void LiveNode::Expire(uint64_t number, bool cancelled) {
  NotePodOf(number);
  std::shared_ptr<Waiter> taken;
  Status text;
  {
    MutexLock lock(mutex_);
    const auto it = std::find_if(waiters_.begin(), waiters_.end(),
                                 [number](const Waiter& w) { return w.number == number; });
    if (it == waiters_.end()) return;
    text = cancelled ? CancelledError("the caller has gone; the request is kept for a while")
                     : TimeoutTextLocked(*it);
    if (cancelled) {
      // The pod was deleted, or kubelet restarts: an unfinished creation is undone sooner when
      // nobody asks again.
      if (it->container) {
        if (Container* container = tables_.Find(ContainerId(it->key))) container->cancelled = true;
      } else if (Sandbox* sandbox = tables_.Find(SandboxId(it->key))) {
        sandbox->cancelled = true;
      }
    }
    timer_.Cancel(it->timer);
    taken = std::make_shared<Waiter>(std::move(*it));
    waiters_.erase(it);
  }
  taken->fire(text);
}

}  // namespace interlink::node
