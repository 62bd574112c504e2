// From a change in memory to what others see: commit, then events, replies and Drive.
#include <algorithm>
#include <utility>

#include "interlink/v1/link.pb.h"
#include "site/live_site.h"

namespace interlink::site {
namespace {

// How long a commit that failed (a full disk) is left before it is tried again.
constexpr auto kCommitRetry = std::chrono::seconds(2);

}  // namespace

void LiveSite::StampLocked(Sandbox& sandbox) {
  sandbox.record.set_epoch(epoch_);
  sandbox.record.set_revision(sandbox.record.revision() + 1);
  if (sandbox.record.seen() == interlink::v1::SEEN_GONE) sandbox.gone_since = ports_.clock.Steady();
}

void LiveSite::StampLocked(Container& container) {
  container.record.set_epoch(epoch_);
  container.record.set_revision(container.record.revision() + 1);
  if (container.record.seen() == interlink::v1::SEEN_GONE)
    container.gone_since = ports_.clock.Steady();
}

void LiveSite::AppendPut(const RecordKey& key, Batch& batch) const {
  switch (key.kind) {
    case RecordKind::kSandbox: {
      const Sandbox* sandbox = tables_.Find(SandboxKey{key.node, SandboxId(key.key)});
      if (sandbox == nullptr) return batch.erases.push_back(key);
      interlink::v1::StoredSandbox stored;
      stored.set_version(1);
      *stored.mutable_record() = sandbox->record;
      stored.set_body(sandbox->body);
      stored.set_tenant(sandbox->tenant);
      stored.set_user(sandbox->user);
      return batch.puts.push_back({key, stored.SerializeAsString()});
    }
    case RecordKind::kContainer: {
      const Container* container = tables_.FindContainer(key.node, ContainerId(key.key));
      if (container == nullptr) return batch.erases.push_back(key);
      interlink::v1::StoredContainer stored;
      stored.set_version(1);
      *stored.mutable_record() = container->record;
      stored.set_body(container->body);
      stored.set_grace_seconds(container->grace_seconds);
      stored.mutable_volumes()->insert(container->volumes.begin(), container->volumes.end());
      stored.mutable_volumes_due()->Assign(container->volumes_due.begin(),
                                           container->volumes_due.end());
      return batch.puts.push_back({key, stored.SerializeAsString()});
    }
    case RecordKind::kNode: {
      const auto node = tables_.nodes.find(key.node);
      if (node == tables_.nodes.end()) return batch.erases.push_back(key);
      return batch.puts.push_back({key, node->second.stored.SerializeAsString()});
    }
    case RecordKind::kMeta:
    case RecordKind::kImage:
      return;  // written where they change; images are the image store's
  }
}

const int* LiveSite::UncommittedLocked(const RecordKey& key) const {
  if (key.kind == RecordKind::kSandbox) {
    const Sandbox* sandbox = tables_.Find(SandboxKey{key.node, SandboxId(key.key)});
    return sandbox == nullptr ? nullptr : &sandbox->uncommitted;
  }
  if (key.kind == RecordKind::kContainer) {
    const Container* container = tables_.FindContainer(key.node, ContainerId(key.key));
    return container == nullptr ? nullptr : &container->uncommitted;
  }
  return nullptr;
}

bool LiveSite::DurableLocked(const RecordKey& key) const {
  const int* uncommitted = UncommittedLocked(key);
  return uncommitted == nullptr || *uncommitted == 0;
}

void LiveSite::OneCommitLessLocked(const RecordKey& key, std::set<SandboxKey>& drive) {
  Sandbox* owner = nullptr;
  if (key.kind == RecordKind::kSandbox) {
    owner = tables_.Find(SandboxKey{key.node, SandboxId(key.key)});
    if (owner != nullptr) owner->uncommitted = std::max(0, owner->uncommitted - 1);
  } else if (key.kind == RecordKind::kContainer) {
    Container* container = tables_.FindContainer(key.node, ContainerId(key.key));
    if (container == nullptr) return;
    container->uncommitted = std::max(0, container->uncommitted - 1);
    owner = tables_.Find(container->key.Sandbox());
  }
  if (owner != nullptr && std::exchange(owner->drive_deferred, false)) drive.insert(owner->key);
}

void LiveSite::CommitLocked(const Change& change, bool makes_new_work,
                            std::function<void(Status)> done) {
  for (const RecordKey& key : change.touched) {
    if (key.kind == RecordKind::kSandbox) {
      if (Sandbox* sandbox = tables_.Find(SandboxKey{key.node, SandboxId(key.key)}))
        ++sandbox->uncommitted;
    } else if (key.kind == RecordKind::kContainer) {
      if (Container* container = tables_.FindContainer(key.node, ContainerId(key.key)))
        ++container->uncommitted;
    }
  }
  TryCommitLocked(change, makes_new_work, std::move(done));
}

void LiveSite::TryCommitLocked(const Change& change, bool makes_new_work,
                               std::function<void(Status)> done) {
  Batch batch;
  batch.makes_new_work = makes_new_work;
  for (const RecordKey& key : change.touched) AppendPut(key, batch);
  {
    MutexLock lock(commits_->mutex);
    ++commits_->count;
  }
  ports_.store.Commit(std::move(batch), [this, commits = commits_, change, makes_new_work,
                                         done = std::move(done)](const Status& status) {
    if (status.ok()) {
      Published(change);
    } else if (!makes_new_work) {
      // What was observed, stopped or removed must become durable: again later, with what the
      // records hold then.
      ports_.log.Error("cannot store a change, trying again", {{"error", status.ToString()}});
      timer_.After(kCommitRetry, [this, change] {
        MutexLock lock(mutex_);
        if (!stopping_) TryCommitLocked(change, false, {});
      });
    }
    if (done) done(status);
    MutexLock lock(commits->mutex);
    if (--commits->count == 0) commits->none.NotifyAll();
  });
}

void LiveSite::Published(const Change& change) {
  std::vector<std::function<void()>> fires;
  std::vector<std::function<void()>> wakes;
  std::set<SandboxKey> drive(change.drive.begin(), change.drive.end());
  {
    MutexLock lock(mutex_);
    for (const RecordKey& key : change.touched) OneCommitLessLocked(key, drive);
    for (const RecordKey& key : change.touched) {
      if (!DurableLocked(key)) continue;  // a later commit publishes it
      NoteChangedLocked(key);
      TakeSettledLocked(key, fires);
    }
    std::set<NodeId> nodes;
    for (const RecordKey& key : change.touched) nodes.insert(key.node);
    for (const NodeId& node : nodes) WakeReaderLocked(node, wakes);
  }
  for (auto& fire : fires) fire();
  for (auto& wake : wakes) wake();
  for (const SandboxKey& key : drive) PostDrive(key);
  if (change.released.empty()) return;
  const Status posted = steps_.PostAlways("images", [this, released = change.released] {
    for (const ContainerId& id : released) ports_.images.Release(id);
  });
  // Only at shutdown: the next start keeps the images of living containers alone.
  if (!posted.ok()) ports_.log.Debug("images are released later", {{"why", posted.message()}});
}

void LiveSite::NoteChangedLocked(const RecordKey& key) {
  uint64_t* number = nullptr;
  if (key.kind == RecordKind::kSandbox) {
    if (Sandbox* sandbox = tables_.Find(SandboxKey{key.node, SandboxId(key.key)}))
      number = &sandbox->number;
  } else if (key.kind == RecordKind::kContainer) {
    if (Container* container = tables_.FindContainer(key.node, ContainerId(key.key)))
      number = &container->number;
  }
  if (number == nullptr) return;
  Node& node = NodeLocked(key.node);
  node.changed.erase(*number);
  *number = node.next_number++;
  node.changed.emplace(*number, key);
}

void LiveSite::WakeReaderLocked(const NodeId& node, std::vector<std::function<void()>>& wakes) {
  const auto it = tables_.nodes.find(node);
  if (it == tables_.nodes.end() || !it->second.wake) return;
  // Once: the reader asks again when it has read to the end.
  wakes.push_back(std::exchange(it->second.wake, nullptr));
}

interlink::v1::Event LiveSite::EventOf(const RecordKey& key, bool with_request) const {
  interlink::v1::Event event;
  event.mutable_position()->set_epoch(epoch_);
  if (key.kind == RecordKind::kSandbox) {
    const Sandbox* sandbox = tables_.Find(SandboxKey{key.node, SandboxId(key.key)});
    if (sandbox == nullptr) return event;
    auto* record = event.mutable_record()->mutable_sandbox();
    *record = sandbox->record;
    event.mutable_position()->set_number(sandbox->number);
    // What does not parse was refused when it came in.
    if (with_request && !record->mutable_request()->ParseFromString(sandbox->body))
      record->clear_request();
  } else {
    const Container* container = tables_.FindContainer(key.node, ContainerId(key.key));
    if (container == nullptr) return event;
    auto* record = event.mutable_record()->mutable_container();
    *record = container->record;
    event.mutable_position()->set_number(container->number);
    if (with_request && !record->mutable_request()->ParseFromString(container->body))
      record->clear_request();
  }
  return event;
}

Node& LiveSite::NodeLocked(const NodeId& id) {
  const auto [it, made] = tables_.nodes.try_emplace(id);
  if (made) {
    it->second.id = id;
    it->second.stored.set_version(1);
    it->second.last_seen = ports_.clock.Steady();
  }
  return it->second;
}

}  // namespace interlink::site
