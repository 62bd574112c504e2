// Drive: the one place that acts for a sandbox. It looks at wanted and seen and does the next
// backend calls; it may run any number of times, at any moment.
#include <algorithm>

#include "runtime/v1/api.pb.h"
#include "site/limits.h"
#include "site/live_site.h"

namespace interlink::site {
namespace {

constexpr int kMaxBackoffShift = 7;  // 250 ms * 2^7 = 32 s

}  // namespace

void LiveSite::PostDrive(const SandboxKey& key) {
  {
    MutexLock lock(mutex_);
    // One Drive that waits is enough: it will see everything.
    if (stopping_ || !drive_posted_.insert(key).second) return;
  }
  const Status posted = steps_.PostAlways(key.Lane(), [this, key] {
    {
      MutexLock lock(mutex_);
      drive_posted_.erase(key);
    }
    Drive(key);
  });
  // Only at shutdown: the next start drives everything.
  if (!posted.ok())
    ports_.log.Debug("a step was not taken",
                     {{"sandbox", key.id.str()}, {"why", posted.message()}});
}

void LiveSite::DriveLater(const SandboxKey& key, int attempt) {
  DriveAfter(key, std::chrono::milliseconds(250) * (1 << std::min(attempt, kMaxBackoffShift)));
}

void LiveSite::DriveAfter(const SandboxKey& key, Duration delay) {
  const SteadyTime when = std::chrono::steady_clock::now() + delay;
  MutexLock lock(mutex_);
  Sandbox* sandbox = tables_.Find(key);
  if (sandbox == nullptr || stopping_) return;
  // Each Drive may end here several times; without this their number would grow with every round.
  if (sandbox->drive_at != SteadyTime{} && sandbox->drive_at <= when) return;
  sandbox->drive_at = when;
  timer_.At(when, [this, key, when] {
    {
      MutexLock again(mutex_);
      if (Sandbox* same = tables_.Find(key); same != nullptr && same->drive_at == when)
        same->drive_at = {};
    }
    PostDrive(key);
  });
}

void LiveSite::Retry(const SandboxKey& key, const std::string& what, const Status& why) {
  int attempt = 0;
  {
    MutexLock lock(mutex_);
    if (Sandbox* sandbox = tables_.Find(key)) {
      TellRetryLocked(*sandbox, RetryText(what, why));
      attempt = sandbox->attempts++;
    }
  }
  RetryLater(key, attempt, what, why);
}

void LiveSite::Retry(const ContainerKey& key, const std::string& what, const Status& why) {
  int attempt = 0;
  {
    MutexLock lock(mutex_);
    if (Container* container = tables_.Find(key)) {
      TellRetryLocked(*container, RetryText(what, why));
      attempt = container->attempts++;
    }
  }
  RetryLater(key.Sandbox(), attempt, what, why);
}

void LiveSite::RetryLater(const SandboxKey& key, int attempt, const std::string& what,
                          const Status& why) {
  ports_.log.Warning("a backend call will be repeated", {{"call", what},
                                                         {"sandbox", key.id.str()},
                                                         {"node", key.node.str()},
                                                         {"error", why.ToString()}});
  DriveLater(key, attempt);
}

bool LiveSite::DeferLocked(Sandbox& sandbox) {
  if (sandbox.uncommitted > 0) sandbox.drive_deferred = true;
  return sandbox.uncommitted > 0;
}

bool LiveSite::DeferLocked(const Container& container) {
  if (container.uncommitted == 0) return false;
  if (Sandbox* owner = tables_.Find(container.key.Sandbox())) owner->drive_deferred = true;
  return true;
}

void LiveSite::Drive(const SandboxKey& key) {
  std::vector<ContainerKey> containers;
  Wanted wanted;
  Seen seen;
  sdk::Backend* backend = nullptr;
  bool held = false;
  {
    MutexLock lock(mutex_);
    Sandbox* sandbox = tables_.Find(key);
    if (sandbox == nullptr || stopping_ || DeferLocked(*sandbox)) return;
    const Plugin* plugin = FindPlugin(sandbox->record.handler());
    // Not inventoried (or missing): recovery drives it again.
    if (plugin == nullptr || plugin->backend == nullptr || !plugin->recovered) return;
    backend = plugin->backend.get();
    wanted = sandbox->record.wanted();
    seen = sandbox->record.seen();
    held = sandbox->record.held();
    for (const ContainerId& id : sandbox->containers) containers.push_back({key.node, key.id, id});
  }
  if (wanted >= interlink::v1::WANTED_STOP) {
    DriveSandboxEnd(key, *backend, wanted, seen);
  } else if (seen == interlink::v1::SEEN_NOTHING && !held) {
    DriveRun(key, *backend);
  }
  // Its containers go with it; what is left of one that is gone has to be proven by itself.
  if (wanted == interlink::v1::WANTED_REMOVE && seen != interlink::v1::SEEN_GONE) return;
  for (const ContainerKey& container : containers) DriveContainer(container);
}

void LiveSite::DriveRun(const SandboxKey& key, sdk::Backend& backend) {
  interlink::v1::RunSandboxRequest request;
  std::string user;
  {
    MutexLock lock(mutex_);
    Sandbox* sandbox = tables_.Find(key);
    if (sandbox == nullptr || sandbox->asked || DeferLocked(*sandbox)) return;
    if (sandbox->record.wanted() != interlink::v1::WANTED_CREATE) return;
    if (!request.ParseFromString(sandbox->body))
      return;  // imported without a config: it is up or ended already
    user = sandbox->user;
  }
  const sdk::SandboxSpec spec{key.id,
                              key.node,
                              request.handler(),
                              request.config(),
                              {request.plugin_config().begin(), request.plugin_config().end()},
                              std::move(user)};
  const Status status = backend.RunSandbox(Call::WithTimeout(kStep), spec);
  if (status.ok()) {
    MutexLock lock(mutex_);
    Sandbox* sandbox = tables_.Find(key);
    if (sandbox == nullptr) return;
    sandbox->asked = true;
    if (sandbox->record.seen() == interlink::v1::SEEN_NOTHING) {
      // The backend has it: from now on a restart does not ask again but looks for it.
      sandbox->record.set_seen(interlink::v1::SEEN_PENDING);
      sandbox->record.clear_retrying();
      StampLocked(*sandbox);
      CommitLocked({{StoreKey(key)}, {}}, false, {});
    }
    EndRetryLocked(*sandbox);
    return;
  }
  if (!IsRefusal(status.code())) return Retry(key, "RunSandbox", status);
  FinishSandbox(key, [&](SandboxRecord& record) { MarkFailed(status, Now(), record); });
}

void LiveSite::DriveSandboxEnd(const SandboxKey& key, sdk::Backend& backend, Wanted wanted,
                               Seen seen) {
  const Call call = Call::WithTimeout(kStep);
  if (wanted == interlink::v1::WANTED_REMOVE) {
    if (seen == interlink::v1::SEEN_GONE) return;
    if (const Status status = backend.RemoveSandbox(call, key.node, key.id); !status.ok()) {
      return Retry(key, "RemoveSandbox", status);
    }
    FinishSandbox(key, [](SandboxRecord& record) { record.set_seen(interlink::v1::SEEN_GONE); });
    return;
  }
  if (seen >= interlink::v1::SEEN_DOWN) return;
  bool never_ran = false;
  Duration early = Duration::zero();
  {
    MutexLock lock(mutex_);
    Sandbox* sandbox = tables_.Find(key);
    if (sandbox == nullptr) return;
    // Held: its backend has no trace of it, so no end of it will ever be reported.
    never_ran = seen == interlink::v1::SEEN_NOTHING || sandbox->record.held();
    if (sandbox->stop_asked) early = sandbox->stop_asked_at + kAskAgain - ports_.clock.Steady();
  }
  // Asked for: the Drive that is to ask again may have been left out for this earlier one.
  if (early > Duration::zero()) return DriveAfter(key, early);
  if (never_ran) {
    // Nothing was ever seen, and wanted keeps anything from starting. The remove covers a run whose
    // answer was lost.
    if (const Status status = backend.RemoveSandbox(call, key.node, key.id); !status.ok()) {
      return Retry(key, "RemoveSandbox", status);
    }
    FinishSandbox(key, [this](SandboxRecord& record) {
      record.set_seen(interlink::v1::SEEN_DOWN);
      record.set_message("stopped before it started");
      record.set_down_ns(Now());
    });
    return;
  }
  if (const Status status = backend.StopSandbox(call, key.node, key.id); !status.ok()) {
    return Retry(key, "StopSandbox", status);
  }
  {
    MutexLock lock(mutex_);
    Sandbox* sandbox = tables_.Find(key);
    if (sandbox == nullptr) return;
    sandbox->stop_asked = true;
    sandbox->stop_asked_at = ports_.clock.Steady();
    EndRetryLocked(*sandbox);
  }
  DriveAfter(key, kAskAgain);
}

void LiveSite::FinishSandbox(const SandboxKey& key,
                             const std::function<void(SandboxRecord&)>& change_record) {
  MutexLock lock(mutex_);
  Sandbox* sandbox = tables_.Find(key);
  if (sandbox == nullptr) return;
  SandboxRecord changed = sandbox->record;
  change_record(changed);
  if (changed.seen() <= sandbox->record.seen()) return;  // an observation was faster
  sandbox->record = std::move(changed);
  sandbox->record.set_held(false);
  sandbox->record.clear_retrying();
  sandbox->attempts = 0;
  StampLocked(*sandbox);
  Change change{{StoreKey(key)}, {}};
  if (sandbox->record.seen() == interlink::v1::SEEN_GONE) ContainersGoLocked(*sandbox, change);
  CommitLocked(change, false, {});
}

void LiveSite::ContainersGoLocked(const Sandbox& sandbox, Change& change) {
  for (const ContainerId& id : sandbox.containers) {
    Container* container = tables_.Find(ContainerKey{sandbox.key.node, sandbox.key.id, id});
    if (container == nullptr || container->record.seen() == interlink::v1::SEEN_GONE) continue;
    RaiseWanted(interlink::v1::WANTED_REMOVE, container->record);
    container->record.set_seen(interlink::v1::SEEN_GONE);
    StampLocked(*container);
    change.touched.push_back(StoreKey(container->key));
    change.released.push_back(id);
  }
}

}  // namespace interlink::site
