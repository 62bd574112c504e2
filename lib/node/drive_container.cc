// Drive, for one container.
#include <algorithm>

#include "node/limits.h"
#include "node/live_node.h"
#include "node/state.h"

namespace interlink::node {
namespace {

bool IsRepeatable(Code code) {
  return code == Code::kUnavailable || code == Code::kAborted || code == Code::kCancelled ||
         code == Code::kDeadlineExceeded || code == Code::kUnauthenticated;
}

// A start that failed like this may happen yet, or has happened: it is asked for again. What is a
// failure of the container itself comes as a record.
bool IsRepeatableStart(Code code) {
  return IsRepeatable(code) || code == Code::kResourceExhausted || code == Code::kInternal ||
         code == Code::kUnknown || code == Code::kDataLoss;
}

// What was asked for is not seen yet.
bool IsBehind(const interlink::v1::StoredNodeContainer& container) {
  const auto seen = container.fact().seen();
  switch (container.wanted()) {
    case interlink::v1::WANTED_START:
      return seen < interlink::v1::SEEN_UP;
    case interlink::v1::WANTED_STOP:
      return seen < interlink::v1::SEEN_DOWN;
    case interlink::v1::WANTED_REMOVE:
      return seen < interlink::v1::SEEN_GONE;
    default:
      return seen < interlink::v1::SEEN_CREATED;
  }
}

}  // namespace

void LiveNode::DriveContainer(const ContainerId& id) {
  interlink::v1::Wanted wanted;
  interlink::v1::Seen seen;
  bool missing = false;
  {
    MutexLock lock(mutex_);
    Container* container = tables_.Find(id);
    if (container == nullptr || stopping_ || link_ == 0 || DeferLocked(container)) return;
    wanted = container->stored.wanted();
    seen = container->stored.fact().seen();
    missing = container->missing;
  }
  if (wanted >= interlink::v1::WANTED_STOP) return DriveContainerEnd(id);
  if (missing) return SettleMissing(id);
  if (seen == interlink::v1::SEEN_NOTHING) DriveCreate(id);
  DriveStart(id);
}

void LiveNode::DriveCreate(const ContainerId& id) {
  std::string body;
  std::map<std::string, std::string> snapshots;
  SandboxId sandbox;
  LinkNumber link = 0;
  {
    MutexLock lock(mutex_);
    Container* container = tables_.Find(id);
    if (container == nullptr || container->asked_link == link_ || DeferLocked(container)) return;
    if (container->stored.wanted() > interlink::v1::WANTED_START) return;
    const Sandbox* owner = tables_.Find(container->sandbox());
    if (owner == nullptr || owner->stored.fact().seen() != interlink::v1::SEEN_UP) return;
    body = container->stored.body();
    snapshots = {container->stored.snapshots().begin(), container->stored.snapshots().end()};
    sandbox = container->sandbox();
    link = link_;
  }
  Result<interlink::v1::ContainerRecord> record = Unavailable("not asked yet");
  if (const Status put = PutVolumes(link, snapshots); put.ok()) {
    record = ports_.site.CreateContainer(NewRequest().call, link, sandbox, id, body);
  } else {
    record = put;
  }
  int attempts = 0;
  {
    MutexLock lock(mutex_);
    Container* container = tables_.Find(id);
    if (container == nullptr) return;
    attempts = NoteTry(record.status(), *container);
    if (record.ok()) {
      container->asked_link = link;
      NoteCreatedVolumesLocked(*container, link);
    }
  }
  if (record.ok()) return Apply(*record);
  if (IsRepeatable(record.status().code()))
    return StepFailed(sandbox, link, record.status(), attempts);
  GiveUpContainer(id, record.status());
}

// Always: the site lets go of what no container waits for.
Status LiveNode::PutVolumes(LinkNumber link, const std::map<std::string, std::string>& snapshots) {
  for (const auto& [digest, bytes] : snapshots) {
    RETURN_IF_ERROR(
        ports_.site.PutVolume(NewRequest().call, link, digest, bytes).WithContext("send a volume"));
  }
  return {};
}

void LiveNode::GiveUpContainer(const ContainerId& id, const Status& why) {
  Fires fires;
  {
    MutexLock lock(mutex_);
    Container* container = tables_.Find(id);
    if (container == nullptr) return;
    const bool news = !container->stored.abandoned();
    if (news) *container->stored.mutable_untold() = FailureFrom(why);
    FailWaitersLocked(id.str(), why, fires);
    if (news) {
      container->stored.set_abandoned(true);
      container->stored.set_wanted(interlink::v1::WANTED_REMOVE);
      CommitLocked({{}, {id}, {}, false, {container->sandbox()}}, false, {});
    }
  }
  for (auto& fire : fires) fire();
}

void LiveNode::DriveStart(const ContainerId& id) {
  SandboxId sandbox;
  std::string handler;
  LinkNumber link = 0;
  bool open_log = false;
  {
    MutexLock lock(mutex_);
    Container* container = tables_.Find(id);
    if (container == nullptr || container->stored.wanted() != interlink::v1::WANTED_START ||
        DeferLocked(container))
      return;
    if (container->stored.fact().seen() != interlink::v1::SEEN_CREATED ||
        container->started_link == link_)
      return;
    sandbox = container->sandbox();
    handler = container->request->handler();
    link = link_;
    open_log = !container->log_open;
  }
  // The file exists when the container starts: kubelet looks for it at once. One that cannot be
  // made is no reason not to run: it is tried again until it is there.
  if (open_log) {
    if (const Status opened = OpenLog(id, false); !opened.ok()) {
      ports_.log.Warning("cannot open a log file",
                         {{"container", id.str()}, {"error", opened.message()}});
    }
  }
  auto record =
      ports_.site.StartContainer(NewRequest().call, link, sandbox, id, handler, StepWait());
  int attempts = 0;
  bool settle = false;
  {
    MutexLock lock(mutex_);
    Container* container = tables_.Find(id);
    if (container == nullptr) return;
    attempts = NoteTry(record.status(), *container);
    if (record.ok()) container->started_link = link;
    // The site will not start it; whether an earlier try has is not known: its end has to be
    // proven.
    settle = !record.ok() && !IsRepeatableStart(record.status().code());
    container->missing = container->missing || settle;
  }
  if (record.ok()) return Apply(*record);
  if (!settle) return StepFailed(sandbox, link, record.status(), attempts);
  ports_.log.Warning("a start is refused, the container is ended",
                     {{"container", id.str()}, {"error", record.status().ToString()}});
  SettleMissing(id);
}

bool LiveNode::HasOthersDueLocked(const Container& container) const {
  const Sandbox* sandbox = tables_.Find(container.sandbox());
  if (sandbox == nullptr) return false;
  return std::any_of(sandbox->containers.begin(), sandbox->containers.end(),
                     [this, &container](const ContainerId& id) NO_LOCK_ANALYSIS {
                       const Container* other = tables_.Find(id);
                       return other != nullptr && other != &container && IsBehind(other->stored);
                     });
}

void LiveNode::DriveContainerEnd(const ContainerId& id) {
  SandboxId sandbox;
  interlink::v1::Wanted wanted;
  interlink::v1::StopContainerRequest stop;
  LinkNumber link = 0;
  Duration wait = StepWait();
  Duration again = Duration::zero();
  {
    MutexLock lock(mutex_);
    Container* container = tables_.Find(id);
    if (container == nullptr || DeferLocked(container)) return;
    wanted = container->stored.wanted();
    const auto seen = container->stored.fact().seen();
    if (seen == interlink::v1::SEEN_GONE ||
        (wanted == interlink::v1::WANTED_STOP && seen >= interlink::v1::SEEN_DOWN))
      return;
    const Sandbox* owner = tables_.Find(container->sandbox());
    stop.set_handler(container->request->handler().empty() && owner != nullptr
                         ? owner->stored.handler()
                         : container->request->handler());
    stop.set_grace_seconds(container->stored.grace_seconds());
    sandbox = container->sandbox();
    link = link_;
    const Duration since = std::chrono::steady_clock::now() - container->stop_asked_at;
    const bool asked = container->stop_asked_grace >= 0 &&
                       container->stop_asked_grace <= stop.grace_seconds() &&
                       container->end_asked_link == link && since < kAskAgain;
    // Without a grace the site has told of the stop: it carries it on by itself.
    if (wanted == interlink::v1::WANTED_STOP && stop.grace_seconds() < 0) return;
    if (wanted == interlink::v1::WANTED_STOP && asked) again = kAskAgain - since;
    // One step at a time: what is due for another container does not wait for this one's grace.
    if (HasOthersDueLocked(*container)) wait = Duration::zero();
  }
  if (again > Duration::zero()) return DriveAfter(sandbox, again + kLater);
  const Request request = NewRequest();
  const Call& call = request.call;
  auto record = wanted == interlink::v1::WANTED_STOP
                    ? ports_.site.StopContainer(call, link, sandbox, id, stop, wait)
                    : ports_.site.RemoveContainer(call, link, sandbox, id, stop.handler(), wait);
  int attempts = 0;
  {
    MutexLock lock(mutex_);
    Container* container = tables_.Find(id);
    if (container == nullptr) return;
    attempts = NoteTry(record.status(), *container);
    if (record.ok()) {
      container->end_asked_link = link;
      container->stop_asked_grace = stop.grace_seconds();
      container->stop_asked_at = std::chrono::steady_clock::now();
    }
  }
  if (!record.ok()) return StepFailed(sandbox, link, record.status(), attempts);
  const bool settled =
      record->seen() == interlink::v1::SEEN_GONE ||
      (wanted == interlink::v1::WANTED_STOP && record->seen() == interlink::v1::SEEN_DOWN);
  Apply(*record);
  if (!settled) DriveAfter(sandbox, kAskAgain + kLater);
}

// See SettleMissing of sandboxes.
void LiveNode::SettleMissing(const ContainerId& id) {
  SandboxId sandbox;
  interlink::v1::StopContainerRequest stop;
  LinkNumber link = 0;
  {
    MutexLock lock(mutex_);
    Container* container = tables_.Find(id);
    if (container == nullptr || DeferLocked(container)) return;
    const auto seen = container->stored.fact().seen();
    if (seen == interlink::v1::SEEN_NOTHING) {
      container->missing = false;
      container->asked_link = 0;
    } else if (seen >= interlink::v1::SEEN_DOWN) {
      container->missing = false;
      return;
    }
    sandbox = container->sandbox();
    const Sandbox* owner = tables_.Find(sandbox);
    stop.set_handler(container->request->handler().empty() && owner != nullptr
                         ? owner->stored.handler()
                         : container->request->handler());
    link = container->missing ? link_ : 0;
  }
  if (link == 0) return DriveCreate(id);
  auto record = ports_.site.StopContainer(NewRequest().call, link, sandbox, id, stop, StepWait());
  if (!record.ok()) return StepFailed(sandbox, link, record.status(), kSettleAttempt);
  const bool settled = record->seen() >= interlink::v1::SEEN_DOWN;
  Apply(*record);
  if (settled) return;
  {
    MutexLock lock(mutex_);
    if (Container* container = tables_.Find(id)) container->missing = true;
  }
  DriveAfter(sandbox, kAskAgain);
}

}  // namespace interlink::node
