// From a change in memory to what kubelet sees: commit, then list items, parked replies and Drive.
#include <algorithm>
#include <utility>

#include "node/live_node.h"

namespace interlink::node {
namespace {

constexpr auto kCommitRetry = std::chrono::seconds(2);

}  // namespace

Batch LiveNode::BatchOf(const Change& change) const {
  Batch batch;
  for (const SandboxId& id : change.sandboxes) {
    const Sandbox* sandbox = tables_.Find(id);
    if (sandbox == nullptr) {
      batch.erases.emplace_back(RecordKind::kSandbox, id.str());
    } else {
      batch.puts.push_back({RecordKind::kSandbox, id.str(), sandbox->stored.SerializeAsString()});
    }
  }
  for (const ContainerId& id : change.containers) {
    const Container* container = tables_.Find(id);
    if (container == nullptr) {
      batch.erases.emplace_back(RecordKind::kContainer, id.str());
      batch.erases.emplace_back(RecordKind::kLogPosition, id.str());
    } else {
      batch.puts.push_back(
          {RecordKind::kContainer, id.str(), container->stored.SerializeAsString()});
    }
  }
  for (const std::string& id : change.images) {
    const auto image = tables_.images.find(id);
    if (image == tables_.images.end()) {
      batch.erases.emplace_back(RecordKind::kImage, id);
    } else {
      batch.puts.push_back({RecordKind::kImage, id, image->second.SerializeAsString()});
    }
  }
  if (change.meta) batch.puts.push_back({RecordKind::kMeta, "node", meta_.SerializeAsString()});
  return batch;
}

void LiveNode::CommitLocked(const Change& change, bool makes_new_work,
                            std::function<void(Status)> done) {
  for (const SandboxId& id : change.sandboxes) {
    if (Sandbox* sandbox = tables_.Find(id)) ++sandbox->uncommitted;
  }
  for (const ContainerId& id : change.containers) {
    if (Container* container = tables_.Find(id)) ++container->uncommitted;
  }
  TryCommitLocked(change, makes_new_work, std::move(done));
}

void LiveNode::TryCommitLocked(const Change& change, bool makes_new_work,
                               std::function<void(Status)> done) {
  Batch batch = BatchOf(change);
  batch.makes_new_work = makes_new_work;
  StoreLocked(std::move(batch), [this, change, makes_new_work,
                                 done = std::move(done)](const Status& status) {
    if (status.ok()) {
      Published(change);
    } else if (!makes_new_work) {
      // It stays uncommitted until it is durable: with what the records hold then.
      ports_.log.Error("cannot store a change, trying again", {{"error", status.ToString()}});
      timer_.After(kCommitRetry, [this, change] {
        MutexLock lock(mutex_);
        if (!stopping_) TryCommitLocked(change, false, {});
      });
    }
    if (done) done(status);
  });
}

void LiveNode::StoreLocked(Batch batch, std::function<void(Status)> done) {
  {
    MutexLock lock(commits_->mutex);
    ++commits_->count;
  }
  ports_.store.Commit(std::move(batch),
                      [commits = commits_, done = std::move(done)](const Status& status) {
                        {
                          MutexLock lock(commits->mutex);
                          if (commits->abandoned) return;
                          ++commits->running;
                        }
                        done(status);
                        MutexLock lock(commits->mutex);
                        --commits->running;
                        --commits->count;
                        commits->none.NotifyAll();
                      });
}

void LiveNode::Published(const Change& change) {
  Fires fires;
  Change erased;
  std::set<SandboxId> drive(change.drive.begin(), change.drive.end());
  {
    MutexLock lock(mutex_);
    for (const ContainerId& id : change.containers) {
      Container* container = tables_.Find(id);
      if (container == nullptr) continue;
      container->uncommitted = std::max(0, container->uncommitted - 1);
      if (Sandbox* owner = tables_.Find(container->sandbox());
          owner != nullptr && std::exchange(owner->drive_deferred, false)) {
        drive.insert(owner->id());
      }
    }
    for (const SandboxId& id : change.sandboxes) {
      Sandbox* sandbox = tables_.Find(id);
      if (sandbox == nullptr) continue;
      sandbox->uncommitted = std::max(0, sandbox->uncommitted - 1);
      if (std::exchange(sandbox->drive_deferred, false)) drive.insert(id);
    }
    for (const ContainerId& id : change.containers) PublishContainerLocked(id, fires);
    for (const SandboxId& id : change.sandboxes) PublishSandboxLocked(id, fires);
    EraseGoneLocked(change, erased, fires);
    // Proven gone: the record may go. Should the erase be lost, the next start erases it again.
    if (!erased.sandboxes.empty() || !erased.containers.empty()) CommitLocked(erased, false, {});
  }
  auto* logs = LogStream();
  for (const ContainerId& id : erased.containers) {
    if (logs != nullptr) logs->Unsubscribe(id);
    ports_.log_files.Close(id, [] {});
  }
  for (auto& fire : fires) fire();
  for (const SandboxId& id : drive) PostDrive(id);
}

void LiveNode::EraseGoneLocked(const Change& change, Change& erased, Fires& fires) {
  for (const SandboxId& id : change.sandboxes) {
    const Sandbox* sandbox = tables_.Find(id);
    if (sandbox == nullptr || sandbox->uncommitted > 0 || sandbox->stored.has_untold() ||
        sandbox->stored.fact().seen() != interlink::v1::SEEN_GONE)
      continue;
    for (const ContainerId& part : std::set<ContainerId>(sandbox->containers)) {
      tables_.Erase(part);
      erased.containers.push_back(part);
      TakeDecidedLocked(part.str(), fires);
    }
    tables_.Erase(id);
    erased.sandboxes.push_back(id);
    TakeDecidedLocked(id.str(), fires);
  }
  for (const ContainerId& id : change.containers) {
    Container* container = tables_.Find(id);
    if (container == nullptr || container->uncommitted > 0 || container->stored.has_untold() ||
        container->stored.fact().seen() != interlink::v1::SEEN_GONE)
      continue;
    const SandboxId owner = container->sandbox();
    TellGoneLocked(*container, fires);
    tables_.Erase(id);
    erased.containers.push_back(id);
    TakeDecidedLocked(id.str(), fires);
    PublishSandboxLocked(owner, fires);
  }
}

void LiveNode::PublishSandboxLocked(const SandboxId& id, Fires& fires) {
  Sandbox* sandbox = tables_.Find(id);
  if (sandbox == nullptr || sandbox->uncommitted > 0) return;  // the later commit publishes
  tables_.Refresh(*sandbox);
  TellLocked(*sandbox, fires);
  TakeDecidedLocked(id.str(), fires);
}

void LiveNode::PublishContainerLocked(const ContainerId& id, Fires& fires) {
  Container* container = tables_.Find(id);
  if (container == nullptr || container->uncommitted > 0) return;
  const bool changed = tables_.Refresh(*container);
  TellLocked(*container, fires);
  TakeDecidedLocked(id.str(), fires);
  // A sandbox is NOTREADY only after its containers are EXITED.
  if (changed) PublishSandboxLocked(container->sandbox(), fires);
}

}  // namespace interlink::node
