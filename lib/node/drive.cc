// Drive: the one place that acts for a sandbox at the site. It may run any number of times, at any
// moment.
#include <algorithm>

#include "node/limits.h"
#include "node/live_node.h"
#include "node/state.h"

namespace interlink::node {
namespace {

constexpr int kMaxBackoffShift = 7;

}  // namespace

void LiveNode::PostDrive(const SandboxId& id) {
  {
    MutexLock lock(mutex_);
    if (stopping_ || !drive_posted_.insert(id).second) return;
  }
  const Status posted = steps_.PostAlways(id.str(), [this, id] {
    {
      MutexLock lock(mutex_);
      drive_posted_.erase(id);
    }
    Drive(id);
  });
  if (!posted.ok())
    ports_.log.Debug("a step was not taken", {{"sandbox", id.str()}, {"why", posted.message()}});
}

void LiveNode::DriveLater(const SandboxId& id, int attempt) {
  DriveAfter(id, std::chrono::milliseconds(200) * (1 << std::min(attempt, kMaxBackoffShift)));
}

void LiveNode::DriveAfter(const SandboxId& id, Duration delay) {
  const SteadyTime when = std::chrono::steady_clock::now() + delay;
  MutexLock lock(mutex_);
  Sandbox* sandbox = tables_.Find(id);
  if (sandbox == nullptr || stopping_) return;
  // Each Drive may end here several times; without this their number would grow with every round.
  if (sandbox->drive_at != SteadyTime{} && sandbox->drive_at <= when) return;
  sandbox->drive_at = when;
  timer_.At(when, [this, id, when] {
    {
      MutexLock again(mutex_);
      if (Sandbox* same = tables_.Find(id); same != nullptr && same->drive_at == when)
        same->drive_at = {};
    }
    PostDrive(id);
  });
}

void LiveNode::Drive(const SandboxId& id) {
  std::vector<ContainerId> containers;
  interlink::v1::Wanted wanted;
  interlink::v1::Seen seen;
  bool missing = false;
  {
    MutexLock lock(mutex_);
    Sandbox* sandbox = tables_.Find(id);
    // Without a link nothing can be asked: the next link drives everything.
    if (sandbox == nullptr || stopping_ || link_ == 0) return;
    if (DeferLocked(sandbox)) return;
    wanted = sandbox->stored.wanted();
    seen = sandbox->stored.fact().seen();
    missing = sandbox->missing;
    containers.assign(sandbox->containers.begin(), sandbox->containers.end());
  }
  if (wanted >= interlink::v1::WANTED_STOP) {
    DriveSandboxEnd(id);
  } else if (missing) {
    SettleMissing(id);
  } else if (seen < interlink::v1::SEEN_UP) {
    DriveRun(id);
  }
  if (wanted == interlink::v1::WANTED_REMOVE) return;
  for (const ContainerId& container : containers) DriveContainer(container);
}

bool LiveNode::DeferLocked(Sandbox* sandbox) {
  if (sandbox->uncommitted > 0) sandbox->drive_deferred = true;
  return sandbox->uncommitted > 0;
}

bool LiveNode::DeferLocked(Container* container) {
  if (container->uncommitted == 0) return false;
  if (Sandbox* owner = tables_.Find(container->sandbox())) owner->drive_deferred = true;
  return true;
}

Duration LiveNode::StepWait() { return steps_.Busy() ? Duration::zero() : Duration(kWait); }

void LiveNode::DriveRun(const SandboxId& id) {
  std::string body;
  LinkNumber link = 0;
  Duration wait = StepWait();
  {
    MutexLock lock(mutex_);
    Sandbox* sandbox = tables_.Find(id);
    if (sandbox == nullptr || sandbox->asked_link == link_ || DeferLocked(sandbox)) return;
    if (sandbox->stored.wanted() != interlink::v1::WANTED_CREATE) return;
    body = sandbox->stored.body();
    // What is known to be queued starts no sooner for a step that waits.
    if (sandbox->stored.fact().seen() != interlink::v1::SEEN_NOTHING) wait = Duration::zero();
    link = link_;
  }
  auto record = ports_.site.RunSandbox(NewRequest().call, link, id, body, wait);
  int attempts = 0;
  {
    MutexLock lock(mutex_);
    if (Sandbox* sandbox = tables_.Find(id)) {
      attempts = NoteTry(record.status(), *sandbox);
      if (record.ok()) sandbox->asked_link = link;
    }
  }
  if (record.ok()) return Apply(*record);
  const Code code = record.status().code();
  if (code == Code::kUnavailable || code == Code::kAborted || code == Code::kCancelled ||
      code == Code::kDeadlineExceeded || code == Code::kUnauthenticated) {
    return StepFailed(id, link, record.status(), attempts);
  }
  // Refused before anything started: the next try is a new id.
  GiveUpSandbox(id, record.status());
}

void LiveNode::StepFailed(const SandboxId& id, LinkNumber link, const Status& why, int attempts) {
  ports_.log.Info("a request to the site will be repeated",
                  {{"sandbox", id.str()}, {"error", why.ToString()}});
  // The new link drives again. A step that was late and had none ends none.
  if (why.code() == Code::kAborted && link != 0) Relink(link);
  DriveLater(id, attempts);
}

void LiveNode::GiveUpSandbox(const SandboxId& id, const Status& why) {
  Fires fires;
  {
    MutexLock lock(mutex_);
    Sandbox* sandbox = tables_.Find(id);
    if (sandbox == nullptr) return;
    const bool news = !sandbox->stored.abandoned();
    if (news) *sandbox->stored.mutable_untold() = FailureFrom(why);
    FailWaitersLocked(id.str(), why, fires);
    if (news) {
      sandbox->stored.set_abandoned(true);
      sandbox->stored.set_wanted(interlink::v1::WANTED_REMOVE);
      // The name is free for the next try; the site still waits for the proof of this one's end.
      CommitLocked({{id}, {}, {}, false, {id}}, false, {});
    }
  }
  for (auto& fire : fires) fire();
}

void LiveNode::DriveSandboxEnd(const SandboxId& id) {
  interlink::v1::Wanted wanted;
  std::string handler;
  LinkNumber link = 0;
  Duration again = Duration::zero();
  {
    MutexLock lock(mutex_);
    Sandbox* sandbox = tables_.Find(id);
    if (sandbox == nullptr || DeferLocked(sandbox)) return;
    wanted = sandbox->stored.wanted();
    const auto seen = sandbox->stored.fact().seen();
    if (seen == interlink::v1::SEEN_GONE ||
        (wanted == interlink::v1::WANTED_STOP && seen == interlink::v1::SEEN_DOWN))
      return;
    handler = sandbox->stored.handler();
    link = link_;
    // Asked already: its end comes as an event.
    const Duration since = std::chrono::steady_clock::now() - sandbox->end_asked_at;
    if (sandbox->end_asked >= wanted && sandbox->end_asked_link == link && since < kAskAgain)
      again = kAskAgain - since;
  }
  if (again > Duration::zero()) return DriveAfter(id, again + kLater);
  const Request request = NewRequest();
  const Call& call = request.call;
  auto record = wanted == interlink::v1::WANTED_STOP
                    ? ports_.site.StopSandbox(call, link, id, handler, StepWait())
                    : ports_.site.RemoveSandbox(call, link, id, handler);
  int attempts = 0;
  {
    MutexLock lock(mutex_);
    Sandbox* sandbox = tables_.Find(id);
    if (sandbox == nullptr) return;
    attempts = NoteTry(record.status(), *sandbox);
    if (record.ok()) {
      sandbox->end_asked = wanted;
      sandbox->end_asked_link = link;
      sandbox->end_asked_at = std::chrono::steady_clock::now();
    }
  }
  if (!record.ok()) return StepFailed(id, link, record.status(), attempts);
  const bool settled =
      record->seen() == interlink::v1::SEEN_GONE ||
      (wanted == interlink::v1::WANTED_STOP && record->seen() == interlink::v1::SEEN_DOWN);
  Apply(*record);
  // The end comes as an event; should it be lost, the question is asked again.
  if (!settled) DriveAfter(id, kAskAgain + kLater);
}

// The site's complete list lacks what we know: nothing is concluded from that. A creation that was
// never seen is repeated; for the rest the site is asked to end it, and its proof is the end.
void LiveNode::SettleMissing(const SandboxId& id) {
  std::string handler;
  LinkNumber link = 0;
  {
    MutexLock lock(mutex_);
    Sandbox* sandbox = tables_.Find(id);
    if (sandbox == nullptr || DeferLocked(sandbox)) return;
    if (sandbox->stored.fact().seen() < interlink::v1::SEEN_UP) {
      sandbox->missing = false;
      sandbox->asked_link = 0;
    }
    if (sandbox->stored.fact().seen() >= interlink::v1::SEEN_DOWN) return;
    handler = sandbox->stored.handler();
    link = sandbox->missing ? link_ : 0;
  }
  if (link == 0) return DriveRun(id);
  auto record = ports_.site.StopSandbox(NewRequest().call, link, id, handler, StepWait());
  if (!record.ok()) return StepFailed(id, link, record.status(), kSettleAttempt);
  const bool settled = record->seen() >= interlink::v1::SEEN_DOWN;
  Apply(*record);
  if (settled) return;
  {
    MutexLock lock(mutex_);
    if (Sandbox* sandbox = tables_.Find(id)) sandbox->missing = true;  // until its end is proven
  }
  DriveAfter(id, kAskAgain);
}

}  // namespace interlink::node
