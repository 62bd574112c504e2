// Parked replies: an entry in a table with a deadline, fired by a change, by its timer, or by the
// caller's end.
#include <algorithm>

#include "node/limits.h"
#include "node/live_node.h"
#include "node/state.h"

namespace interlink::node {
namespace {

// A parked call answers before its caller gives up: 10 % of what is left, at most 5 s
// (DESIGN 6.14).

Duration Margin(Duration left) { return std::min<Duration>(left / 10, std::chrono::seconds(5)); }

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

Status LiveNode::TimeoutTextLocked(const Waiter& waiter) const {
  const std::string site = "site " + options_.site_name;
  const std::string away = ReachableLocked().ok() ? "" : " (" + ReachableLocked().message() + ")";
  if (waiter.until == Until::kReady) {
    const Sandbox* sandbox = tables_.Find(SandboxId(waiter.key));
    std::string reason = sandbox == nullptr ? "" : sandbox->stored.fact().reason();
    if (sandbox != nullptr && !sandbox->stored.fact().allocation().empty())
      reason += ", allocation " + sandbox->stored.fact().allocation();
    if (sandbox != nullptr && sandbox->stored.fact().expected_start_ns() != 0) {
      reason += ", expected start " + FormatRfc3339(sandbox->stored.fact().expected_start_ns());
    }
    return Unavailable("queued at " + site + (reason.empty() ? "" : ": " + reason) + away +
                       "; the request is kept, ask again");
  }
  const char* what = waiter.until == Until::kCreated   ? "the container is being created at "
                     : waiter.until == Until::kStarted ? "the container is being started at "
                     : waiter.until == Until::kEnded   ? "the end is not proven yet by "
                                                       : "the removal is not proven yet by ";
  return Unavailable(what + site + away + "; it goes on by itself, ask again");
}

void LiveNode::TakeDecidedLocked(const std::string& key, Fires& fires) {
  for (auto it = waiters_.begin(); it != waiters_.end();) {
    const auto outcome = it->key == key ? OutcomeLocked(*it) : std::nullopt;
    if (!outcome) {
      ++it;
      continue;
    }
    timer_.Cancel(it->timer);
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
    auto taken = std::make_shared<Waiter>(std::move(*it));
    fires.emplace_back([taken, why] { taken->fire(why); });
    it = waiters_.erase(it);
  }
}

void LiveNode::AnswerForUnreachable() {
  Fires fires;
  {
    MutexLock lock(mutex_);
    if (unreachable_.ok() || stopping_) return;
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
  }
  for (auto& fire : fires) fire();
}

void LiveNode::Expire(uint64_t number, bool cancelled) {
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
